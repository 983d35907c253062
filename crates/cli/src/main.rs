//! The `pushflow` command: arguments in, exit code out.

mod arguments;
mod doctor;
mod exit;
mod inputs;
mod json;
mod line_buffers;
mod progress_line;
mod report;
mod run;
mod schema;
mod stderr;
mod stdout;
mod task_output;
mod terminal;

use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::Parser;
use nix::sys::signal::{SigSet, Signal};
use tracing_subscriber::filter::LevelFilter;

use crate::arguments::{Arguments, Command};

/// The variable that sets the level of the log.
const LOG: &str = "PUSHFLOW_LOG";

fn main() -> ExitCode {
    // In a process that a scheduler started as its worker, this call serves and never returns.
    pushflow::init();
    unblock_stop_signals();
    let arguments = Arguments::parse();
    if let Err(error) = start_log() {
        stderr::write_line(&format!("error: {error}"));
        return ExitCode::from(exit::USAGE);
    }
    let code = catch_unwind(|| match arguments.command {
        Command::Run(options) => run::run(&options),
        Command::Probe(options) => pushflow_compat_probe::probe(&options),
        Command::Daemonic(options) => pushflow_compat_probe::check_daemonic(&options),
        Command::ProbeChild(child) => pushflow_compat_probe::run_child(&child),
        Command::Doctor(options) => doctor::examine(&options),
        Command::Schema => schema::print(),
    });
    ExitCode::from(code.unwrap_or(exit::DEFECT))
}

/// The program that started this one may have blocked the stop signals, and threads inherit the mask. So this comes before
/// any thread is started.
fn unblock_stop_signals() {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    signals.thread_unblock().expect("these signals may be unblocked");
}

/// Writes the log to standard error, at the level that `PUSHFLOW_LOG` names; warnings by default.
///
/// # Errors
/// When `PUSHFLOW_LOG` names no level.
fn start_log() -> Result<(), String> {
    let level = match std::env::var_os(LOG).filter(|level| !level.is_empty()) {
        None => LevelFilter::WARN,
        Some(level) => level.to_str().and_then(|level| level.parse().ok()).ok_or_else(|| {
            format!(
                "{LOG} is {:?}, which is none of error, warn, info, debug, trace and off",
                level.display().to_string()
            )
        })?,
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false).init();
    Ok(())
}
