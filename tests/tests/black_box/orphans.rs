//! Many short processes leave nothing behind, and a worker does not depend on the thread that started it.

use std::time::Duration;

use pushflow_tests::random::say;
use serde_json::json;

use crate::test_program;

/// The worker waits for its own children only, so that `Command` in a task loses no exit code. The keeper waits for
/// orphans.
#[test]
fn five_thousand_orphans_and_twenty_thousand_tasks_leave_nothing_behind_and_steal_no_child() {
    for (pool, method) in [("process", "spawn"), ("process", "forkserver"), ("billiard", "fork")] {
        let settings = json!({"mode": "orphans", "pool": pool, "start_method": method, "workers": 1});
        let program = test_program(&settings).hangs_after(Duration::from_secs(240));
        // The C library adds segments when threads happen to allocate at the same time: with this it does not.
        let report = program.env("MALLOC_ARENA_MAX", "1").run().assert_code(0).json();
        assert_eq!(report["result"], json!({"right": 2500, "all": true}), "{pool}, {method}: {report}");
        assert_eq!(report["same_worker"], true, "{pool}, {method}");
        assert_eq!(report["before"], report["after"], "{pool}, {method}: {report:#}");
        // One, in which the sockets of the handshake were: empty.
        assert_eq!(report["after"]["run_directories"], json!([[]]), "{pool}, {method}");
        let processes = report["after"]["processes"].as_array().expect("a list");
        assert!(processes.iter().all(|process| process["zombies"] == 0), "{pool}, {method}: {processes:?}");
        let names: Vec<_> = processes.iter().map(|process| &process["name"]).collect();
        for name in ["pushflow-guard", "pushflow-keep", "pushflow-test-p"] {
            assert!(names.iter().any(|found| **found == name), "{pool}, {method}: no {name} in {names:?}");
        }
        say(&format!("{pool}, {method}, after 5,000 orphans and 20,000 tasks as before: {}", report["after"]));
    }
}

#[test]
fn a_worker_lives_on_when_the_thread_that_asked_for_it_has_ended() {
    for pool in ["process", "multiprocessing", "billiard"] {
        for method in ["spawn", "forkserver", "fork"] {
            let settings = json!({"mode": "hand over", "pool": pool, "start_method": method, "workers": 1});
            let report = test_program(&settings).run().assert_code(0).json();
            let later = report["later"].as_array().expect("a list of pids");
            assert_eq!(later.len(), 200, "{pool}, {method}");
            assert!(later.iter().all(|pid| *pid == report["first"]), "{pool}, {method}: {report}");
        }
    }
}
