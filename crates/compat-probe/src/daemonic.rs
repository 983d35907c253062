//! `pushflow-probe daemonic`, `pushflow daemonic`: the daemonic flag as seen inside a process, for every kind of process
//! whose flag the original's `check_daemonic` reads.

use std::io;

use pushflow::green::Environment;

use crate::arguments::{DaemonicArguments, ReportFormat};
use crate::daemonic_flag::DaemonicFlag;
use crate::interruption::Interruption;
use crate::names::{Named, selected};
use crate::parallel::run_parallel;
use crate::process_under_test::ProcessUnderTest;
use crate::request::Request;
use crate::{exit, isolation, progress, report};

/// Reads the daemonic flag of every kind of process with every start method, each in a child process of its own, prints
/// the flags, and returns the exit code.
///
/// The code is 0 if all flags agree with the original, 1 if one does not, 2 if the check could not begin, and 130 or 143
/// after SIGINT or SIGTERM.
pub fn check_daemonic(arguments: &DaemonicArguments) -> u8 {
    match try_check(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: the check can't run here: {error}");
            exit::USAGE
        }
    }
}

fn try_check(arguments: &DaemonicArguments) -> io::Result<u8> {
    let interruption = Interruption::watch()?;
    isolation::adopt_guardians()?;
    let methods = selected(&arguments.start_method);
    let processes =
        ProcessUnderTest::ALL.iter().flat_map(|&process| methods.iter().map(move |&method| (process, method)));
    let mut flags: Vec<DaemonicFlag> =
        processes.map(|(process, start_method)| DaemonicFlag { process, start_method, response: None }).collect();
    let requests: Vec<Request> = flags
        .iter()
        .map(|&DaemonicFlag { process, start_method, .. }| Request::Daemonic { process, start_method })
        .collect();
    let bar = progress::bar(requests.len());
    let deadline = arguments.common.deadline();
    let run = |number: usize| isolation::run_isolated(&requests[number], Environment::Plain, deadline, &interruption);
    run_parallel(requests.len(), arguments.common.jobs(), run, |index, response| {
        flags[index].response = Some(response);
        bar.inc(1);
    });
    bar.finish_and_clear();
    isolation::wait_for_guardians();
    report::print(&match arguments.common.format {
        ReportFormat::Text => report::text::flags(&flags, &methods),
        ReportFormat::Markdown => report::markdown::flags(&flags, &methods),
        ReportFormat::Json => report::json::flags(&flags),
    })?;
    Ok(exit::code(interruption.signal(), flags.iter().all(DaemonicFlag::agrees)))
}
