//! The arguments of `pushflow`. Every option is defined here once, with its help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use pushflow::green::Environment;
use pushflow::{PoolType, StartMethod, Value, parse_duration, parse_json};
use pushflow_compat_probe::{ChildArguments, DaemonicArguments, ProbeArguments};
use serde::de::IgnoredAny;

/// Runs graphs of tasks, cyclic or not, on threads or isolated worker processes.
#[derive(Debug, Parser)]
#[command(name = "pushflow", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 finished, 1 failed, or the result could not be printed, 2 usage or invalid graph, \
                        3 timed out, 4 stalled, 70 a defect of pushflow, 129 / 130 / 143 stopped by SIGHUP / SIGINT / \
                        SIGTERM."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a workflow
    Run(Box<RunArguments>),
    /// Test, on this machine, which task runs on which pool
    Probe(ProbeArguments),
    /// Show the daemonic flag as seen inside each kind of process
    Daemonic(DaemonicArguments),
    /// Run one combination of the probe
    #[command(hide = true)]
    ProbeChild(ChildArguments),
    /// Check that everything a run needs is here, and show which Python, worker and limits it would use
    ///
    /// Exit code 1 if something is missing.
    Doctor(DoctorArguments),
    /// Print the JSON Schema of graph files, with pushflow's own settings
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// The Python interpreter [default: PUSHFLOW_PYTHON, the active virtual environment, or python3]
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) python: Option<String>,

    /// A folder in which Python modules are looked for; may be given more than once
    #[arg(long, value_name = "FOLDER")]
    pub(crate) python_path: Vec<PathBuf>,

    /// The worker program [default: PUSHFLOW_WORKER, pushflow-worker beside this program, or this program]
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) worker: Option<PathBuf>,

    /// How long each program that the check starts may take, such as 400ms, 1.5s, 2m, 1h30m or 1d
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "30s")]
    pub(crate) timeout: Duration,

    /// How the findings are printed
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub(crate) format: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The ewoks graph file (JSON or YAML), or `-` for standard input
    pub(crate) graph: PathBuf,

    /// An input of the start nodes; VALUE is JSON if it parses as JSON, else text
    #[arg(value_name = "NAME=VALUE", value_parser = parse_input)]
    pub(crate) inputs: Vec<(String, Value)>,

    /// A file with inputs, or `-` for standard input: a JSON list of `{"name", "value"}`. An input is for the start nodes,
    /// or for the nodes that its `"id"`, `"label"`, `"task_identifier"` or `"all": true` selects
    #[arg(long = "inputs", value_name = "FILE")]
    pub(crate) inputs_file: Option<PathBuf>,

    /// The folder in which the graph file and the files that it names are looked for first
    #[arg(long, value_name = "FOLDER")]
    pub(crate) root_dir: Option<PathBuf>,

    /// Where tasks run: in isolated worker processes (`process`, `ndprocess`, `ndmultiprocessing`; or daemonic ones, which
    /// may not have children: `multiprocessing`, `billiard`), in this process (`thread`), or as green tasks on one thread
    /// of it (`gevent`, in the green environment only) [default: process; in the green environment gevent]
    #[arg(long)]
    pub(crate) pool: Option<PoolType>,

    /// `plain`, or `green`, in which there is the pool `gevent` [default: PUSHFLOW_ENVIRONMENT, or plain]
    #[arg(long, value_name = "ENVIRONMENT")]
    pub(crate) environment: Option<Environment>,

    /// The greatest number of workers at a time [default: 8 or twice the number of cores, whichever is more; with
    /// --no-scaling: the number of cores; on gevent: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) workers: Option<u32>,

    /// Start all workers at the beginning and keep them, instead of starting and ending them as they are needed
    #[arg(long)]
    pub(crate) no_scaling: bool,

    /// How many tasks a worker process runs before a new one replaces it, so that what tasks leak is freed [default: no
    /// limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_tasks_per_worker: Option<u32>,

    /// How long the run may take, including the start of its workers, such as 400ms, 1.5s, 2m, 1h30m or 1d [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// How long each attempt of a task may take from its start [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) attempt_timeout: Option<Duration>,

    /// How often a node may run before the run ends as failed [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_rounds: Option<u64>,

    /// How long an interrupted task may take to end by itself
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "2s")]
    pub(crate) interrupt_grace: Duration,

    /// How long running tasks may take to finish after pushflow itself was killed
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "30s")]
    pub(crate) orphan_grace: Duration,

    /// The Python interpreter [default: PUSHFLOW_PYTHON, the active virtual environment, or python3]
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) python: Option<String>,

    /// A folder in which Python modules are looked for, after the folder of the graph file; may be given more than once
    #[arg(long, value_name = "FOLDER")]
    pub(crate) python_path: Vec<PathBuf>,

    /// How workers are started: `spawn` (each executes the worker program), `forkserver` (each is forked from a worker that
    /// was executed once, and its Python interpreter from one that has imported the graph's modules) or `fork` (each is
    /// forked from this program); `default` is `spawn`
    #[arg(long, value_name = "METHOD", default_value_t = StartMethod::Default)]
    pub(crate) start_method: StartMethod,

    /// The worker program [default: PUSHFLOW_WORKER, pushflow-worker beside this program, or this program]
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) worker: Option<PathBuf>,

    /// Which results are printed
    #[arg(long, value_enum, default_value_t = OutputSelection::Last)]
    pub(crate) output: OutputSelection,

    /// How the result is printed
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub(crate) format: OutputFormat,

    /// How the progress of the run is shown on standard error
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
    pub(crate) progress: ProgressMode,

    /// Load and check the graph, print a summary of it, and run nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Which results of a run are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputSelection {
    /// The last good result of an end node
    Last,
    /// The last good result of each end node
    Ends,
    /// Every execution, in the order in which the executions ended
    All,
}

/// How the progress of a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// A bar if standard error is a terminal, else nothing
    Auto,
    /// One line that is updated in place
    Bar,
    /// A line for each attempt that begins or ends
    Plain,
    /// Nothing
    None,
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// One `name: value` per line
    Text,
    /// One JSON object with everything
    Json,
}

fn parse_input(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((name, text)) if !name.is_empty() => match parse_json(text) {
            Ok(value) => Ok((name.to_owned(), value)),
            // The user meant JSON: the same characters as a text would be another value.
            Err(error) if serde_json::from_str::<IgnoredAny>(text).is_ok() => {
                Err(format!("the value looks like JSON, but can't be taken: {error}"))
            }
            Err(_) => Ok((name.to_owned(), Value::from(text))),
        },
        _ => Err("an input is written NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_input_is_json_if_it_parses_and_else_text() {
        assert_eq!(parse_input("a=1"), Ok(("a".into(), Value::Int(1))));
        assert_eq!(parse_input("a=x=y"), Ok(("a".into(), "x=y".into())));
        assert_eq!(parse_input("a="), Ok(("a".into(), "".into())));
        assert_eq!(parse_input("a=\"1\""), Ok(("a".into(), "1".into())));
        assert!(parse_input("a").is_err());
        for json in ["9223372036854775808", "1e999", r#"{"a": 1, "a": 2}"#, r#""\ud800""#] {
            let error = parse_input(&format!("a={json}")).unwrap_err();
            assert!(error.starts_with("the value looks like JSON, but can't be taken: "), "{error}");
        }
        assert!(parse_input("=1").is_err());
    }
}
