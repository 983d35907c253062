//! The protocol between the probe and a child process: the request as command-line arguments, the response as JSON.

use clap::Subcommand;
use pushflow::{PoolType, StartMethod};
use pushflow_probe_tasks::ProbeTask;
use serde::{Deserialize, Serialize};

use crate::names::{Named, name_parser};
use crate::process_under_test::ProcessUnderTest;
use crate::verdict::Verdict;

/// The hidden command with which a child process is started.
pub(crate) const COMMAND: &str = "probe-child";
/// The environment variable that chooses the plain or the green environment.
pub(crate) const ENVIRONMENT: &str = "PUSHFLOW_ENVIRONMENT";

/// What a child process is to test.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Request {
    /// Whether a task runs on a pool.
    Task {
        #[arg(value_parser = name_parser::<PoolType>())]
        pool: PoolType,
        #[arg(value_parser = name_parser::<ProbeTask>())]
        task: ProbeTask,
        #[arg(value_parser = name_parser::<StartMethod>())]
        start_method: StartMethod,
    },
    /// Whether a process is daemonic.
    Daemonic {
        #[arg(value_parser = name_parser::<ProcessUnderTest>())]
        process: ProcessUnderTest,
        #[arg(value_parser = name_parser::<StartMethod>())]
        start_method: StartMethod,
    },
}

/// What a child process has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Response {
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
    /// Whether the process under test said that it is daemonic; `None` if it said nothing, or was not asked.
    pub(crate) daemonic: Option<bool>,
}

impl From<Verdict> for Response {
    fn from(verdict: Verdict) -> Response {
        Response { verdict, daemonic: None }
    }
}

impl Request {
    /// The arguments that follow [`COMMAND`] and `--parent` on the child's command line.
    pub(crate) fn arguments(&self) -> Vec<&'static str> {
        match self {
            Request::Task { pool, task, start_method } => {
                vec!["task", pool.name(), task.name(), start_method.name()]
            }
            Request::Daemonic { process, start_method } => vec!["daemonic", process.name(), start_method.name()],
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
        request: Request,
    }

    #[test]
    fn a_request_is_parsed_as_it_was_sent() {
        let requests = [
            Request::Task {
                pool: PoolType::NdMultiprocessing,
                task: ProbeTask::BProcess,
                start_method: StartMethod::Forkserver,
            },
            Request::Daemonic { process: ProcessUnderTest::NdMpPool, start_method: StartMethod::Fork },
        ];
        for request in requests {
            let arguments = ["program"].into_iter().chain(request.arguments());
            assert_eq!(Program::parse_from(arguments).request, request);
        }
    }

    #[test]
    fn a_response_is_one_line_of_json() {
        let response = Response::from(Verdict::Refused(REFUSAL.into()));
        let text = serde_json::to_string(&response).unwrap();
        assert_eq!(text, format!(r#"{{"verdict":"refused","message":"{REFUSAL}","daemonic":null}}"#));
        assert_eq!(serde_json::from_str::<Response>(&text).unwrap(), response);
        let response = Response { verdict: Verdict::Ok, daemonic: Some(true) };
        let text = serde_json::to_string(&response).unwrap();
        assert_eq!(serde_json::from_str::<Response>(&text).unwrap(), response, "{text}");
    }
}
