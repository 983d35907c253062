//! The arguments of the probe: every option is defined here once, with its help, for both programs that have it.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::{Args, ValueEnum};
use pushflow::green::Environment;
use pushflow::{PoolType, StartMethod};
use pushflow_probe_tasks::ProbeTask;

use crate::names::name_parser;
use crate::request::Request;

/// Which combinations are probed, and how.
#[derive(Debug, Args)]
pub struct ProbeArguments {
    /// Only this pool; may be given again
    #[arg(long, value_parser = name_parser::<PoolType>())]
    pub(crate) pool: Vec<PoolType>,

    /// Only this task; may be given again
    #[arg(long, value_parser = name_parser::<ProbeTask>())]
    pub(crate) task: Vec<ProbeTask>,

    /// Only this start method; may be given again. It is that of the pool and of what the task has inside; on `thread`
    /// and `gevent` of what the task has inside
    #[arg(long, value_name = "METHOD", value_parser = name_parser::<StartMethod>())]
    pub(crate) start_method: Vec<StartMethod>,

    /// Only this environment; may be given again
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
    /// Only this start method; may be given again
    #[arg(long, value_name = "METHOD", value_parser = name_parser::<StartMethod>())]
    pub(crate) start_method: Vec<StartMethod>,

    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CommonArguments {
    /// How many are run at a time [default: the cores]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// How many seconds each may take; what takes longer hangs
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

/// What one process of the probe runs: given by the probe to a copy of its own program.
#[derive(Debug, Args)]
pub struct ChildArguments {
    /// The process that asks, and with which this one ends
    #[arg(long)]
    pub(crate) parent: u32,

    #[command(subcommand)]
    pub(crate) request: Request,
}
