//! Attempts that run longer than their limit: each kind of task, on each pool, whether or not the task looks at its
//! interrupt. The other attempts do not notice it, and the run goes on.

use std::collections::BTreeMap;

use pushflow_tests::folder::Folder;
use pushflow_tests::limits::{argument, long_enough};
use pushflow_tests::run::{Finished, Program};
use serde_json::{Value, json};

use crate::test_program;

/// Asserts that the one attempt of a run fails at its limit, with an error of this actor that has these words. The
/// limit leaves the task the time to begin and make its file `begun`.
#[track_caller]
fn assert_overran(folder: &Folder, arguments: &[&str], actor: &str, words: &str) -> Finished {
    let (limit, finished) = long_enough(|limit| {
        std::fs::remove_file(folder.path("begun")).ok();
        let program = Program::pushflow_run(folder.graph()).args(["--attempt-timeout", &argument(limit)]);
        let finished = program.args(["--interrupt-grace", "300ms"]).args(arguments).run();
        folder.has("begun").then_some((limit, finished))
    });
    finished.assert_code(1).assert_error("pushflow: the run failed after");
    let sentences: Vec<&str> = finished.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    let [sentence] = sentences[..] else { panic!("one error: {finished:#?}") };
    assert!(sentence.starts_with(&format!("error: {actor} (attempt 1, pid ")), "{finished:#?}");
    let overran =
        format!("TimedOut: the attempt ran longer than its limit of {} s and was interrupted: ", limit.as_secs());
    let (_, end) = sentence.split_once(&overran).unwrap_or_else(|| panic!("no {overran:?} in {finished:#?}"));
    assert!(end.contains(words), "no {words:?} in {finished:#?}");
    finished
}

/// The only error of a run of the test program.
#[track_caller]
fn only_error(report: &Value) -> &Value {
    let errors = report["runs"][0]["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let [error] = errors else { panic!("one error: {report}") };
    assert_eq!(error["kind"], "TimedOut", "{report}");
    error
}

fn message(error: &Value) -> &str {
    error["message"].as_str().expect("an error has a message")
}

// ----- each kind of task -----

const TASKS: &str = "
import os, signal, sys, time

def begins():
    open(os.path.join(os.path.dirname(__file__), 'begun'), 'w').close()

def sleeps(**inputs):
    print('good night', file=sys.stderr, flush=True)
    begins()
    time.sleep(1000)

def ignores(**inputs):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print('not listening', file=sys.stderr, flush=True)
    begins()
    time.sleep(1000)

def returns(**inputs):
    try:
        begins()
        time.sleep(1000)
    except KeyboardInterrupt:
        return {'woken': True}
";

#[test]
fn a_python_task_that_sleeps_is_interrupted_and_says_where_it_was() {
    let folder = Folder::with_tasks(TASKS, &["sleeps"]);
    let finished = assert_overran(&folder, &[], "sleeps", "the task was interrupted");
    finished.assert_error("tasks.py\", line 10, in sleeps").assert_error("    good night");
}

#[test]
fn a_python_task_that_ignores_signals_is_ended_with_its_worker_and_its_last_lines_are_shown() {
    let folder = Folder::with_tasks(TASKS, &["ignores"]);
    let words = "was killed by signal 9 (SIGKILL) after it had been interrupted";
    assert_overran(&folder, &[], "ignores", words).assert_error("    not listening");
}

#[test]
fn what_a_task_returns_after_its_limit_is_dropped() {
    let folder = Folder::with_tasks(TASKS, &["returns"]);
    let finished = assert_overran(&folder, &[], "returns", "what it returned after that was dropped");
    assert_eq!(finished.stdout, "");
}

#[test]
fn a_script_is_interrupted_on_every_pool() {
    let folder = Folder::with_script("#!/bin/sh\n: > \"${0%/*}/begun\"\nexec sleep 1000\n", json!([]));
    for pool in ["process", "thread"] {
        assert_overran(&folder, &["--pool", pool], "script", "was interrupted and was killed by signal 2 (SIGINT)");
    }
}

#[test]
fn a_script_that_ignores_signals_is_killed_on_every_pool() {
    let script = "#!/bin/sh\ntrap '' INT TERM\n: > \"${0%/*}/begun\"\nwhile :; do sleep 1; done\n";
    let folder = Folder::with_script(script, json!([]));
    let on_processes = "was killed by signal 9 (SIGKILL) after it had been interrupted";
    assert_overran(&folder, &["--pool", "process"], "script", on_processes);
    assert_overran(&folder, &["--pool", "thread"], "script", "was interrupted and was killed by signal 9 (SIGKILL)");
}

#[test]
fn a_rust_task_that_looks_at_its_cancellation_ends_by_itself_on_every_pool() {
    for pool in ["process", "thread"] {
        let settings = json!({"task": "sleeps_until_cancelled", "pool": pool, "attempt_timeout_ms": 500});
        let report = test_program(&settings).run().assert_code(0).json();
        assert_eq!(report["runs"][0]["ending"], "Failed", "the run has no deadline: {report}");
        let expected = "the attempt ran longer than its limit of 0.5 s and was interrupted: the attempt was cancelled";
        assert_eq!(message(only_error(&report)), expected);
    }
}

/// The signals that may end the process of a task that does not end: SIGTERM, or SIGKILL if SIGTERM takes longer than a
/// moment. The dispatcher decides the order of the signals, and its own tests cover the order.
const ENDS: [&str; 2] = ["signal 15 (SIGTERM)", "signal 9 (SIGKILL)"];

#[test]
fn a_rust_task_that_does_not_care_is_ended_with_its_process() {
    for (task, signals) in [("sleeps_for_ever", &ENDS[..]), ("stops_its_process", &ENDS[1..])] {
        let settings = json!({"task": task, "attempt_timeout_ms": 500, "grace_ms": 100});
        let report = test_program(&settings).run().assert_code(0).json();
        let error = only_error(&report);
        let end = |signal: &&str| {
            let worker = format!("the worker process (pid {})", error["pid"]);
            format!("and was interrupted: {worker} was killed by {signal} after it had been interrupted")
        };
        assert!(signals.iter().any(|signal| message(error).ends_with(&end(signal))), "{task}: {error}");
    }
}

#[test]
fn on_threads_a_rust_task_that_does_not_care_is_left_behind_and_the_rest_of_the_run_is_not() {
    let folder = Folder::new();
    let settings = json!({
        "task": "sleeps_the_first_time", "shape": "retry", "pool": "thread", "workers": 1,
        "limits_ms": {"actor": 500}, "grace_ms": 100, "inputs": {"file": folder.path("first")},
    });
    let report = test_program(&settings).run().assert_code(0).json();
    assert_eq!(report["runs"][0]["ending"], "Finished", "{report}");
    assert_eq!(report["runs"][0]["result"]["again"], true, "{report}");
    let told = report["runs"][0]["result"]["WorkflowException"]["errorMessage"].as_str().unwrap_or_default();
    assert!(told.contains("its limit of 0.5 s") && told.ends_with("it is left behind"), "{report}");
}

// ----- other attempts -----

#[test]
fn an_attempt_that_was_handled_is_run_again_by_another_worker() {
    for start_method in ["spawn", "forkserver", "fork"] {
        let folder = Folder::new();
        let settings = json!({
            "task": "sleeps_the_first_time", "shape": "retry", "workers": 1, "start_method": start_method,
            "limits_ms": {"actor": 500}, "grace_ms": 100, "inputs": {"file": folder.path("first")},
        });
        let report = test_program(&settings).run().assert_code(0).json();
        assert_eq!(report["runs"][0]["ending"], "Finished", "{report}");
        assert_eq!(report["runs"][0]["result"]["again"], true, "{report}");
        let told = report["runs"][0]["result"]["WorkflowException"]["errorMessage"].as_str().unwrap_or_default();
        assert!(told.contains("its limit of 0.5 s") && ENDS.iter().any(|end| told.contains(end)), "{report}");
    }
}

#[test]
fn the_attempts_that_waited_behind_it_on_the_same_worker_are_run_once_by_the_next() {
    let folder = Folder::new();
    let settings = json!({
        "task": "notes_its_actor", "shape": "wide", "width": 200, "workers": 1, "grace_ms": 100,
        "limits_ms": {"actor 100": 500}, "inputs": {"file": folder.path("actors"), "sleeper": "actor 100"},
    });
    let report = test_program(&settings).run().assert_code(0).json();
    assert_eq!(only_error(&report)["name"], "actor 100");
    assert_eq!(report["workers_started"], 2, "{report}");
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    folder.read("actors").lines().for_each(|actor| *times.entry(actor.to_owned()).or_default() += 1);
    let expected: BTreeMap<String, u32> = (0..200).map(|number| (format!("actor {number}"), 1)).collect();
    assert_eq!(times, expected);
}

#[test]
fn attempts_that_wait_for_a_worker_are_not_late() {
    // There is one worker, so all attempts together take much longer than the limit of each.
    let settings = json!({
        "task": "sleeps_until_cancelled", "shape": "wide", "width": 5, "workers": 1, "attempt_timeout_ms": 500,
    });
    let report = test_program(&settings).run().assert_code(0).json();
    let errors = report["runs"][0]["errors"].as_array().expect("five errors");
    assert_eq!(errors.len(), 5, "{report}");
    for error in errors {
        assert!(message(error).ends_with("and was interrupted: the attempt was cancelled"), "it had begun: {error}");
    }
    assert_eq!(report["workers_started"], 1, "{report}");
}

// ----- the option -----

#[test]
fn a_limit_with_an_unknown_unit_is_refused() {
    let folder = Folder::with_tasks(TASKS, &["sleeps"]);
    let finished = Program::pushflow_run(folder.graph()).args(["--attempt-timeout", "5x"]).run();
    finished.assert_code(2).assert_error("'5x' for '--attempt-timeout <TIME>': a time is a number and its unit");
}
