//! The tasks of these workflows, and what the tests share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pushflow::{
    ActorId, Cancelled, Data, Graph, Link, Outcome, PoolType, RunOptions, TaskContext, TaskSpec, Value, Workflow, task,
};

#[task]
fn greet(name: String) -> Data {
    Data::new().with("reply", format!("Hello {name}!"))
}

#[task]
fn raise() -> Result<(), String> {
    Err("a task that always fails".to_owned())
}

#[task]
fn add(value: i64) -> Data {
    Data::new().with("value", value + 1)
}

#[task]
fn compare(value: i64, limit: i64) -> Data {
    Data::new().with("do_continue", if value >= limit { "false" } else { "true" })
}

/// How often `gather` has run.
pub static GATHERED: AtomicUsize = AtomicUsize::new(0);

#[task]
fn gather() {
    GATHERED.fetch_add(1, Ordering::Relaxed);
}

/// Sleeps until it is cancelled if it is asked to sleep at all.
#[task]
fn greet_after(context: &TaskContext, name: String, sleep: bool) -> Result<Data, Cancelled> {
    if sleep {
        context.sleep(Duration::from_secs(3600))?;
    }
    Ok(Data::new().with("reply", format!("Hello {name}!")))
}

pub fn on_threads() -> RunOptions {
    RunOptions { pool: PoolType::Thread, ..RunOptions::default() }
}

pub fn value(outcome: &Outcome, name: &str) -> Option<Value> {
    outcome.result.as_ref().and_then(|result| result.value(name).unwrap().cloned())
}

/// The message of the error that the result comes from.
pub fn exception(outcome: &Outcome) -> Option<String> {
    let exception = value(outcome, "WorkflowException")?;
    exception.as_map()?.get("errorMessage")?.as_str().map(str::to_owned)
}

/// Links in a row.
pub fn chain(workflow: &mut Workflow, actors: &[ActorId]) {
    for pair in actors.windows(2) {
        workflow.connect(pair[0], pair[1]).unwrap();
    }
}

/// `In`, a task, `Out`.
pub fn submodel(task: &str) -> Graph {
    let mut graph = Graph::new("submodel");
    let actors = [graph.add_port("In"), graph.add_task("task", TaskSpec::rust(task)), graph.add_port("Out")];
    let [enter, task, leave] = actors.map(Result::unwrap);
    graph.connect(enter, task, Link::direct()).unwrap();
    graph.connect(task, leave, Link::direct()).unwrap();
    graph
}
