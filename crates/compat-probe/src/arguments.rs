//! The arguments of the probe. Every option is defined here once, with its help, for `pushflow-probe` and `pushflow`.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::{Args, ValueEnum};
use pushflow::green::Environment;
use pushflow::{PoolType, StartMethod};
use pushflow_probe_tasks::ProbeTask;

use crate::names::name_parser;
use crate::request::Request;

/// Which combinations the probe runs, and how.
#[derive(Debug, Args)]
pub struct ProbeArguments {
    /// Only this pool; may be given more than once
    #[arg(long, value_parser = name_parser::<PoolType>())]
    pub(crate) pool: Vec<PoolType>,

    /// Only this task; may be given more than once
    #[arg(long, value_parser = name_parser::<ProbeTask>())]
    pub(crate) task: Vec<ProbeTask>,

    /// Only this start method; may be given more than once. It is used by the pool and by the pool or process inside the
    /// task; on `thread` and `gevent`, which start no process, only by the latter
    #[arg(long, value_name = "METHOD", value_parser = name_parser::<StartMethod>())]
    pub(crate) start_method: Vec<StartMethod>,

    /// Only this environment; may be given more than once
    #[arg(long, value_parser = name_parser::<Environment>())]
    pub(crate) environment: Vec<Environment>,

    /// How often each combination is run
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) repeat: NonZeroUsize,

    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// Which start methods are checked, and how.
#[derive(Debug, Args)]
pub struct DaemonicArguments {
    /// Only this start method; may be given more than once
    #[arg(long, value_name = "METHOD", value_parser = name_parser::<StartMethod>())]
    pub(crate) start_method: Vec<StartMethod>,

    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CommonArguments {
    /// How many processes are run at a time [default: the number of cores]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// How many seconds each process may take; one that takes longer counts as hung
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) deadline: u32,

    /// How the result is printed
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
}

impl CommonArguments {
    pub(crate) fn jobs(&self) -> NonZeroUsize {
        self.jobs.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
    }

    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline.into())
    }
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// A table for people
    Text,
    /// The page docs/compatibility.md
    Markdown,
    /// One JSON object
    Json,
}

/// The arguments of a child process, which runs the program of the probe once more.
#[derive(Debug, Args)]
pub struct ChildArguments {
    /// The process id of the probe, with which the child process ends
    #[arg(long)]
    pub(crate) parent: u32,

    #[command(subcommand)]
    pub(crate) request: Request,
}
