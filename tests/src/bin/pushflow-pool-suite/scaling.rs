//! The cases about the number of workers. They do not apply to green tasks, which run on one thread.

use std::collections::HashMap;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pushflow::{PoolType, TaskPool};

use crate::cases::Case;
use crate::{Suite, echo, number, outcome, submit, wait_until};

pub(crate) const CASES: [Case; 5] = [
    ("grows", grows),
    ("shrinks", shrinks),
    ("sigint", hears_sigint),
    ("recycles", recycles),
    ("too_few_files", says_what_does_not_fit),
];

/// A task starts one more worker if no worker is idle, up to the limit; an idle worker is used again.
fn grows(suite: &Suite) {
    let pool = suite.open(3);
    let (least, most) = if suite.options.scaling { (1, 3) } else { (3, 3) };
    let is_thread = suite.pool == PoolType::Thread;
    if !is_thread {
        assert_eq!(pool.workers(), least, "at the beginning");
    }
    for index in 0..10 {
        assert_eq!(number(outcome(submit(&pool, "echoes", echo(index))), "value"), index);
    }
    assert!(pool.workers() <= least.max(1), "one idle worker is enough for one task after another");
    let names = ["a", "b", "c", "d", "e"];
    let waiting: Vec<_> = names.iter().map(|&name| submit(&pool, "waits", suite.named(name))).collect();
    let running = || names.iter().filter(|name| suite.has(name)).count();
    wait_until("three that run", || running() >= 3);
    assert_eq!((pool.workers(), running()), (most, 3), "there are as many as there may be");
    suite.go();
    for pending in waiting {
        number(outcome(pending), "pid");
    }
    assert_eq!(pool.workers(), most);
}

/// With scaling all idle workers but one end; without scaling all stay.
fn shrinks(suite: &Suite) {
    let options = suite.options.clone();
    let pool = suite.open_with(options.max_workers(3).idle_timeout(Duration::from_millis(20)));
    let waiting = ["a", "b", "c"].map(|name| submit(&pool, "waits", suite.named(name)));
    ["a", "b", "c"].iter().for_each(|name| suite.wait_for(name));
    suite.go();
    waiting.into_iter().for_each(|pending| drop(outcome(pending).unwrap()));
    if suite.options.scaling {
        let rest = if suite.pool == PoolType::Thread { 0 } else { 1 };
        wait_until("idle workers to leave", || pool.workers() == rest);
    } else {
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(pool.workers(), 3);
    }
    assert_eq!(number(outcome(submit(&pool, "echoes", echo(1))), "value"), 1, "it grows again");
}

/// A worker process is replaced when it has run as many tasks as it may, whether it runs the tasks one by one or has them
/// all at once. No task is lost with it.
fn recycles(suite: &Suite) {
    const MOST: usize = 3;
    let options = suite.options.clone().max_workers(2).max_tasks_per_worker(MOST);
    let pool = suite.open_with(options);
    suite.go();
    let waits = || submit(&pool, "waits", suite.named("a"));
    let mut pids: Vec<i64> = (0..7).map(|_| number(outcome(waits()), "pid")).collect();
    let at_once: Vec<_> = (0..40).map(|_| waits()).collect();
    pids.extend(at_once.into_iter().map(|pending| number(outcome(pending), "pid")));
    let mut times = HashMap::<i64, usize>::new();
    pids.into_iter().for_each(|pid| *times.entry(pid).or_default() += 1);
    assert!(times.values().all(|&times| times <= MOST), "{times:?}");
}

/// SIGINT has no effect on an idle worker, and ends the task of a busy worker.
fn hears_sigint(suite: &Suite) {
    let pool = suite.open(1);
    suite.go();
    let worker = || number(outcome(submit(&pool, "waits", suite.named("idle"))), "pid");
    let pid = worker();
    let interrupt = || kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGINT).unwrap();
    interrupt();
    assert_eq!(worker(), pid, "an idle worker stays");
    let running = submit(&pool, "runs_until_interrupted", suite.named("busy"));
    suite.wait_for("busy");
    interrupt();
    assert!(outcome(running).is_err());
    assert_eq!(worker(), pid, "a busy worker stays, too");
}

/// The limit of open files is low: a pool with a fixed number of workers that do not fit is refused, and a pool that
/// grows has fewer workers.
fn says_what_does_not_fit(suite: &Suite) {
    let options = suite.options.clone().max_workers(1000);
    match TaskPool::open(suite.pool, &options) {
        Ok(pool) => {
            assert!(suite.options.scaling, "a fixed number that does not fit is refused");
            let all: Vec<_> = (0..500).map(|index| submit(&pool, "echoes", echo(index))).collect();
            for (index, pending) in (0..).zip(all) {
                assert_eq!(number(outcome(pending), "value"), index);
            }
            println!("workers: {}", pool.workers());
        }
        Err(error) => println!("refused: {error}"),
    }
}
