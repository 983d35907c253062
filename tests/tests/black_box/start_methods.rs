//! However a worker is started, it is the same to the kernel, to its tasks and to the scheduler.

use std::path::Path;

use nix::sys::signal::Signal;
use pushflow_tests::folder::Folder;
use pushflow_tests::processes::Process;
use pushflow_tests::run::Program;
use serde_json::{Value, json};

use crate::test_program;

const METHODS: [&str; 3] = ["default", "spawn", "forkserver"];

/// The test program with a start method on top of its settings.
fn program(method: &str, mut settings: Value) -> Program {
    settings["start_method"] = json!(method);
    test_program(&settings)
}

/// What the program reported.
fn report(method: &str, settings: Value) -> Value {
    program(method, settings).run().assert_code(0).json()
}

/// The result of the one run.
fn result(method: &str, settings: Value) -> Value {
    let report = report(method, settings);
    assert_eq!(report["runs"][0]["ending"], "Finished", "{method}: {report}");
    report["runs"][0]["result"].clone()
}

fn facts(method: &str) -> Value {
    result(method, json!({"task": "facts"}))
}

#[test]
fn a_task_runs_in_a_process_of_the_program_that_was_looked_up() {
    for method in METHODS {
        let report = report(method, json!({"task": "who"}));
        let result = &report["runs"][0]["result"];
        assert_eq!(result["executable"], env!("CARGO_BIN_EXE_pushflow-test-program"), "{method}");
        assert_ne!(result["pid"], report["pid"], "{method}");
    }
}

#[test]
fn a_worker_leads_a_group_in_a_session_that_is_not_the_callers_and_dies_with_its_keeper() {
    let callers = nix::unistd::getsid(None).unwrap().as_raw();
    for method in METHODS {
        let facts = facts(method);
        assert_eq!(facts["group"], facts["pid"], "{method}");
        assert_ne!(facts["session"], callers, "{method}");
        assert_ne!(facts["session"], facts["pid"], "{method}");
        assert_eq!(facts["death_signal"], "SIGKILL", "{method}");
        assert_eq!(facts["name"], "pushflow-test-p", "{method}");
    }
}

#[test]
fn a_worker_begins_with_every_signal_let_through_and_the_actions_of_a_fresh_program() {
    let spawned = facts("spawn");
    for method in METHODS {
        let facts = facts(method);
        assert_eq!(facts["blocked"], "0000000000000000", "{method}");
        assert_eq!(facts["ignored"], spawned["ignored"], "{method}");
        assert_eq!(facts["caught"], spawned["caught"], "{method}");
    }
}

#[test]
fn a_worker_has_the_schedulers_variables_and_folder() {
    for method in METHODS {
        let folder = Folder::new();
        let here = folder.path("").canonicalize().unwrap();
        let program = program(method, json!({"task": "facts"})).env("PUSHFLOW_TEST_VARIABLE", "seen").in_folder(&here);
        let report = program.run().assert_code(0).json();
        let facts = &report["runs"][0]["result"];
        assert_eq!(facts["variable"], "seen", "{method}: {report}");
        assert_eq!(facts["role"], "", "{method}");
        assert_eq!(facts["directory"].as_str().map(Path::new), Some(&*here), "{method}");
    }
}

#[test]
fn a_worker_has_no_files_but_its_own() {
    let spawned = facts("spawn");
    for method in METHODS {
        assert_eq!(facts(method)["files"], spawned["files"], "{method}");
    }
}

/// What a shell had open when it started the scheduler is not for the workers to keep open.
#[test]
fn a_worker_has_no_files_that_the_scheduler_inherited() {
    for method in METHODS {
        let settings = json!({"task": "facts", "start_method": method}).to_string();
        let script = r#"exec 7< /dev/zero; exec "$0" "$1""#;
        let program = Program::at(Path::new("/bin/sh")).args(["-c", script]);
        let program = program.args([env!("CARGO_BIN_EXE_pushflow-test-program"), &settings]);
        let report = program.run().assert_code(0).json();
        let files = report["runs"][0]["result"]["files"].as_str().expect("the task says it");
        assert!(!files.contains("/dev/zero"), "{method}: {files}");
    }
}

#[test]
fn a_killed_scheduler_leaves_neither_workers_nor_what_hid_below_them() {
    for method in METHODS {
        let folder = Folder::new();
        let inputs = json!({"file": folder.path("running")});
        let settings = json!({"task": "hides_a_child_and_sleeps", "inputs": inputs, "orphan_grace_ms": 0});
        let running = program(method, settings).start();
        folder.wait_for("running");
        let keeper = running.wait_for_process("pushflow-keep");
        let guardian = Process::find(keeper.parent).expect("the keeper has a parent");
        assert_eq!(guardian.name, "pushflow-guard", "{method}");
        assert_eq!(guardian.parent, running.pid(), "{method}");
        let workers = running.mark().named("pushflow-test-p");
        assert!(workers.iter().any(|worker| worker.parent == keeper.pid), "{method}: {workers:?}");
        running.signal(Signal::SIGKILL);
        running.mark().clone().assert_gone();
        let (finished, _left) = running.wait_for_end();
        assert_eq!(finished.signal(), Some(Signal::SIGKILL as i32), "{method}");
    }
}

#[test]
fn a_worker_that_dies_is_lost_with_its_reason_and_replaced() {
    let cases = [
        ("exits", "exited with code 3", None),
        ("segfaults", "SIGSEGV", None),
        ("overflows_its_stack", "SIGABRT", Some("has overflowed its stack")),
    ];
    for method in METHODS {
        for (task, reason, said) in cases {
            let settings = json!({"task": task, "runs": 2, "workers": 1, "inputs": {"code": 3}});
            let report = report(method, settings);
            for run in report["runs"].as_array().unwrap() {
                let error = &run["errors"][0];
                assert_eq!(error["kind"], "WorkerLost", "{method}, {task}: {report}");
                assert!(error["message"].to_string().contains(reason), "{method}, {task}: {error}");
                assert!(error["stderr"].to_string().contains(said.unwrap_or("")), "{method}, {task}: {error}");
            }
        }
        let settings = json!({"task": "exits", "shape": "wide", "width": 4, "workers": 1, "inputs": {"code": 3}});
        let report = report(method, settings);
        assert!(report["workers_started"].as_u64().is_some_and(|started| started >= 4), "{method}: {report}");
    }
}

#[test]
fn a_wrong_start_method_is_refused_with_the_nearest_right_one() {
    let finished = program("forkserve", json!({})).run();
    finished.assert_code(2).assert_error("there is no start method \"forkserve\": did you mean \"forkserver\"?");
}
