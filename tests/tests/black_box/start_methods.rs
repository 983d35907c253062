//! A worker has the same properties for the kernel, its tasks and the scheduler, however it is started.

use std::path::Path;

use nix::sys::signal::Signal;
use pushflow_tests::folder::Folder;
use pushflow_tests::processes::Process;
use pushflow_tests::run::Program;
use serde_json::{Value, json};

use crate::test_program;

const METHODS: [&str; 4] = ["default", "spawn", "forkserver", "fork"];

/// The variable that says what the test program does before `init()`.
const BEGINNING: &str = "PUSHFLOW_TEST_BEGINNING";

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

/// With `fork`, `/dev/null` takes the numbers of the files of the caller.
#[test]
fn a_worker_has_no_files_but_its_own() {
    let files = |method: &str| {
        let facts = facts(method);
        let files = facts["files"].as_str().expect("the task says it").lines();
        files.filter(|file| *file != "/dev/null").map(str::to_owned).collect::<Vec<_>>()
    };
    let spawned = files("spawn");
    for method in METHODS {
        assert_eq!(files(method), spawned, "{method}");
    }
}

/// Workers keep no file open that the scheduler inherited from a shell.
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
        running.mark().clone().assert_none_left();
        let (finished, _left) = running.wait_for_end();
        assert_eq!(finished.signal(), Some(Signal::SIGKILL as i32), "{method}");
    }
}

#[test]
fn a_worker_that_dies_is_lost_with_its_reason_and_replaced() {
    let cases = [
        ("exits", "exited with code 3", None),
        ("is_killed", "SIGKILL", None),
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
    finished.assert_code(2).assert_error("there is no start method \"forkserve\"; did you mean \"forkserver\"?");
}

#[test]
fn workers_that_are_copies_know_what_their_original_knew_at_init() {
    for method in METHODS {
        let report = report(method, json!({"task": "state"}));
        let state = &report["runs"][0]["result"];
        assert_eq!(state["after"], false, "{method}: {report}");
        assert_eq!(state["before"] == report["pid"], method == "fork", "{method}: {report}");
        assert_eq!(state["before"] == state["pid"], ["default", "spawn"].contains(&method), "{method}: {report}");
    }
}

#[test]
fn a_pool_with_fork_can_be_opened_again_after_its_guardian_has_left() {
    let report = report("fork", json!({"task": "who", "runs": 3}));
    for run in report["runs"].as_array().unwrap() {
        assert_eq!(run["ending"], "Finished", "{report}");
    }
}

#[test]
fn a_copy_that_exits_runs_no_exit_handler_of_its_original() {
    let folder = Folder::new();
    let settings = json!({"task": "exits", "inputs": {"code": 3}});
    let program = program("fork", settings).env(BEGINNING, "an exit handler");
    let running = program.env("PUSHFLOW_TEST_EXITS", folder.path("exits")).start();
    let scheduler = running.pid();
    let report = running.wait().assert_code(0).json();
    assert_eq!(report["runs"][0]["errors"][0]["kind"], "WorkerLost", "{report}");
    assert!(report.to_string().contains("exited with code 3"), "{report}");
    assert_eq!(folder.read("exits"), format!("{scheduler}\n"));
}

#[test]
fn a_copy_prints_nothing_that_its_original_had_printed() {
    let finished = program("fork", json!({"task": "exits", "inputs": {"code": 0}})).env(BEGINNING, "half a line").run();
    let (start, report) = finished.assert_code(0).stdout.split_at("half a line ".len());
    assert_eq!(start, "half a line ");
    let report: Value = serde_json::from_str(report).unwrap();
    assert_eq!(report["bytes_printed"], 0, "{report}");
}

#[test]
fn fork_is_refused_where_init_could_make_no_copy() {
    let cases =
        [("without init", "call pushflow::init() first thing in main"), ("a thread", "this one has 2: do it first")];
    for (beginning, advice) in cases {
        let finished = program("fork", json!({})).env(BEGINNING, beginning).run();
        finished.assert_code(2).assert_error("error: the start method \"fork\" can't be used: ").assert_error(advice);
    }
}

#[test]
fn fork_is_refused_where_another_worker_program_is_named() {
    let finished = program("fork", json!({})).env("PUSHFLOW_WORKER", "/bin/true").run();
    finished.assert_code(2).assert_error("another worker program is named (PUSHFLOW_WORKER)");
}

#[test]
fn the_copy_that_init_made_ends_with_its_program() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGABRT] {
        let running = program("fork", json!({})).env(BEGINNING, "sleep").start();
        let copy = running.wait_for_process("pushflow-zygote");
        assert_eq!(copy.parent, running.pid());
        running.signal(signal);
        running.wait();
    }
}

#[test]
fn a_program_that_waits_for_all_its_children_does_not_wait_for_the_copy() {
    let report = program("fork", json!({"task": "who"})).env(BEGINNING, "wait").run().assert_code(0).json();
    assert_eq!(report["runs"][0]["ending"], "Finished", "{report}");
}

#[test]
fn guardians_that_are_copies_leave_no_zombies() {
    let report = report("fork", json!({"task": "exits", "runs": 5, "inputs": {"code": 3}}));
    let children = report["children"].as_array().unwrap();
    assert_eq!(children.len(), 5);
    assert!(children.iter().all(|count| *count == children[0]), "{report}");
}
