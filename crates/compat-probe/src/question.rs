//! What the probe asks of a process, and what the process answers.

use clap::Subcommand;
use pushflow::{PoolType, StartMethod};
use pushflow_probe_tasks::ProbeTask;
use serde::{Deserialize, Serialize};

use crate::kind::Kind;
use crate::names::{Named, named};
use crate::verdict::Verdict;

/// The hidden command of the programs that have the probe.
pub(crate) const COMMAND: &str = "probe-cell";
/// The variable that chooses the environment.
pub(crate) const ENVIRONMENT: &str = "PUSHFLOW_ENVIRONMENT";

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::REFUSAL;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(subcommand)]
        question: Question,
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
            let arguments = ["program"].into_iter().chain(question.arguments());
            assert_eq!(Program::parse_from(arguments).question, question);
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
