//! Reports as tables for a terminal.

use pushflow::green::Environment;
use pushflow::{PoolType, StartMethod};
use pushflow_probe_tasks::ProbeTask;

use super::{flag_word, group, original_flag, present, reasons, sentence, words};
use crate::baseline::Comparison;
use crate::daemonic_flag::DaemonicFlag;
use crate::matrix::{Cell, Summary};
use crate::names::Named;
use crate::process_under_test::ProcessUnderTest;

/// The verdicts on every pool and task, one table for each environment.
pub(crate) fn matrix(cells: &[Cell], summary: &Summary) -> String {
    let mut text = String::new();
    for environment in present(|cell| cell.combination.environment, cells) {
        text += &table(&rows(cells, environment));
        text.push('\n');
    }
    let tasks: Vec<ProbeTask> = present(|cell| cell.combination.task, cells);
    for (title, comparison) in [("Worse than the original:", Some(Comparison::Worse)), ("Why:", None)] {
        let reasons = reasons(cells, comparison);
        if !reasons.is_empty() {
            text += &format!("{title}\n");
        }
        for reason in reasons {
            let (word, message, places) = (reason.verdict.word(), reason.message, reason.places(&tasks));
            text += &format!("  {word}: {message}\n    {places}\n");
        }
    }
    text + &sentence(summary) + "\n"
}

fn rows(cells: &[Cell], environment: Environment) -> Vec<Vec<String>> {
    let tasks: Vec<ProbeTask> = present(|cell| cell.combination.task, cells);
    let heads = tasks.iter().map(|task| task.name().to_owned());
    let mut rows: Vec<Vec<String>> = vec![[environment.name().to_owned()].into_iter().chain(heads).collect()];
    let pools: Vec<PoolType> = present(|cell| cell.combination.pool, cells);
    rows.extend(pools.into_iter().map(|pool| {
        let found = tasks.iter().map(|&task| words(&group(cells, environment, pool, task)));
        [pool.name().to_owned()].into_iter().chain(found).collect()
    }));
    rows
}

/// The rows as lines, with aligned columns.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// The daemonic flags of all processes.
pub(crate) fn flags(flags: &[DaemonicFlag], methods: &[StartMethod]) -> String {
    let heads = methods.iter().map(|&method| Named::name(method).to_owned());
    let mut rows: Vec<Vec<String>> =
        vec![["process".to_owned()].into_iter().chain(heads).chain(["the original".to_owned()]).collect()];
    rows.extend(ProcessUnderTest::ALL.iter().map(|&process| {
        let said = methods.iter().map(|&method| flag_word(flags, process, method).to_owned());
        [process.name().to_owned()].into_iter().chain(said).chain([original_flag(process).to_owned()]).collect()
    }));
    let messages = flags.iter().filter_map(|flag| {
        let message = flag.response.as_ref()?.verdict.message()?;
        Some(format!("{} with {}: {message}\n", flag.process.name(), Named::name(flag.start_method)))
    });
    let messages: String = messages.collect();
    let wrong = flags.iter().filter(|flag| !flag.agrees()).count();
    table(&rows) + &messages + &format!("{wrong} of {} differ from the original\n", flags.len())
}
