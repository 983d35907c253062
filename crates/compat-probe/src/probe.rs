//! `pushflow-probe`, `pushflow probe`: runs the combinations and prints the report. The exit code says whether a combination
//! is worse than the original.

use std::io;

use crate::arguments::{ProbeArguments, ReportFormat};
use crate::baseline::Comparison;
use crate::interruption::Interruption;
use crate::matrix::{Cell, Combination, Summary};
use crate::parallel::run_parallel;
use crate::request::Response;
use crate::{exit, isolation, progress, report};

/// Runs the selected combinations, each in a child process of its own, prints the report, and returns the exit code.
///
/// The code is 0 if no combination is worse than the original claims, 1 if one is, and 2 if the probe could not begin. It
/// is 130 or 143 after SIGINT or SIGTERM; the report then has the results so far.
pub fn probe(arguments: &ProbeArguments) -> u8 {
    match try_probe(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: the probe can't run here: {error}");
            exit::USAGE
        }
    }
}

fn try_probe(arguments: &ProbeArguments) -> io::Result<u8> {
    let interruption = Interruption::watch()?;
    let cells = run(arguments, &interruption)?;
    let summary = Summary::of(&cells);
    report::print(&match arguments.common.format {
        ReportFormat::Text => report::text::matrix(&cells, &summary),
        ReportFormat::Markdown => report::markdown::page(&cells, &summary),
        ReportFormat::Json => report::json::matrix(&cells, &summary, arguments.repeat.get()),
    })?;
    Ok(exit::code(interruption.signal(), summary.worse == 0))
}

fn run(arguments: &ProbeArguments, interruption: &Interruption) -> io::Result<Vec<Cell>> {
    isolation::adopt_guardians()?;
    let combinations = Combination::selected(arguments);
    let mut cells: Vec<Cell> = combinations.iter().map(|&combination| Cell::new(combination)).collect();
    let executions = arguments.repeat.get().saturating_mul(combinations.len());
    let deadline = arguments.common.deadline();
    let bar = progress::bar(executions);
    // All combinations once, then all once more: an interruption then leaves results of as many combinations as possible.
    let cell = |number: usize| number % combinations.len();
    let run = |number: usize| {
        let combination = combinations[cell(number)];
        isolation::run_isolated(&combination.request(), combination.environment, deadline, interruption)
    };
    let mut worse = 0;
    run_parallel(executions, arguments.common.jobs(), run, |number, Response { verdict, .. }| {
        let cell = &mut cells[cell(number)];
        let before = cell.comparison() == Some(Comparison::Worse);
        cell.add(verdict);
        if cell.comparison() == Some(Comparison::Worse) && !before {
            worse += 1;
            bar.set_message(format!(", {worse} worse than the original"));
        }
        bar.inc(1);
    });
    bar.finish_and_clear();
    isolation::wait_for_guardians();
    Ok(cells)
}
