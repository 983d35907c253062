//! The tasks of these workflows, and what the checks share.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use pushflow::{
    ActorId, Cancelled, Data, EventKind, Graph, Link, Observer, Outcome, RunOptions, TaskContext, TaskSpec, Value,
    Workflow, WorkflowEvent, task,
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

#[task]
fn gather() {}

/// Sleeps until it is cancelled if it is asked to sleep at all.
#[task]
fn greet_after(context: &TaskContext, name: String, sleep: bool) -> Result<Data, Cancelled> {
    if sleep {
        context.sleep(Duration::from_secs(3600))?;
    }
    Ok(Data::new().with("reply", format!("Hello {name}!")))
}

/// Passes on each event that is wanted.
struct Watcher<W> {
    wanted: W,
    sender: Sender<()>,
}

impl<W: Fn(&EventKind) -> bool + Send + Sync> Observer for Watcher<W> {
    fn observe(&self, event: &WorkflowEvent) {
        if (self.wanted)(&event.kind) {
            self.sender.send(()).ok();
        }
    }
}

/// The same options, and a receiver of one message for each event that is wanted.
pub fn watching(
    options: &RunOptions,
    wanted: impl Fn(&EventKind) -> bool + Send + Sync + 'static,
) -> (RunOptions, Receiver<()>) {
    let (sender, happened) = channel();
    (options.clone().observer(Watcher { wanted, sender }), happened)
}

pub fn value(outcome: &Outcome, name: &str) -> Option<Value> {
    outcome.ending.result.as_ref().and_then(|result| result.value(name).unwrap().cloned())
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
