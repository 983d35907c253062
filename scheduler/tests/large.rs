//! The memory of long loops and large graphs.
//!
//! The tests run one after the other, since they measure the memory of the whole process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pushflow::{Behaviour, Data, PoolType, RunOptions, TaskError, Value, Workflow};

const ROUNDS: i64 = 1_000_000;

const ACTORS: usize = 1_000_000;

static ALONE: Mutex<()> = Mutex::new(());

/// The memory that this process has in use, in bytes.
fn memory() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn on_threads() -> RunOptions {
    RunOptions::new().pool(PoolType::Thread)
}

/// Counts, and looks at the memory after one round in a hundred and at the end.
#[derive(Debug, Default)]
struct Count {
    early: AtomicU64,
    late: AtomicU64,
}

#[derive(Debug)]
struct Shared(Arc<Count>);

impl Behaviour for Shared {
    fn triggered(&self, data: Data) -> Result<Vec<Data>, TaskError> {
        let round = data.value("round").ok().flatten().and_then(Value::as_int).unwrap_or(0) + 1;
        match round {
            _ if round == ROUNDS / 100 => self.0.early.store(memory(), Ordering::Relaxed),
            ROUNDS => self.0.late.store(memory(), Ordering::Relaxed),
            _ => {}
        }
        Ok(vec![data.with("round", round)])
    }
}

#[test]
fn a_loop_of_a_million_rounds_keeps_its_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let count = Arc::<Count>::default();
    let mut workflow = Workflow::new("a million rounds");
    let (start, stop) = (workflow.start().unwrap(), workflow.stop().unwrap());
    let counter = workflow.custom("count", Shared(count.clone())).unwrap();
    let router = workflow.router("done?", "round", [ROUNDS]).unwrap();
    workflow.connect(start, counter).unwrap();
    workflow.connect(counter, router).unwrap();
    workflow.connect_port(router, ROUNDS, stop).unwrap();
    workflow.connect_port(router, "other", counter).unwrap();
    let outcome = workflow.run(Data::new(), &on_threads()).unwrap();
    assert_eq!(outcome.into_result().unwrap().value("round").unwrap(), Some(&Value::Int(ROUNDS)));
    let (early, late) = (count.early.load(Ordering::Relaxed), count.late.load(Ordering::Relaxed));
    println!("memory after 1 % of the rounds: {early} bytes, at the end: {late} bytes");
    assert!(early > 0 && late <= early + (early / 20).max(2 << 20), "{early} bytes became {late}");
}

#[test]
fn a_graph_of_a_million_actors_builds_checks_and_runs() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = memory();
    let mut workflow = Workflow::new("a million actors");
    let (start, stop) = (workflow.start().unwrap(), workflow.stop().unwrap());
    let mut last = start;
    for number in 0..ACTORS - 2 {
        let fork = workflow.fork(number.to_string()).unwrap();
        workflow.connect(if number % 1000 == 0 { start } else { last }, fork).unwrap();
        if number % 1000 == 999 || number == ACTORS - 3 {
            workflow.connect(fork, stop).unwrap();
        }
        last = fork;
    }
    let built = memory();
    assert_eq!(workflow.check(), []);
    let outcome = workflow.run(Data::new().with("x", 1), &on_threads()).unwrap();
    let ran = memory();
    assert!(outcome.is_finished(), "{:?}", outcome.errors());
    let of_each = |bytes: u64| bytes.saturating_sub(before) / ACTORS as u64;
    println!("bytes per actor: {} built, {} after a run", of_each(built), of_each(ran));
    assert!(of_each(built) < 1024, "{} bytes", of_each(built));
}
