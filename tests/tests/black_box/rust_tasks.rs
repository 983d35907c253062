//! What `#[task]` functions do to their process: on process pools it ends that process and that attempt, and nothing
//! else; what is no more than an error or a panic is one on every pool. `process_rules/submitter.rs` has the rest.

use pushflow_tests::limits::long_enough;
use pushflow_tests::processes::Process;
use serde_json::{Value, json};

use crate::test_program;

/// The run of one task: how it ended, and its one error.
fn failure(pool: &str, task: &str) -> Value {
    let settings = json!({"task": task, "pool": pool, "inputs": {"code": 3}});
    let finished = test_program(&settings).run();
    let report = finished.assert_code(0).json();
    assert_eq!(report["runs"][0]["ending"], "Failed", "{report}");
    assert_eq!(report["runs"][0]["errors"].as_array().map(Vec::len), Some(1), "{report}");
    report["runs"][0]["errors"][0].clone()
}

#[track_caller]
fn assert_failure(pool: &str, task: &str, kind: &str, words: &str) -> Value {
    let error = failure(pool, task);
    assert_eq!(error["name"], "actor 0");
    assert_eq!(error["kind"], kind, "{error}");
    assert!(error["message"].as_str().is_some_and(|message| message.contains(words)), "no {words:?} in {error}");
    error
}

#[test]
fn a_panic_is_an_error_on_every_pool() {
    for pool in ["process", "thread", "gevent"] {
        assert_failure(pool, "panics", "Panicked", "the task's own words");
    }
}

#[test]
fn an_err_is_an_error_on_every_pool() {
    for pool in ["process", "thread", "gevent"] {
        assert_failure(pool, "returns_an_error", "Raised", "the task's own error");
    }
}

#[test]
fn a_result_that_cannot_travel_is_an_error_on_every_pool() {
    for pool in ["process", "thread", "gevent"] {
        assert_failure(pool, "returns_what_cannot_travel", "BadResult", "returned what can't travel");
    }
}

#[test]
fn a_result_that_is_no_map_is_the_output_return_value_on_every_pool() {
    for pool in ["process", "thread", "gevent"] {
        let report = test_program(&json!({"task": "returns_a_number", "pool": pool})).run().assert_code(0).json();
        assert_eq!(report["runs"][0]["ending"], "Finished", "{report}");
        assert_eq!(report["runs"][0]["result"], json!({"return_value": 7}), "{report}");
    }
}

#[test]
fn an_exit_ends_the_worker_and_the_attempt() {
    let error = assert_failure("process", "exits", "WorkerLost", "exited with code 3");
    let pid = error["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a lost worker has a pid");
    assert!(error["message"].as_str().is_some_and(|message| message.contains(&format!("(pid {pid})"))), "{error}");
    assert!(Process::find(pid).is_none_or(|process| process.name != "pushflow-test-p"), "{pid} is still there");
}

#[test]
fn a_stack_overflow_ends_the_worker_and_says_so_on_its_standard_error() {
    let error = assert_failure("process", "overflows_its_stack", "WorkerLost", "was killed by signal 6 (SIGABRT)");
    assert!(error["stderr"].to_string().contains("has overflowed its stack"), "{error}");
}

/// The report of a run of one task that comes to its deadline, by which the task has begun.
fn times_out(task: &str, pool: &str) -> Value {
    let report = long_enough(|limit| {
        let limit = limit.as_millis();
        let settings = json!({"task": task, "pool": pool, "timeout_ms": limit, "grace_ms": 200});
        let report = test_program(&settings).run().assert_code(0).json();
        (report["most_running"] == 1).then_some(report)
    });
    assert_eq!(report["runs"][0]["ending"], "TimedOut", "{report}");
    report
}

#[test]
fn a_task_that_never_returns_is_ended_by_the_deadline() {
    for task in ["sleeps_for_ever", "sleeps_until_cancelled"] {
        times_out(task, "process");
    }
}

#[test]
fn on_threads_a_task_that_looks_at_its_cancellation_is_ended_by_the_deadline() {
    for pool in ["thread", "gevent"] {
        times_out("sleeps_until_cancelled", pool);
    }
}

#[test]
fn on_threads_a_task_that_never_returns_is_reported_and_left_behind() {
    for pool in ["thread", "gevent"] {
        let report = times_out("sleeps_for_ever", pool);
        assert!(report["runs"][0]["errors"].to_string().contains("left behind"), "{report}");
    }
}

#[test]
fn a_task_runs_in_a_process_of_its_own_or_on_a_thread_of_this_one() {
    for (pool, is_own) in [("process", false), ("thread", true), ("gevent", true)] {
        let report = test_program(&json!({"pool": pool})).run().assert_code(0).json();
        let result = &report["runs"][0]["result"];
        assert_eq!(result["executable"], env!("CARGO_BIN_EXE_pushflow-test-program"));
        assert_eq!(result["pid"] == report["pid"], is_own, "{report}");
    }
}

#[test]
fn a_loop_gives_the_same_result_on_every_pool() {
    for pool in ["process", "thread", "gevent"] {
        let settings = json!({"task": "count", "shape": "loop", "pool": pool, "inputs": {"value": 0, "limit": 100}});
        let report = test_program(&settings).run().assert_code(0).json();
        assert_eq!(report["runs"][0]["ending"], "Finished");
        assert_eq!(report["runs"][0]["result"]["value"], 100, "{report}");
    }
}

#[test]
fn a_pool_never_has_more_workers_than_it_may_and_uses_those_it_has() {
    let report = long_enough(|limit| {
        let limit = limit.as_millis();
        let settings = json!({
            "task": "sleeps_until_cancelled", "shape": "wide", "width": 6, "workers": 2, "timeout_ms": limit,
        });
        let report = test_program(&settings).run().assert_code(0).json();
        (report["most_running"].as_u64() >= Some(2)).then_some(report)
    });
    assert_eq!(report["most_workers"], 2, "{report}");
    assert_eq!(report["most_running"], 2, "{report}");
}
