//! Single processes of both families: their attributes, their end, and the effect of their parent's exit on them.

use std::time::Instant;

use nix::sys::signal::Signal;
use pushflow_tests::folder::Folder;
use pushflow_tests::limits::long_enough;
use pushflow_tests::run::{Finished, Running};
use serde_json::{Value, json};

use crate::test_program;

const FAMILIES: [&str; 2] = ["multiprocessing", "billiard"];
const METHODS: [&str; 3] = ["spawn", "forkserver", "fork"];

/// A run, on this pool, of the task that starts a process. `more` has further settings.
fn start(pool: &str, inputs: &Value, more: &Value) -> Running {
    let mut settings = json!({"task": "starts_a_process", "pool": pool, "inputs": inputs});
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    test_program(&settings).start()
}

fn result(finished: &Finished) -> Value {
    let report = finished.assert_code(0).json();
    assert_eq!(report["runs"][0]["ending"], "Finished", "{report}");
    report["runs"][0]["result"].clone()
}

/// The outcome of a process that a task on a thread starts.
fn run(inputs: &Value) -> Value {
    result(&start("thread", inputs, &json!({})).wait())
}

#[test]
fn a_process_knows_its_name_its_parent_and_whether_it_is_daemonic() {
    for (family, name) in [("multiprocessing", "mpprocess-1"), ("billiard", "bprocess-1")] {
        for method in METHODS {
            for daemon in [false, true] {
                let who = run(&json!({
                    "family": family, "daemon": daemon, "start_method": method, "task": "says_who_it_is",
                    "action": "join",
                }));
                assert_eq!((&who["name"], &who["handle_name"]), (&json!(name), &json!(name)), "{method}");
                assert_eq!(who["daemonic"], daemon, "{family} {method}");
                assert_eq!(who["pid"], who["handle_pid"], "{family} {method}");
                assert_eq!((&who["exitcode"], &who["alive"]), (&json!(0), &json!(false)), "{family} {method}");
            }
        }
    }
}

#[test]
fn the_exit_code_is_that_of_the_task_that_exits_fails_or_is_killed() {
    for (task, exitcode, kind) in [
        ("exits", 3, "WorkerLost"),
        ("returns_an_error", 1, "Raised"),
        ("panics", 1, "Panicked"),
        ("is_killed", -9, "WorkerLost"),
        ("aborts", -6, "WorkerLost"),
        ("no_such_task", 1, "NotFound"),
    ] {
        let ended = run(&json!({"family": "multiprocessing", "daemon": false, "task": task, "action": "join"}));
        assert_eq!((&ended["exitcode"], &ended["kind"]), (&json!(exitcode), &json!(kind)), "{task}: {ended}");
    }
}

#[test]
fn terminate_sends_sigterm_and_kill_sends_sigkill_to_all_below_it() {
    let folder = Folder::new();
    for family in FAMILIES {
        for (action, exitcode) in [("terminate", -15), ("kill", -9)] {
            let file = folder.path(format!("{family}-{action}"));
            let ended = run(&json!({
                "family": family, "daemon": false, "task": "hides_a_child_and_sleeps", "file": file, "action": action,
            }));
            assert_eq!((&ended["exitcode"], &ended["kind"]), (&json!(exitcode), &json!("Stopped")), "{ended}");
        }
    }
}

#[test]
fn a_process_that_is_terminated_before_it_has_begun_its_task_is_terminated_nevertheless() {
    for _ in 0..20 {
        let inputs = json!({"family": "billiard", "daemon": false, "task": "sleeps_for_ever", "action": "terminate"});
        let ended = run(&inputs);
        assert_eq!((&ended["exitcode"], &ended["kind"]), (&json!(-15), &json!("Stopped")), "{ended}");
    }
}

#[test]
fn a_join_that_gives_up_leaves_the_process_running_and_a_drop_kills_or_waits() {
    for daemon in [true, false] {
        let folder = Folder::new();
        let [ready, seen, go, end] = ["ready", "seen", "go", "end"].map(|name| folder.path(name).display().to_string());
        let command = format!(": > {ready}; while ! [ -e {go} ]; do sleep 0.01; done; : > {end}");
        let inputs = json!({
            "family": "multiprocessing", "daemon": daemon, "command": command, "file": ready, "action": "give up",
            "seen": seen,
        });
        let running = start("thread", &inputs, &json!({}));
        // The drop ends a daemonic process, since the test does not let it go on. The drop of another process waits for
        // it.
        if !daemon {
            folder.wait_for("seen");
            folder.write("go", "");
        }
        let told = result(&running.wait());
        assert_eq!((&told["over"], &told["alive"]), (&json!(false), &json!(true)), "{daemon}");
        assert_eq!(folder.has("end"), !daemon, "{daemon}");
    }
}

/// A shell that makes the file `ready` when it has begun, and the file `heard` when it gets SIGTERM.
fn hears_sigterm(folder: &Folder, then: &str) -> String {
    let (ready, heard) = (folder.path("ready"), folder.path("heard"));
    format!("trap 'touch {}; {then}' TERM; touch {}; while :; do sleep 0.01; done", heard.display(), ready.display())
}

#[test]
fn a_daemonic_process_gets_sigterm_and_after_the_grace_sigkill_when_its_parent_exits_or_drops_it() {
    for action in ["exit", "drop"] {
        for then in ["exit 0", ":"] {
            let folder = Folder::new();
            let running = start(
                "thread",
                &json!({
                    "family": "multiprocessing", "daemon": true, "command": hears_sigterm(&folder, then),
                    "file": folder.path("ready"), "action": action,
                }),
                &json!({}),
            );
            // The end of the run asserts that nothing is left of a shell that goes on.
            running.wait().assert_code(0);
            assert!(folder.path("heard").exists(), "{action} {then:?}");
        }
    }
}

#[test]
fn the_exit_of_its_parent_waits_for_a_process_that_is_not_daemonic_and_so_does_a_drop() {
    for family in FAMILIES {
        for action in ["exit", "drop"] {
            let folder = Folder::new();
            let (ready, go, done) = (folder.path("ready"), folder.path("go"), folder.path("done"));
            let command = format!(
                "touch {}; while ! test -e {}; do sleep 0.01; done; touch {}",
                ready.display(),
                go.display(),
                done.display()
            );
            let inputs =
                json!({"family": family, "daemon": false, "command": command, "file": ready, "action": action});
            let mut running = start("thread", &inputs, &json!({}));
            folder.wait_for("ready");
            assert!(running.is_running());
            std::fs::write(&go, "").unwrap();
            running.wait().assert_code(0);
            assert!(done.exists(), "{family} {action}: the process was ended");
        }
    }
}

#[test]
fn a_daemonic_worker_may_start_a_process_of_the_billiard_family_only() {
    for (pool, daemonic) in [("multiprocessing", true), ("billiard", true), ("process", false)] {
        for family in FAMILIES {
            let inputs = json!({"family": family, "daemon": false, "task": "says_who_it_is", "action": "join"});
            let finished = start(pool, &inputs, &json!({})).wait();
            if daemonic && family == "multiprocessing" {
                let report = finished.assert_code(0).json();
                let message = &report["runs"][0]["errors"][0]["message"];
                assert_eq!(message, "daemonic processes are not allowed to have children", "{pool} {family}");
            } else {
                assert_eq!(result(&finished)["daemonic"], false, "{pool} {family}");
            }
        }
    }
}

#[test]
fn a_daemonic_process_may_not_have_children_either() {
    for family in FAMILIES {
        let ended = run(&json!({"family": family, "daemon": true, "task": "nests", "action": "join"}));
        assert_eq!(ended["error"], "daemonic processes are not allowed to have children", "{family}: {ended}");
    }
}

#[test]
fn a_process_ends_with_the_task_that_started_it() {
    let inputs = |folder: &Folder| {
        json!({
            "family": "multiprocessing", "daemon": false, "task": "hides_a_child_and_sleeps",
            "file": folder.path("ready"), "action": "join",
        })
    };
    for pool in ["process", "thread"] {
        let finished = long_enough(|limit| {
            let folder = Folder::new();
            let finished = start(pool, &inputs(&folder), &json!({"timeout_ms": limit.as_millis()})).wait();
            folder.has("ready").then_some(finished)
        });
        let report = finished.assert_code(0).json();
        assert_eq!(report["runs"][0]["ending"], "TimedOut", "{pool}: {report}");
    }
    let folder = Folder::new();
    let running = start("process", &inputs(&folder), &json!({"orphan_grace_ms": 0}));
    folder.wait_for("ready");
    let killed = Instant::now();
    running.signal(Signal::SIGKILL);
    running.mark().assert_none_left_since(killed);
    running.wait_for_end();
}
