//! The cases that hold on every pool, with and without scaling.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pushflow::{Data, ErrorKind, PoolClosed, TaskPool, TaskResult, TaskSpec, Value};

use crate::{HANG, Suite, echo, number, outcome, submit, wait_until};

pub(crate) type Case = (&'static str, fn(&Suite));

pub(crate) const CASES: [Case; 15] = [
    ("submit", submits),
    ("callback_once", calls_back_once),
    ("error", tells_errors),
    ("interrupt", interrupts_what_runs),
    ("close", closes),
    ("join", joins),
    ("shutdown", shuts_down),
    ("drop", waits_when_dropped),
    ("order", keeps_the_order),
    ("backpressure", takes_more_than_it_can_run),
    ("many_submitters", serves_many_submitters),
    ("exit_options", heeds_the_options_about_its_end),
    ("joined_callbacks", waits_for_callbacks),
    ("endless_times", takes_times_without_end),
    ("held_stdout", prints_while_the_programs_output_is_held),
];

fn submits(suite: &Suite) {
    let pool = suite.open(2);
    let (one, two) = (submit(&pool, "echoes", echo(1)), submit(&pool, "echoes", echo("two")));
    assert_eq!(outcome(two).unwrap().value("value").unwrap(), Some(&Value::from("two")));
    assert_eq!(number(outcome(one), "value"), 1);
    // A task whose outcome nobody waits for does no harm.
    drop(submit(&pool, "echoes", echo(3)));
    assert_eq!(number(outcome(submit(&pool, "echoes", echo(4))), "value"), 4);
}

fn submit_then(pool: &TaskPool, task: &str, inputs: Data, callback: impl FnOnce(TaskResult) + Send + 'static) {
    pool.submit_then(TaskSpec::rust(task), inputs, callback).expect("the pool is open");
}

fn calls_back_once(suite: &Suite) {
    let pool = suite.open(2);
    let (sender, called) = mpsc::channel();
    for index in 0..100 {
        let sender = sender.clone();
        submit_then(&pool, "echoes", echo(index), move |outcome| {
            sender.send((index, number(outcome, "value"))).unwrap();
        });
    }
    submit_then(&pool, "echoes", echo(0), |_| panic!("the callback's own fault"));
    let failed = sender.clone();
    submit_then(&pool, "fails", Data::new().with("message", "no"), move |outcome| {
        assert_eq!(outcome.unwrap_err().message, "no");
        failed.send((-1, -1)).unwrap();
    });
    drop(sender);
    let mut seen: Vec<(i64, i64)> = called.iter().collect();
    seen.sort_unstable();
    assert_eq!(seen, (-1..100).map(|index| (index, index)).collect::<Vec<_>>());
    assert_eq!(number(outcome(submit(&pool, "echoes", echo(7))), "value"), 7, "the pool goes on");
}

fn tells_errors(suite: &Suite) {
    let pool = suite.open(1);
    let message = || Data::new().with("message", "the task's own words");
    for (task, kind) in [("fails", ErrorKind::Raised), ("panics", ErrorKind::Panicked)] {
        let error = outcome(submit(&pool, task, message())).unwrap_err();
        assert_eq!((error.kind, &*error.message), (kind, "the task's own words"), "{error:?}");
    }
    let error = outcome(submit(&pool, "no_such_task", Data::new())).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.message.contains("no task named \"no_such_task\""), "{error}");
    assert_eq!(number(outcome(submit(&pool, "echoes", echo(1))), "value"), 1, "the pool goes on");
}

fn interrupts_what_runs(suite: &Suite) {
    let pool = suite.open(2);
    let one = submit(&pool, "runs_until_interrupted", suite.named("a"));
    suite.wait_for("a");
    // The event that a task has begun comes before the outcomes of later tasks.
    assert_eq!(number(outcome(submit(&pool, "echoes", echo(4))), "value"), 4);
    let other = submit(&pool, "runs_until_interrupted", suite.named("b"));
    suite.wait_for("b");
    let waiting = submit(&pool, "echoes", echo(5));
    pool.interrupt();
    assert_interrupted(outcome(one));
    assert_eq!(number(outcome(waiting), "value"), 5, "what waited is run");
    pool.interrupt();
    assert_interrupted(outcome(other));
    assert_eq!(number(outcome(submit(&pool, "echoes", echo(6))), "value"), 6, "the pool is usable afterwards");
}

fn assert_interrupted(outcome: TaskResult) {
    let error = outcome.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Stopped | ErrorKind::Raised), "{error:?}");
}

fn closes(suite: &Suite) {
    let pool = suite.open(1);
    let running = submit(&pool, "waits", suite.named("a"));
    let waiting = submit(&pool, "echoes", echo(1));
    pool.close();
    let refused = pool.submit(TaskSpec::rust("echoes"), echo(2)).map(drop);
    assert_eq!(refused, Err(PoolClosed));
    assert_eq!(PoolClosed.to_string(), "the pool is closed and takes no more tasks");
    suite.go();
    outcome(running).unwrap();
    assert_eq!(number(outcome(waiting), "value"), 1, "what was submitted before is run");
}

fn joins(suite: &Suite) {
    let pool = suite.open(2);
    assert!(pool.join(None), "there is nothing to wait for");
    let _running = submit(&pool, "waits", suite.named("a"));
    assert!(!pool.join(Some(Duration::ZERO)));
    suite.go();
    assert!(pool.join(Some(HANG)));
    assert_eq!(number(outcome(submit(&pool, "echoes", echo(1))), "value"), 1, "a pool that was joined goes on");
}

fn shuts_down(suite: &Suite) {
    let pool = suite.open(1);
    let done = submit(&pool, "echoes", echo(1));
    assert!(pool.shutdown(Some(HANG), false));
    assert_eq!(number(outcome(done), "value"), 1, "the outcome is kept");
    assert!(pool.submit(TaskSpec::rust("echoes"), echo(2)).is_err());
    assert_eq!(pool.workers(), 0);
    assert!(pool.shutdown(None, true), "a second time does nothing");

    let pool = suite.open(1);
    let running = submit(&pool, "runs_until_interrupted", suite.named("a"));
    let waiting = submit(&pool, "echoes", echo(1));
    suite.wait_for("a");
    assert!(!pool.shutdown(Some(Duration::ZERO), false), "it was ended");
    assert!(outcome(running).is_err());
    assert!(outcome(waiting).is_err());
}

fn waits_when_dropped(suite: &Suite) {
    let pool = suite.open(1);
    let seen = Arc::<Mutex<Vec<i64>>>::default();
    for index in 0..10 {
        let seen = seen.clone();
        submit_then(&pool, "notes", suite.named(index), move |outcome| {
            outcome.unwrap();
            seen.lock().unwrap().push(index);
        });
    }
    drop(pool);
    let notes = std::fs::read_to_string(suite.path("notes")).unwrap();
    assert_eq!(notes.lines().count(), 10);
    wait_until("all callbacks", || seen.lock().unwrap().len() == 10);
}

fn keeps_the_order(suite: &Suite) {
    let pool = suite.open(1);
    let (sender, called) = mpsc::channel();
    for index in 0..50 {
        let sender = sender.clone();
        submit_then(&pool, "notes", suite.named(index), move |outcome| {
            outcome.unwrap();
            sender.send(index).unwrap();
        });
    }
    drop(sender);
    assert_eq!(called.iter().collect::<Vec<i64>>(), (0..50).collect::<Vec<_>>(), "the order of the callbacks");
    let notes = std::fs::read_to_string(suite.path("notes")).unwrap();
    let order: Vec<i64> = notes.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(order, (0..50).collect::<Vec<_>>(), "the order of the tasks");
}

/// Submitting does not wait, the number of tasks at a time stays within the limit, and no task is lost, however long the
/// values are.
fn takes_more_than_it_can_run(suite: &Suite) {
    let pool = suite.open(2);
    let counting: Vec<_> = (0..200).map(|index| submit(&pool, "counts_itself", suite.named(index))).collect();
    let running = counting.into_iter().map(|pending| number(outcome(pending), "running"));
    assert!(running.max().unwrap() <= 2, "two workers are allowed");

    let text = "x".repeat(100_000);
    let long: Vec<_> = (0..64).map(|index| submit(&pool, "echoes", echo(format!("{index}{text}")))).collect();
    for (index, pending) in long.into_iter().enumerate() {
        let result = outcome(pending).unwrap();
        assert!(result.value("value").unwrap() == Some(&Value::from(format!("{index}{text}"))), "{index}");
    }
}

fn serves_many_submitters(suite: &Suite) {
    let pool = suite.open(4);
    std::thread::scope(|scope| {
        for submitter in 0..8 {
            let pool = &pool;
            scope.spawn(move || {
                let all: Vec<_> = (0..50).map(|index| submit(pool, "echoes", echo(1000 * submitter + index))).collect();
                for (index, pending) in (0_i64..).zip(all) {
                    assert_eq!(number(outcome(pending), "value"), 1000 * submitter + index);
                }
            });
        }
    });
    assert!(pool.join(Some(HANG)));
}

/// A pool that is dropped ends its running tasks: without a wait, with a short wait, and with an interrupt.
fn heeds_the_options_about_its_end(suite: &Suite) {
    let ends = [
        suite.options.clone().wait_on_exit(false),
        suite.options.clone().wait_on_exit_timeout(Duration::from_millis(10)),
        suite.options.clone().interrupt_on_exit(true),
    ];
    for (index, options) in ends.into_iter().enumerate() {
        let pool = suite.open_with(options);
        let (sender, called) = mpsc::channel();
        let name = format!("{index}");
        submit_then(&pool, "runs_until_interrupted", suite.named(&*name), move |outcome| {
            sender.send(outcome.is_err()).ok();
        });
        suite.wait_for(&name);
        // An interrupt reaches only tasks that have begun.
        wait_until("it to be known that it runs", || !pool.join(Some(Duration::from_millis(20))));
        drop(pool);
        assert_eq!(called.recv_timeout(HANG), Ok(true), "{index}");
    }
}

/// Also callbacks of tasks that ended long before are called: they may be the last thing that the program does.
fn waits_for_callbacks(suite: &Suite) {
    let pool = suite.open(2);
    let returned = Arc::new(Mutex::new(0));
    for index in 0..3 {
        let returned = returned.clone();
        submit_then(&pool, "echoes", echo(index), move |_| {
            // So long that a join which does not wait would return first.
            std::thread::sleep(Duration::from_millis(20));
            *returned.lock().unwrap() += 1;
        });
    }
    assert!(pool.join(Some(HANG)));
    assert_eq!(*returned.lock().unwrap(), 3);
}

/// A time limit may be longer than any clock can count.
fn takes_times_without_end(suite: &Suite) {
    let options = suite.options.clone();
    let options = options
        .interrupt_grace(Duration::MAX)
        .orphan_grace(Duration::MAX)
        .idle_timeout(Duration::MAX)
        .blocking_limit(Duration::MAX)
        .start_timeout(Duration::MAX)
        .wait_on_exit_timeout(Duration::MAX);
    let pool = suite.open_with(options);
    let pending = submit(&pool, "runs_until_interrupted", suite.named("endless"));
    suite.wait_for("endless");
    pending.interrupt();
    assert!(outcome(pending).is_err());
    assert_eq!(number(outcome(submit(&pool, "echoes", echo(7))), "value"), 7, "the pool goes on");
    assert!(pool.shutdown(Some(HANG), false));
}

/// A program may hold the lock of its standard output while it waits for a task in another process that prints.
fn prints_while_the_programs_output_is_held(suite: &Suite) {
    let pool = suite.open(1);
    let held = std::io::stdout().lock();
    assert_eq!(number(outcome(submit(&pool, "prints", echo(7))), "value"), 7);
    assert!(pool.join(Some(HANG)));
    drop(held);
}
