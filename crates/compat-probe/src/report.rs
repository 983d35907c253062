//! Reports of the results as text, as a page of the documentation and as JSON, and what the first two have in common.

pub(crate) mod json;
pub(crate) mod markdown;
pub(crate) mod text;

use std::io::{self, Write};

use pushflow::green::Environment;
use pushflow::{PoolType, StartMethod};
use pushflow_probe_tasks::ProbeTask;

use crate::baseline::Comparison;
use crate::daemonic_flag::DaemonicFlag;
use crate::matrix::{Cell, Summary};
use crate::names::Named;
use crate::process_under_test::ProcessUnderTest;
use crate::verdict::Verdict;

/// Prints a report. A closed standard output is no error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// The values of `of` that the cells have, in the order of [`Named::ALL`].
fn present<T: Named + PartialEq>(of: impl Fn(&Cell) -> T, cells: &[Cell]) -> Vec<T> {
    T::ALL.iter().copied().filter(|thing| cells.iter().any(|cell| of(cell) == *thing)).collect()
}

/// The cells of one pool and task, one for each start method.
fn group(cells: &[Cell], environment: Environment, pool: PoolType, task: ProbeTask) -> Vec<&Cell> {
    let is_in = |cell: &&Cell| {
        let combination = &cell.combination;
        (combination.environment, combination.pool, combination.task) == (environment, pool, task)
    };
    cells.iter().filter(is_in).collect()
}

/// The verdicts on one task and pool in a few words: one word if all start methods agree, else each word with its methods.
fn words(group: &[&Cell]) -> String {
    let mut words: Vec<(String, Vec<&str>)> = Vec::new();
    for cell in group {
        let (word, method) = (word(cell), Named::name(cell.combination.start_method));
        match words.iter_mut().find(|(other, _)| *other == word) {
            Some((_, methods)) => methods.push(method),
            None => words.push((word, vec![method])),
        }
    }
    match &words[..] {
        [(only, _)] => only.clone(),
        several => several
            .iter()
            .map(|(word, methods)| format!("{word} ({})", methods.join(", ")))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// The worst verdict in one word. If there were several executions, their number follows, and how many had this verdict.
fn word(cell: &Cell) -> String {
    let Some(worst) = &cell.worst else { return "-".to_owned() };
    let (count, all) = (cell.counts[worst.word()], cell.counts.values().sum::<usize>());
    if all == 1 { worst.word().to_owned() } else { format!("{} {count}/{all}", worst.word()) }
}

/// A reason for which cells are not ok.
struct Reason<'a> {
    verdict: &'a Verdict,
    message: &'a str,
    cells: Vec<&'a Cell>,
}

/// The reasons of the cells that compare like this with the original, or of all cells; each once, in the order of the cells.
fn reasons(cells: &[Cell], comparison: Option<Comparison>) -> Vec<Reason<'_>> {
    let mut reasons: Vec<Reason<'_>> = Vec::new();
    for cell in cells.iter().filter(|cell| comparison.is_none() || cell.comparison() == comparison) {
        let Some(verdict) = &cell.worst else { continue };
        let Some(message) = verdict.message() else { continue };
        match reasons.iter_mut().find(|reason| reason.verdict == verdict) {
            Some(reason) => reason.cells.push(cell),
            None => reasons.push(Reason { verdict, message, cells: vec![cell] }),
        }
    }
    reasons
}

impl Reason<'_> {
    /// The places of the cells: `plain: gevent, billiard (cfpool, mppool)`; a pool without tasks stands for all of `tasks`.
    fn places(&self, tasks: &[ProbeTask]) -> String {
        let environments = Environment::ALL.iter().filter_map(|&environment| {
            let pools: Vec<String> =
                PoolType::ALL.iter().filter_map(|&pool| self.pool(environment, pool, tasks)).collect();
            (!pools.is_empty()).then(|| format!("{}: {}", environment.name(), pools.join(", ")))
        });
        environments.collect::<Vec<_>>().join("; ")
    }

    fn pool(&self, environment: Environment, pool: PoolType, tasks: &[ProbeTask]) -> Option<String> {
        let of_pool = |task: &ProbeTask| {
            self.cells.iter().any(|cell| {
                let combination = &cell.combination;
                (combination.environment, combination.pool, combination.task) == (environment, pool, *task)
            })
        };
        let named: Vec<&str> = tasks.iter().filter(|task| of_pool(task)).map(|task| task.name()).collect();
        match named.len() {
            0 => None,
            all if all == tasks.len() => Some(pool.name().to_owned()),
            _ => Some(format!("{} ({})", pool.name(), named.join(", "))),
        }
    }
}

/// The counts of the summary in one sentence.
fn sentence(summary: &Summary) -> String {
    let count = |word: &str| summary.verdicts.get(word).copied().unwrap_or(0);
    let Summary { worse, as_good, better, unknown, .. } = summary;
    let total = worse + as_good + better;
    let unknown = if *unknown > 0 { format!("; {unknown} not run") } else { String::new() };
    format!(
        "{total} combinations: {} ok, {} refused, {} unsupported, {} failed, {} hung; compared with the original {worse} \
         worse, {as_good} as good, {better} better{unknown}",
        count("ok"),
        count("refused"),
        count("unsupported"),
        count("failed"),
        count("hung"),
    )
}

/// The daemonic flag of one process with one start method, in words.
fn flag_word(flags: &[DaemonicFlag], process: ProcessUnderTest, start_method: StartMethod) -> &'static str {
    let flag = flags.iter().find(|flag| flag.process == process && flag.start_method == start_method);
    match flag.and_then(|flag| flag.response.as_ref()) {
        None => "-",
        Some(response) => match response.daemonic {
            Some(true) => "daemonic",
            Some(false) => "not daemonic",
            None => response.verdict.word(),
        },
    }
}

fn original_flag(process: ProcessUnderTest) -> &'static str {
    if process.is_daemonic_in_original() { "daemonic" } else { "not daemonic" }
}
