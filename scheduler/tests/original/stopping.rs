//! The workflow of three sleeping tasks that is stopped in the middle, softly and by force, and runs again.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use pushflow::{Data, EndingKind, StopHandle, TaskContext, TaskSpec, Value, Workflow, task};

use crate::tasks::{chain, exception, on_threads, value};

/// A door that tasks wait at, told apart by name, so that tests can run side by side.
static DOORS: Mutex<Vec<(String, bool)>> = Mutex::new(Vec::new());
static MOVED: Condvar = Condvar::new();

fn set_door(name: &str, open: bool) {
    let mut doors = DOORS.lock().unwrap_or_else(PoisonError::into_inner);
    doors.retain(|(other, _)| other != name);
    doors.push((name.to_owned(), open));
    MOVED.notify_all();
}

/// Waits until the door is there, and open if that is asked.
fn wait_for_door(name: &str, open: bool, cancelled: impl Fn() -> bool) -> bool {
    let mut doors = DOORS.lock().unwrap_or_else(PoisonError::into_inner);
    while !doors.iter().any(|(other, is_open)| other == name && (*is_open || !open)) {
        if cancelled() {
            return false;
        }
        doors = MOVED.wait_timeout(doors, Duration::from_millis(5)).unwrap_or_else(PoisonError::into_inner).0;
    }
    true
}

/// Counts; the second one of a run that names a door says that it is there, and waits until it is open.
#[task]
fn count(context: &TaskContext, counter: i64, door: Option<String>) -> Result<Data, String> {
    if let Some(door) = door.filter(|_| counter == 1) {
        set_door(&door, false);
        if !wait_for_door(&door, true, || context.is_cancelled()) {
            return Err("interrupted".to_owned());
        }
    }
    Ok(Data::new().with("counter", counter + 1))
}

/// Three tasks in a row, whose errors an error handler takes to the stop actor.
fn three_tasks() -> Workflow {
    let mut workflow = Workflow::new("sleep");
    let (start, stop) = (workflow.start().unwrap(), workflow.stop().unwrap());
    let handler = workflow.error_handler("Error handler").unwrap();
    let tasks = ["1", "2", "3"].map(|name| workflow.task(name, TaskSpec::rust("count")).unwrap());
    chain(&mut workflow, &[start, tasks[0], tasks[1], tasks[2], stop]);
    workflow.connect(handler, stop).unwrap();
    tasks.iter().for_each(|task| workflow.connect_on_error(*task, handler).unwrap());
    workflow
}

fn runs_normally(workflow: &Workflow) {
    let outcome = workflow.run(Data::new().with("counter", 0), &on_threads()).unwrap();
    assert!(outcome.is_finished() && exception(&outcome).is_none());
    assert_eq!(value(&outcome, "counter"), Some(3.into()));
}

/// Stops a run in the middle of its second task, and gives its outcome.
fn stopped_by(workflow: &Workflow, door: &str, stop: impl FnOnce(&StopHandle) + Send) -> pushflow::Outcome {
    let run = workflow.prepare(Data::new().with("counter", 0).with("door", door), &on_threads()).unwrap();
    let handle = run.stop_handle();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_for_door(door, false, || false);
            stop(&handle);
            set_door(door, true);
        });
        run.wait()
    })
}

#[test]
fn a_soft_stop_lets_the_running_task_end_and_hands_the_next_one_to_its_handler() {
    let workflow = three_tasks();
    runs_normally(&workflow);
    for _ in 0..2 {
        let outcome = stopped_by(&workflow, "soft", |handle| {
            let explained = handle.explain().expect("the run goes on").to_string();
            assert!(explained.contains("\"2\" (attempt 2) has been running for"), "{explained}");
            handle.stop_softly("stopped by user");
            handle.explain();
        });
        DOORS.lock().unwrap().clear();
        assert_eq!(outcome.ending, EndingKind::Stopped { reason: "stopped by user".to_owned() });
        assert_eq!(value(&outcome, "counter"), Some(Value::Int(2)));
        assert!(exception(&outcome).unwrap().ends_with("stopped by user"));
        assert_eq!((outcome.status.as_deref(), outcome.errors.len()), (Some("error"), 0));
    }
    runs_normally(&workflow);
}

#[test]
fn a_forced_stop_interrupts_the_running_task() {
    let workflow = three_tasks();
    let outcome = stopped_by(&workflow, "forced", |handle| {
        handle.stop("stopped by user");
        handle.explain();
    });
    assert_eq!(outcome.ending, EndingKind::Stopped { reason: "stopped by user".to_owned() });
    assert!(outcome.result.is_none());
    runs_normally(&workflow);
}

#[test]
fn a_stop_after_the_end_has_no_effect_and_nothing_to_explain() {
    let workflow = three_tasks();
    let run = workflow.prepare(Data::new().with("counter", 0), &on_threads()).unwrap();
    let handle = run.stop_handle();
    assert!(run.wait().is_finished());
    handle.stop("too late");
    assert!(handle.explain().is_none());
}
