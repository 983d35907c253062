//! [`ProcessUnderTest`]: the kinds of process whose daemonic flag the original's `check_daemonic` reads.

use std::error::Error;

use pushflow::{Data, PoolType, Process, ProcessFamily, ProcessKind, StartMethod, TaskPool};
use pushflow_probe_tasks::{pool_options, process_identity};

use crate::names::Named;

/// A kind of process, named as in the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessUnderTest {
    MpPool,
    NdMpPool,
    BPool,
    CfPool,
    NdCfPool,
    MpProcess,
    NdMpProcess,
    BProcess,
}

impl Named for ProcessUnderTest {
    const ALL: &'static [ProcessUnderTest] = &[
        ProcessUnderTest::MpPool,
        ProcessUnderTest::NdMpPool,
        ProcessUnderTest::BPool,
        ProcessUnderTest::CfPool,
        ProcessUnderTest::NdCfPool,
        ProcessUnderTest::MpProcess,
        ProcessUnderTest::NdMpProcess,
        ProcessUnderTest::BProcess,
    ];

    fn name(self) -> &'static str {
        match self {
            ProcessUnderTest::MpPool => "mppool",
            ProcessUnderTest::NdMpPool => "nd_mppool",
            ProcessUnderTest::BPool => "bpool",
            ProcessUnderTest::CfPool => "cfpool",
            ProcessUnderTest::NdCfPool => "nd_cfpool",
            ProcessUnderTest::MpProcess => "mpprocess",
            ProcessUnderTest::NdMpProcess => "nd_mpprocess",
            ProcessUnderTest::BProcess => "bprocess",
        }
    }
}

impl ProcessUnderTest {
    /// Whether the original's process is daemonic: measured, and the same with every start method.
    pub(crate) fn is_daemonic_in_original(self) -> bool {
        matches!(self, ProcessUnderTest::MpPool | ProcessUnderTest::BPool)
    }

    /// Starts such a process and asks it whether it is daemonic.
    ///
    /// # Errors
    /// When the process can't be started, or does not say.
    pub(crate) fn is_daemonic(self, start_method: StartMethod) -> Result<bool, Box<dyn Error>> {
        let by_default = ProcessKind::default();
        match self {
            ProcessUnderTest::MpPool => in_pool(PoolType::Multiprocessing, start_method),
            ProcessUnderTest::NdMpPool => in_pool(PoolType::NdMultiprocessing, start_method),
            ProcessUnderTest::BPool => in_pool(PoolType::Billiard, start_method),
            ProcessUnderTest::CfPool => in_pool(PoolType::Process, start_method),
            ProcessUnderTest::NdCfPool => in_pool(PoolType::NdProcess, start_method),
            ProcessUnderTest::MpProcess => in_process(by_default, start_method),
            ProcessUnderTest::NdMpProcess => in_process(by_default.daemon(false), start_method),
            ProcessUnderTest::BProcess => in_process(by_default.family(ProcessFamily::Billiard), start_method),
        }
    }
}

fn in_pool(pool: PoolType, start_method: StartMethod) -> Result<bool, Box<dyn Error>> {
    let (task, inputs) = process_identity();
    daemonic(&TaskPool::open(pool, &pool_options(start_method))?.submit(task, inputs)?.wait()?)
}

fn in_process(kind: ProcessKind, start_method: StartMethod) -> Result<bool, Box<dyn Error>> {
    let (task, inputs) = process_identity();
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
