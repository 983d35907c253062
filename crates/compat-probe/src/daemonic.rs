//! `pushflow-probe daemonic`, `pushflow daemonic`: the daemonic flag as seen inside a process, for every kind of process
//! that the original's `check_daemonic` looks at.

use std::error::Error;
use std::io;

use pushflow::green::Environment;
use pushflow::{Data, PoolType, Process, ProcessFamily, ProcessKind, StartMethod, TaskPool};
use pushflow_probe_tasks::{pool_options, who};

use crate::arguments::{DaemonicArguments, Format};
use crate::cell::{Answer, Question};
use crate::interruption::Interruption;
use crate::names::{Named, chosen};
use crate::schedule::ask_all;
use crate::{exit, fresh, progress, report};

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

/// A kind of process, started in one way, and what it says of itself; `None` if it was not asked.
pub(crate) struct Flag {
    pub(crate) kind: Kind,
    pub(crate) start_method: StartMethod,
    pub(crate) answer: Option<Answer>,
}

impl Flag {
    pub(crate) fn agrees(&self) -> bool {
        self.answer.as_ref().is_none_or(|answer| answer.daemonic == Some(self.kind.original()))
    }
}

/// Asks every kind of process, with every start method, each in a fresh process, and prints what they say: the exit code.
///
/// 0 if all agree with the original, 1 if one does not, 2 if the check could not begin, 130 or 143 after SIGINT or SIGTERM.
pub fn check_daemonic(arguments: &DaemonicArguments) -> u8 {
    match try_check(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: the check can't run here: {error}");
            exit::UNABLE
        }
    }
}

fn try_check(arguments: &DaemonicArguments) -> io::Result<u8> {
    let interruption = Interruption::listen()?;
    fresh::adopt_guardians()?;
    let methods = chosen(&arguments.start_method);
    let kinds = Kind::ALL.iter().flat_map(|&kind| methods.iter().map(move |&method| (kind, method)));
    let mut flags: Vec<Flag> = kinds.map(|(kind, start_method)| Flag { kind, start_method, answer: None }).collect();
    let questions: Vec<Question> =
        flags.iter().map(|&Flag { kind, start_method, .. }| Question::Daemonic { kind, start_method }).collect();
    let bar = progress::bar(questions.len());
    let deadline = arguments.common.deadline();
    let ask = |number: usize| fresh::ask(&questions[number], Environment::Plain, deadline, &interruption);
    ask_all(questions.len(), arguments.common.jobs(), ask, |index, answer| {
        flags[index].answer = Some(answer);
        bar.inc(1);
    });
    bar.finish_and_clear();
    fresh::wait_for_guardians();
    report::print(&match arguments.common.format {
        Format::Text => report::text::flags(&flags, &methods),
        Format::Markdown => report::markdown::flags(&flags, &methods),
        Format::Json => report::json::flags(&flags),
    })?;
    Ok(exit::code(interruption.signal(), flags.iter().all(Flag::agrees)))
}
