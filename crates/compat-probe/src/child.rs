//! The child process of the probe, which handles one request and exits.
//!
//! The probe starts the child with [`Request::arguments`]. The child prints its [`Response`] as one line of JSON. When the
//! probe ends, in whatever way, the kernel kills the child.

use std::error::Error;

use nix::sys::signal::Signal;
use nix::unistd::getppid;
use pushflow::{OpenError, Outcome, PoolType, RunError, RunOptions, StartMethod, Workflow};
use pushflow_probe_tasks::{ProbeTask, pool_options};

use crate::arguments::ChildArguments;
use crate::baseline::REFUSAL;
use crate::exit;
use crate::request::{Request, Response};
use crate::verdict::Verdict;

/// The input that every task doubles.
const VALUE: i64 = 21;

/// Handles the request, prints the response on standard output, and returns the exit code.
pub fn run_child(arguments: &ChildArguments) -> u8 {
    if let Err(reason) = end_with(arguments.parent) {
        eprintln!("pushflow: the process of a combination could not begin: {reason}");
        return exit::USAGE;
    }
    let response = match &arguments.request {
        Request::Task { pool, task, start_method } => Response::from(run(*pool, *task, *start_method)),
        Request::Daemonic { process, start_method } => match process.is_daemonic(*start_method) {
            Ok(daemonic) => Response { verdict: Verdict::Ok, daemonic: Some(daemonic) },
            Err(error) => Response::from(Verdict::Failed(error.to_string())),
        },
    };
    println!("{}", serde_json::to_string(&response).expect("an answer is always written"));
    exit::SUCCESS
}

/// Lets the kernel kill this process when the probe has ended.
fn end_with(parent: u32) -> Result<(), Box<dyn Error>> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The probe may have ended before the call above; no signal comes then.
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
        // The table of the original has no reason for this either.
        Err(RunError::Pool(error @ OpenError::NotGreen)) => Verdict::Unsupported(error.to_string()),
        Err(error) => Verdict::Failed(error.to_string()),
    }
}

/// A workflow of start, the task and stop.
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
