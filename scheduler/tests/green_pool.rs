//! The tests of `thread_pool.rs` in the green environment, and tests of the pool `gevent` alone.

#[path = "thread_pool.rs"]
mod thread_pool;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pushflow::{
    Data, EventKind, Observer, PoolOptions, PoolType, RunOptions, TaskSpec, Workflow, WorkflowEvent, green, task,
};

fn one_task(task: TaskSpec) -> Workflow {
    let mut workflow = Workflow::new("green");
    let (start, stop) = (workflow.start().unwrap(), workflow.stop().unwrap());
    let actor = workflow.task("the task", task).unwrap();
    workflow.connect(start, actor).unwrap();
    workflow.connect(actor, stop).unwrap();
    workflow
}

fn green() -> RunOptions {
    green::enable().unwrap();
    RunOptions::default()
}

/// Whether the observer has received the event about the task that holds the thread.
static HEARD: AtomicBool = AtomicBool::new(false);

#[task]
fn holds_the_thread() {
    while !HEARD.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
}

#[derive(Default)]
struct HearsOfBlocked(Mutex<Vec<(String, Duration)>>);

impl Observer for HearsOfBlocked {
    fn observe(&self, event: &WorkflowEvent) {
        if let EventKind::AttemptBlocked { attempt, held, .. } = event.kind {
            self.0.lock().unwrap().push((attempt.to_string(), held));
            HEARD.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_task_that_holds_the_thread_is_reported_once_while_it_does() {
    let observer = Arc::<HearsOfBlocked>::default();
    let limit = Duration::from_millis(10);
    let pool_options = PoolOptions { blocking_limit: limit, ..PoolOptions::default() };
    let options = green().pool_options(pool_options).observer(observer.clone());
    assert!(one_task(TaskSpec::rust("holds_the_thread")).run(Data::new(), &options).unwrap().is_finished());
    let heard = observer.0.lock().unwrap();
    let [(attempt, held)] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(attempt, "1");
    assert!(*held >= limit);
}

#[test]
fn once_a_pool_is_open_the_plain_environment_can_t_be_chosen_any_more() {
    let options = green().pool(PoolType::Gevent);
    one_task(TaskSpec::rust("add_one")).run(Data::new().with("value", 1), &options).unwrap();
    assert_eq!(
        green::choose(green::Environment::Plain).unwrap_err().to_string(),
        "the environment can't be changed to plain any more: a pool was opened in the green one; choose it before the \
         first pool"
    );
}
