//! Programs that call `init()` when threads run already: they are warned at once, go on with threads, and are refused
//! process pools before anything is started.

use std::fs;
use std::path::Path;

use pushflow_tests::binaries::binaries;
use pushflow_tests::run::Program;
use serde_json::json;

use crate::test_program;

const SENTENCE: &str = "pushflow::init() must come first in main, before any thread is started, but 2 threads ran \
                        already when it was called, so that this program can't be its own worker: with tokio, call it in \
                        a plain fn main and build the runtime after it, see docs/rust.md\n";

/// The test program, which starts a thread before it calls `init()`.
fn late(settings: &serde_json::Value) -> Program {
    test_program(settings).env("PUSHFLOW_TEST_BEGINNING", "a thread")
}

#[test]
fn a_program_that_calls_init_late_is_warned_and_goes_on_with_threads() {
    let finished = late(&json!({"task": "state", "pool": "thread"})).run();
    assert_eq!(finished.assert_code(0).json()["runs"][0]["ending"], "Finished");
    assert_eq!(finished.stderr, format!("warning: {SENTENCE}"));
}

#[test]
fn a_process_pool_of_a_program_that_called_init_late_is_refused_with_the_same_sentence() {
    for method in ["default", "spawn", "forkserver"] {
        let finished = late(&json!({"task": "state", "pool": "process", "start_method": method})).run();
        assert_eq!(finished.assert_code(2).stderr, format!("warning: {SENTENCE}error: {SENTENCE}"), "{method}");
        assert_eq!(finished.stdout, "");
    }
}

#[test]
fn a_program_that_called_init_late_can_name_another_worker_program() {
    let settings = json!({"task": "state", "pool": "process"});
    let finished = late(&settings).env("PUSHFLOW_WORKER", &binaries().worker).run();
    // `pushflow-worker` does not know the task, and reports that.
    let error = &finished.assert_code(0).json()["runs"][0]["errors"][0];
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("no task named \"state\" is in this program"), "{finished:#?}");
}

#[test]
fn the_page_that_the_sentence_names_says_what_to_do() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rust.md")).unwrap();
    assert!(page.contains("### With tokio") && page.contains("pushflow::init();\n    let runtime = tokio::runtime"));
}

/// A second call, such as one by a library, has no effect and no warning, although threads run.
#[test]
fn only_the_first_call_of_init_counts() {
    let finished = test_program(&json!({"task": "state"})).env("PUSHFLOW_TEST_BEGINNING", "init twice").run();
    assert_eq!(
        (finished.assert_code(0).json()["runs"][0]["ending"].as_str(), &*finished.stderr),
        (Some("Finished"), "")
    );
}
