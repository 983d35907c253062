//! [`Kind`]: the kinds of process that the original's `check_daemonic` looks at, and what each says of itself.

use std::error::Error;

use pushflow::{Data, PoolType, Process, ProcessFamily, ProcessKind, StartMethod, TaskPool};
use pushflow_probe_tasks::{pool_options, who};

use crate::names::Named;

/// A kind of process, by the original's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    MpPool,
    NdMpPool,
    BPool,
    CfPool,
    NdCfPool,
    MpProcess,
    NdMpProcess,
    BProcess,
}

impl Named for Kind {
    const ALL: &'static [Kind] = &[
        Kind::MpPool,
        Kind::NdMpPool,
        Kind::BPool,
        Kind::CfPool,
        Kind::NdCfPool,
        Kind::MpProcess,
        Kind::NdMpProcess,
        Kind::BProcess,
    ];

    fn name(self) -> &'static str {
        match self {
            Kind::MpPool => "mppool",
            Kind::NdMpPool => "nd_mppool",
            Kind::BPool => "bpool",
            Kind::CfPool => "cfpool",
            Kind::NdCfPool => "nd_cfpool",
            Kind::MpProcess => "mpprocess",
            Kind::NdMpProcess => "nd_mpprocess",
            Kind::BProcess => "bprocess",
        }
    }
}

impl Kind {
    /// What the original was measured to be, with every start method.
    pub(crate) fn original(self) -> bool {
        matches!(self, Kind::MpPool | Kind::BPool)
    }

    /// Whether such a process is daemonic, by its own account.
    pub(crate) fn ask(self, start_method: StartMethod) -> Result<bool, Box<dyn Error>> {
        let by_default = ProcessKind::default();
        match self {
            Kind::MpPool => in_pool(PoolType::Multiprocessing, start_method),
            Kind::NdMpPool => in_pool(PoolType::NdMultiprocessing, start_method),
            Kind::BPool => in_pool(PoolType::Billiard, start_method),
            Kind::CfPool => in_pool(PoolType::Process, start_method),
            Kind::NdCfPool => in_pool(PoolType::NdProcess, start_method),
            Kind::MpProcess => in_process(by_default, start_method),
            Kind::NdMpProcess => in_process(ProcessKind { daemon: false, ..by_default }, start_method),
            Kind::BProcess => in_process(ProcessKind { family: ProcessFamily::Billiard, ..by_default }, start_method),
        }
    }
}

fn in_pool(pool: PoolType, start_method: StartMethod) -> Result<bool, Box<dyn Error>> {
    let (task, inputs) = who();
    daemonic(&TaskPool::open(pool, &pool_options(start_method))?.submit(task, inputs)?.wait()?)
}

fn in_process(kind: ProcessKind, start_method: StartMethod) -> Result<bool, Box<dyn Error>> {
    let (task, inputs) = who();
    let process = Process::start(kind, &pool_options(start_method), task, inputs)?;
    process.join(None);
    daemonic(&process.result().ok_or("the process is over without an outcome")??)
}

fn daemonic(said: &Data) -> Result<bool, Box<dyn Error>> {
    match said.value("daemonic")? {
        Some(&pushflow::Value::Bool(daemonic)) => Ok(daemonic),
        other => Err(format!("the process says that it is {other:?}").into()),
    }
}
