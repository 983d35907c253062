//! One combination, run in this process, which was started for nothing else.
//!
//! The process is started by the probe with [`Question::arguments`] and ends with it, however that ends; it says how it
//! went as one line of JSON.

use std::error::Error;

use clap::Subcommand;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use pushflow::{OpenError, Outcome, PoolType, RunError, RunOptions, StartMethod, Workflow};
use pushflow_probe_tasks::{ProbeTask, pool_options};
use serde::{Deserialize, Serialize};

use crate::arguments::CellArguments;
use crate::daemonic::Kind;
use crate::names::{Named, named};
use crate::seed::REFUSAL;
use crate::verdict::Verdict;

/// The hidden command of the programs that have the probe.
pub(crate) const COMMAND: &str = "probe-cell";
/// The variable that chooses the environment.
pub(crate) const ENVIRONMENT: &str = "PUSHFLOW_ENVIRONMENT";

/// What every task doubles.
const VALUE: i64 = 21;

/// What a process of the probe is to find out.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Question {
    /// How a task runs on a pool.
    Task {
        #[arg(value_parser = named::<PoolType>())]
        pool: PoolType,
        #[arg(value_parser = named::<ProbeTask>())]
        task: ProbeTask,
        #[arg(value_parser = named::<StartMethod>())]
        start_method: StartMethod,
    },
    /// Whether a process is daemonic.
    Daemonic {
        #[arg(value_parser = named::<Kind>())]
        kind: Kind,
        #[arg(value_parser = named::<StartMethod>())]
        start_method: StartMethod,
    },
}

/// What it has found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
    /// Whether the process was daemonic, by its own account.
    pub(crate) daemonic: Option<bool>,
}

impl From<Verdict> for Answer {
    fn from(verdict: Verdict) -> Answer {
        Answer { verdict, daemonic: None }
    }
}

impl Question {
    /// The arguments with which a process is asked, after [`COMMAND`] and `--parent`.
    pub(crate) fn arguments(&self) -> Vec<&'static str> {
        match self {
            Question::Task { pool, task, start_method } => {
                vec!["task", pool.name(), task.name(), start_method.name()]
            }
            Question::Daemonic { kind, start_method } => vec!["daemonic", kind.name(), start_method.name()],
        }
    }
}

/// Answers the question on standard output: the exit code.
pub fn answer(arguments: &CellArguments) -> u8 {
    if let Err(reason) = end_with(arguments.parent) {
        eprintln!("pushflow: the process of a combination could not begin: {reason}");
        return crate::UNABLE;
    }
    let answer = match &arguments.question {
        Question::Task { pool, task, start_method } => Answer::from(run(*pool, *task, *start_method)),
        Question::Daemonic { kind, start_method } => match kind.ask(*start_method) {
            Ok(daemonic) => Answer { verdict: Verdict::Ok, daemonic: Some(daemonic) },
            Err(error) => Answer::from(Verdict::Failed(error.to_string())),
        },
    };
    println!("{}", serde_json::to_string(&answer).expect("an answer is always written"));
    crate::GOOD
}

/// Has this process killed when the probe is gone.
fn end_with(parent: u32) -> Result<(), Box<dyn Error>> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // It may have ended before it was watched.
    match getppid().as_raw().unsigned_abs() == parent {
        true => Ok(()),
        false => Err("the probe has ended".into()),
    }
}

fn run(pool: PoolType, task: ProbeTask, start_method: StartMethod) -> Verdict {
    let options = RunOptions::new().pool(pool).pool_options(pool_options(start_method));
    let run = || workflow(task)?.run(task.inputs(VALUE, start_method), &options);
    match run() {
        Ok(outcome) => judge(task, &outcome),
        // The original's table says no more of it either.
        Err(RunError::Pool(error @ OpenError::NotGreen)) => Verdict::Unsupported(error.to_string()),
        Err(error) => Verdict::Failed(error.to_string()),
    }
}

/// start, the task, stop.
fn workflow(task: ProbeTask) -> Result<Workflow, RunError> {
    let mut workflow = Workflow::new("probe");
    let (start, actor, stop) = (workflow.start()?, workflow.task(task.name(), task.spec())?, workflow.stop()?);
    workflow.connect(start, actor)?;
    workflow.connect(actor, stop)?;
    Ok(workflow)
}

fn judge(task: ProbeTask, outcome: &Outcome) -> Verdict {
    if let Some(error) = outcome.errors().first() {
        return match &*error.error.message {
            REFUSAL => Verdict::Refused(REFUSAL.to_owned()),
            _ => Verdict::Failed(error.error.to_string()),
        };
    }
    match outcome.result() {
        Some(result) if outcome.is_finished() => match task.check(VALUE, result) {
            Ok(()) => Verdict::Ok,
            Err(reason) => Verdict::Failed(reason),
        },
        _ => Verdict::Failed(format!("the run ended as {:?}", outcome.ending.kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        arguments: CellArguments,
    }

    #[test]
    fn a_question_is_understood_as_it_was_asked() {
        let questions = [
            Question::Task {
                pool: PoolType::NdMultiprocessing,
                task: ProbeTask::BProcess,
                start_method: StartMethod::Forkserver,
            },
            Question::Daemonic { kind: Kind::NdMpPool, start_method: StartMethod::Fork },
        ];
        for question in questions {
            let arguments = ["program", "--parent", "7"].into_iter().chain(question.arguments());
            assert_eq!(Program::parse_from(arguments).arguments.question, question);
        }
    }

    #[test]
    fn an_answer_is_one_line_of_json() {
        let answer = Answer::from(Verdict::Refused(REFUSAL.into()));
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(text, format!(r#"{{"verdict":"refused","message":"{REFUSAL}","daemonic":null}}"#));
        assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
        let answer = Answer { verdict: Verdict::Ok, daemonic: Some(true) };
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer, "{text}");
    }
}
