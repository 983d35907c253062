//! The workflow of three sleeping tasks that is stopped in the middle, softly and by force, and runs again.

use std::path::Path;
use std::time::Duration;

use pushflow::{
    ActorId, Cancelled, Data, EndingKind, EventKind, Outcome, RunOptions, StopHandle, TaskContext, TaskSpec, Value,
    Workflow, task,
};
use pushflow_tests::folder::Folder;

use crate::tasks::{chain, exception, value, watching};

/// A run that takes longer than this counts as hanging.
const HANG: Duration = Duration::from_secs(20);

/// Counts. If the run names a file as `door`, the second task waits until that file exists.
#[task]
fn count(context: &TaskContext, counter: i64, door: Option<String>) -> Result<Data, Cancelled> {
    if let Some(door) = door.filter(|_| counter == 1) {
        while !Path::new(&door).exists() {
            context.sleep(Duration::from_millis(5))?;
        }
    }
    Ok(Data::new().with("counter", counter + 1))
}

/// A workflow of three tasks in a row, with an error handler that leads to the stop actor. Returns the second task, too.
fn three_tasks() -> (Workflow, ActorId) {
    let mut workflow = Workflow::new("sleep");
    let (start, stop) = (workflow.start().unwrap(), workflow.stop().unwrap());
    let handler = workflow.error_handler("Error handler").unwrap();
    let tasks = ["1", "2", "3"].map(|name| workflow.task(name, TaskSpec::rust("count")).unwrap());
    chain(&mut workflow, &[start, tasks[0], tasks[1], tasks[2], stop]);
    workflow.connect(handler, stop).unwrap();
    tasks.iter().for_each(|task| workflow.connect_on_error(*task, handler).unwrap());
    (workflow, tasks[1])
}

fn runs_normally(workflow: &Workflow, options: &RunOptions) {
    let outcome = workflow.run(Data::new().with("counter", 0), options).unwrap();
    assert!(outcome.is_finished() && exception(&outcome).is_none());
    assert_eq!(value(&outcome, "counter"), Some(3.into()));
}

/// Stops a run in the middle of its second task, and gives its outcome.
fn stopped_by(
    &(ref workflow, second): &(Workflow, ActorId),
    options: &RunOptions,
    stop: impl FnOnce(&StopHandle) + Send,
) -> Outcome {
    let folder = &Folder::new();
    let inputs = Data::new().with("counter", 0).with("door", folder.path("door").display().to_string());
    let (options, begun) =
        watching(options, move |event| matches!(event, EventKind::AttemptStarted { actor, .. } if *actor == second));
    let run = workflow.prepare(inputs, &options.timeout(HANG)).unwrap();
    let handle = run.stop_handle();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            begun.recv_timeout(HANG).expect("the second task begins");
            stop(&handle);
            folder.write("door", "");
        });
        run.wait()
    })
}

/// A soft stop lets the running task end and hands the next one to its handler.
pub fn softly(options: &RunOptions) {
    let tasks = three_tasks();
    runs_normally(&tasks.0, options);
    for _ in 0..2 {
        let outcome = stopped_by(&tasks, options, |handle| {
            let explained = handle.explain().expect("the run goes on").to_string();
            assert!(explained.contains("\"2\" (attempt 2) has been running for"), "{explained}");
            handle.stop_softly("stopped by user");
            handle.explain();
        });
        assert_eq!(outcome.ending.kind, EndingKind::Stopped { reason: "stopped by user".to_owned() });
        assert_eq!(value(&outcome, "counter"), Some(Value::Int(2)));
        assert!(exception(&outcome).unwrap().ends_with("stopped by user"));
        assert_eq!((outcome.ending.status.as_deref(), outcome.ending.errors.len()), (Some("error"), 0));
    }
    runs_normally(&tasks.0, options);
}

/// A forced stop interrupts the running task.
pub fn by_force(options: &RunOptions) {
    let tasks = three_tasks();
    let outcome = stopped_by(&tasks, options, |handle| {
        handle.stop("stopped by user");
        handle.explain();
    });
    assert_eq!(outcome.ending.kind, EndingKind::Stopped { reason: "stopped by user".to_owned() });
    assert!(outcome.ending.result.is_none());
    runs_normally(&tasks.0, options);
}

/// A stop after the end has no effect and nothing to explain.
pub fn too_late(options: &RunOptions) {
    let (workflow, _) = three_tasks();
    let run = workflow.prepare(Data::new().with("counter", 0), options).unwrap();
    let handle = run.stop_handle();
    assert!(run.wait().is_finished());
    handle.stop("too late");
    assert!(handle.explain().is_none());
}
