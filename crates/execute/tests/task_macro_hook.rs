//! The panic hook of the program is still called. This test is a program of its own, since the hook belongs to the
//! process.

use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};

use pushflow_execute::{TaskContext, run_rust};
use pushflow_green::Cancellation;
use pushflow_model::Data;
use pushflow_task_macros::task;

static CALLS: AtomicUsize = AtomicUsize::new(0);

#[task(crate = pushflow_execute)]
fn fail() {
    panic!("no beam")
}

#[test]
fn the_hook_of_the_program_is_called_once_for_each_panic() {
    panic::set_hook(Box::new(|_| {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }));
    let context = TaskContext::new("node", 1, Cancellation::new());
    for calls in 1..=3 {
        let error = run_rust("fail", &Data::new(), &context).expect_err("the task panics");
        assert!(error.traceback[0].starts_with(&format!("at {}:", file!())), "{:?}", error.traceback);
        assert_eq!(CALLS.load(Ordering::Relaxed), calls);
    }
}
