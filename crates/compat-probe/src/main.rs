//! The program `pushflow-probe`: arguments in, exit code out.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pushflow_compat_probe::{ChildArguments, DaemonicArguments, ProbeArguments, check_daemonic, probe, run_child};

/// Tests, on this machine, which task runs on which pool: every combination, each in a process of its own.
#[derive(Debug, Parser)]
#[command(name = "pushflow-probe", version, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Exit codes: 0 no combination is worse than the original claims, 1 at least one is worse, 2 usage, 130 / 143 \
                        interrupted by SIGINT / SIGTERM; the results so far are printed then."
)]
struct Arguments {
    #[command(flatten)]
    probe: ProbeArguments,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the daemonic flag as seen inside each kind of process
    Daemonic(DaemonicArguments),
    /// Run one combination
    #[command(hide = true)]
    ProbeChild(ChildArguments),
}

fn main() -> ExitCode {
    // In a process that a scheduler started as its worker, this call serves and never returns.
    pushflow::init();
    let arguments = Arguments::parse();
    ExitCode::from(match &arguments.command {
        None => probe(&arguments.probe),
        Some(Command::Daemonic(arguments)) => check_daemonic(arguments),
        Some(Command::ProbeChild(arguments)) => run_child(arguments),
    })
}
