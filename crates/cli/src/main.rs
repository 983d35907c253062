//! The `pushflow` command: arguments in, exit code out.

mod arguments;
mod doctor;
mod exit;
mod inputs;
mod json;
mod output;
mod progress;
mod report;
mod run;
mod schema;
mod screen;
mod unfinished;

use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    // Started by a scheduler as its worker, the program serves here and goes no further.
    pushflow::init();
    start_log();
    let arguments = Arguments::parse();
    let code = catch_unwind(|| match arguments.command {
        Command::Run(options) => run::run(&options),
        Command::Probe(options) => pushflow_compat_probe::probe(&options),
        Command::Daemonic(options) => pushflow_compat_probe::check_daemonic(&options),
        Command::ProbeCell(question) => pushflow_compat_probe::answer(&question),
        Command::Doctor(options) => doctor::examine(&options),
        Command::Schema => schema::print(),
    });
    ExitCode::from(code.unwrap_or(exit::DEFECT))
}

/// The log goes to standard error, at the level that `PUSHFLOW_LOG` names; warnings by default.
fn start_log() {
    let level = std::env::var("PUSHFLOW_LOG").ok().and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(tracing::Level::WARN))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}
