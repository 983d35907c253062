//! The failures of `#[task]` functions: errors of any type, panics, cancelled attempts.

use std::error::Error;
use std::time::Duration;
use std::{panic, thread};

use pushflow_execute::{TaskContext, run_rust};
use pushflow_green::{Cancellation, Cancelled};
use pushflow_model::{Data, ErrorKind, TaskError, Value};
use pushflow_task_macros::task;

fn run(name: &str, inputs: Data) -> Result<Data, TaskError> {
    run_rust(name, &inputs, &TaskContext::new("node", 1, Cancellation::new()))
}

fn failure(name: &str) -> TaskError {
    run(name, Data::new()).expect_err("the task fails")
}

fn assert_raised(name: &str, type_name: &str, message: &str, traceback: &[&str]) {
    let error = failure(name);
    assert_eq!(error.kind, ErrorKind::Raised);
    assert_eq!((error.type_name.as_str(), error.message.as_str()), (type_name, message));
    assert_eq!(error.traceback, traceback);
}

#[derive(Debug, thiserror::Error)]
#[error("can't read the motor")]
struct MotorError(#[source] LineError);

#[derive(Debug, thiserror::Error)]
#[error("the line is dead")]
struct LineError(#[from] std::fmt::Error);

#[task(crate = pushflow_execute)]
fn fail_with_causes() -> Result<Data, MotorError> {
    Err(MotorError(LineError(std::fmt::Error)))
}

#[task(crate = pushflow_execute)]
fn fail_with_text() -> Result<(), String> {
    Err("no beam".to_owned())
}

#[task(crate = pushflow_execute)]
fn fail_with_literal() -> Result<(), &'static str> {
    Err("no beam")
}

#[task(crate = pushflow_execute)]
fn fail_with_box() -> Result<(), Box<dyn Error>> {
    Err(LineError(std::fmt::Error))?
}

#[task(crate = pushflow_execute)]
fn fail_with_box_to_send() -> Result<(), Box<dyn Error + Send + Sync>> {
    Err(LineError(std::fmt::Error))?
}

#[test]
fn an_error_is_raised_with_its_type_and_its_causes() {
    let cause = "caused by: an error occurred when formatting an argument";
    assert_raised("fail_with_causes", "MotorError", "can't read the motor", &["caused by: the line is dead", cause]);
    let error = failure("fail_with_causes");
    let causes = error.causes().iter().map(|cause| (cause.type_name.as_str(), cause.message.as_str()));
    let formatting = "an error occurred when formatting an argument";
    assert_eq!(causes.collect::<Vec<_>>(), [("Error", "the line is dead"), ("Error", formatting)]);
    assert_raised("fail_with_box", "Error", "the line is dead", &[cause]);
    assert_raised("fail_with_box_to_send", "Error", "the line is dead", &[cause]);
}

#[test]
fn a_text_can_be_an_error() {
    assert_raised("fail_with_text", "Error", "no beam", &[]);
    assert_raised("fail_with_literal", "Error", "no beam", &[]);
}

#[derive(Debug)]
struct OwnCause;

impl std::fmt::Display for OwnCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("round and round")
    }
}

impl Error for OwnCause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

#[task(crate = pushflow_execute)]
fn fail_with_own_cause() -> Result<(), OwnCause> {
    Err(OwnCause)
}

#[test]
fn an_endless_chain_of_causes_is_cut() {
    assert_eq!(failure("fail_with_own_cause").traceback, vec!["caused by: round and round"; 16]);
}

const PANIC_LINE: u32 = line!() + 4;

#[task(crate = pushflow_execute)]
fn divide(by: i64) -> Data {
    assert!(by != 0, "can't divide by {by}");
    Data::new().with("value", 100 / by)
}

#[task(crate = pushflow_execute)]
fn panic_with_literal() {
    panic!("no beam")
}

#[task(crate = pushflow_execute)]
fn panic_with_number() {
    panic::panic_any(17)
}

#[task(crate = pushflow_execute)]
fn panic_when_dropped() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic::panic_any(Bomb)
        }
    }
    panic::panic_any(Bomb)
}

#[task(crate = pushflow_execute)]
fn panic_again() {
    let payload = panic::catch_unwind(|| panic!("first")).expect_err("it panics");
    panic::resume_unwind(payload)
}

#[test]
fn a_panic_is_an_error_with_its_text_and_place() {
    let error = run("divide", Data::new().with("by", 0)).expect_err("the task panics");
    assert_eq!((error.kind, error.type_name.as_str()), (ErrorKind::Panicked, "panic"));
    assert_eq!(error.message, "can't divide by 0");
    assert_eq!(error.traceback, [format!("at {}:{PANIC_LINE}:5", file!())]);
    assert_eq!(failure("panic_with_literal").message, "no beam");
}

#[test]
fn a_task_runs_again_after_a_panic() {
    run("divide", Data::new().with("by", 0)).expect_err("the task panics");
    let result = run("divide", Data::new().with("by", 4)).expect("the task succeeds");
    assert_eq!(result.value("value"), Ok(Some(&Value::Int(25))));
}

#[test]
fn a_panic_without_a_text_is_said_to_have_none() {
    assert_eq!(failure("panic_with_number").message, "a panic without a message");
}

#[test]
fn a_payload_that_panics_when_dropped_stays_inside() {
    match panic::catch_unwind(|| failure("panic_when_dropped")) {
        Ok(error) => assert_eq!(error.message, "a panic without a message"),
        Err(payload) => {
            std::mem::forget(payload);
            panic!("the payload got out");
        }
    }
}

#[test]
fn a_panic_that_is_passed_on_keeps_its_place() {
    let error = failure("panic_again");
    assert_eq!(error.message, "first");
    assert_eq!(error.traceback.len(), 1);
}

#[task(crate = pushflow_execute)]
fn unwind_without_panic() {
    panic::resume_unwind(Box::new("from elsewhere"))
}

#[test]
fn the_place_of_an_earlier_panic_is_not_taken_for_that_of_a_later_one() {
    failure("panic_with_literal");
    panic::catch_unwind(|| panic!("not of a task")).expect_err("it panics");
    let error = failure("unwind_without_panic");
    assert_eq!((error.message.as_str(), error.traceback), ("from elsewhere", vec![]));
}

#[task(crate = pushflow_execute)]
fn wait(seconds: u64, context: &TaskContext) -> Result<Data, Cancelled> {
    context.check()?;
    context.sleep(Duration::from_secs(seconds))?;
    Ok(Data::new().with("actor", context.actor()))
}

#[test]
fn a_sleeping_task_wakes_when_it_is_cancelled() {
    // Many rounds, so that the request comes before the sleep, at its start, and during it.
    for _ in 0..100 {
        let cancellation = Cancellation::new();
        let context = TaskContext::new("node", 1, cancellation.clone());
        let attempt = thread::spawn(move || run_rust("wait", &Data::new().with("seconds", i64::MAX), &context));
        cancellation.cancel();
        let error = attempt.join().expect("no panic gets out").expect_err("the attempt was cancelled");
        assert_eq!((error.type_name.as_str(), error.message.as_str()), ("Cancelled", "the attempt was cancelled"));
    }
}

#[test]
fn a_task_that_is_not_cancelled_sleeps_to_the_end() {
    let result = run("wait", Data::new().with("seconds", 0)).expect("the task succeeds");
    assert_eq!(result.value("actor"), Ok(Some(&Value::from("node"))));
}

#[test]
fn waiting_says_whether_the_request_was_made() {
    let cancellation = Cancellation::new();
    assert!(!cancellation.wait_timeout(Duration::ZERO));
    cancellation.cancel();
    assert!(cancellation.is_cancelled());
    assert!(cancellation.wait_timeout(Duration::MAX));
}
