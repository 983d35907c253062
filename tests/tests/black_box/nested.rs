//! Pools that tasks open: which pools may open which, whose child each process is, and that the pools end with the
//! task.

use std::time::Instant;

use pushflow_tests::folder::Folder;
use pushflow_tests::limits::long_enough;
use pushflow_tests::run::{Finished, Program, Running};
use serde_json::{Value, json};

use crate::test_program;

/// Every pool of processes, whether its processes are daemonic, and whether a daemonic process may start them.
const POOLS: [(&str, bool, bool); 5] = [
    ("process", false, false),
    ("ndprocess", false, false),
    ("multiprocessing", true, false),
    ("ndmultiprocessing", false, false),
    ("billiard", true, true),
];
const METHODS: [&str; 3] = ["spawn", "forkserver", "fork"];

/// The short name of a worker that runs the test program.
const WORKER: &str = "pushflow-test-p";

/// A task that runs another in a pool of its own.
fn nest(outer: &str, outer_method: &str, inner: &str, inner_method: &str) -> Finished {
    let inputs = json!({"pool": inner, "start_method": inner_method, "task": "says_who_it_is"});
    let settings = json!({"task": "nests", "pool": outer, "start_method": outer_method, "inputs": inputs});
    test_program(&settings).run()
}

fn result(finished: &Finished) -> Value {
    let report = finished.assert_code(0).json();
    assert_eq!(report["runs"][0]["ending"], "Finished", "{report}");
    report["runs"][0]["result"].clone()
}

#[test]
fn a_worker_knows_its_name_its_parent_and_whether_it_is_daemonic() {
    for (pool, daemonic, _) in POOLS {
        for method in METHODS {
            let settings = json!({"task": "says_who_it_is", "pool": pool, "start_method": method});
            let finished = test_program(&settings).run();
            let (report, who) = (finished.json(), result(&finished));
            assert_eq!(who["name"], format!("{pool}-1"), "{method}");
            assert_eq!(who["daemonic"], daemonic, "{pool} {method}");
            assert_eq!(who["parent"], report["pid"], "{pool} {method}");
            assert_ne!(who["pid"], report["pid"], "{pool} {method}");
        }
    }
}

#[test]
fn a_thread_is_the_main_process() {
    let who = result(&test_program(&json!({"task": "says_who_it_is", "pool": "thread"})).run());
    assert_eq!((&who["name"], &who["daemonic"], &who["parent"]), (&json!("MainProcess"), &json!(false), &json!(-1)));
}

#[test]
fn only_processes_of_the_billiard_family_may_be_children_of_daemonic_ones() {
    for (outer, daemonic, _) in POOLS {
        for (inner, inner_daemonic, always) in POOLS {
            let finished = nest(outer, "default", inner, "default");
            if daemonic && !always {
                let report = finished.assert_code(0).json();
                let message = &report["runs"][0]["errors"][0]["message"];
                assert_eq!(message, "daemonic processes are not allowed to have children", "{outer} {inner}");
            } else {
                let who = result(&finished);
                assert_eq!(who["parent"], who["outer"], "{outer} {inner}");
                assert_eq!(who["daemonic"], inner_daemonic, "{outer} {inner}");
                assert_eq!(who["name"], format!("{inner}-1"), "{outer}");
            }
        }
    }
}

#[test]
fn every_start_method_serves_inside_every_other() {
    for outer in METHODS {
        for inner in METHODS {
            let who = result(&nest("process", outer, "process", inner));
            assert_eq!(who["parent"], who["outer"], "{outer} {inner}");
        }
    }
}

#[test]
fn a_task_on_a_thread_may_have_any_pool() {
    for (inner, inner_daemonic, _) in POOLS {
        let who = result(&nest("thread", "default", inner, "default"));
        assert_eq!(who["daemonic"], inner_daemonic, "{inner}");
    }
}

#[test]
fn pools_in_pools_in_pools_work_to_any_depth_that_processes_allow() {
    for pool in ["process", "billiard", "thread"] {
        let inputs = json!({"pool": pool, "start_method": "default", "depth": 5});
        let deep = result(&test_program(&json!({"task": "nests_deeper", "pool": pool, "inputs": inputs})).run());
        assert_eq!(deep["levels"], 5, "{pool}");
    }
}

/// A program with a task whose pool is busy for ever, with a child that hides, once the file `ready` is there.
fn busy_nest(folder: &Folder, outer: &str, more: &Value) -> Program {
    let inputs = json!({"pool": outer, "file": folder.path("ready")});
    let mut settings = json!({"task": "nests_for_ever", "pool": outer, "inputs": inputs});
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    test_program(&settings)
}

/// Starts the program of [`busy_nest`], and waits until its pool is busy.
fn start_busy_nest(outer: &str, more: &Value) -> Running {
    let folder = Folder::new();
    let running = busy_nest(&folder, outer, more).start();
    folder.wait_for("ready");
    running
}

#[test]
fn what_a_task_has_opened_ends_with_its_worker() {
    for pool in ["process", "billiard"] {
        let running = start_busy_nest(pool, &json!({}));
        let workers = running.mark().workers_named(WORKER);
        assert_eq!(workers.len(), 2, "{workers:?}");
        let outer = workers.iter().min_by_key(|worker| worker.start_time).unwrap();
        outer.kill();
        let report = running.wait().assert_code(0).json();
        let error = &report["runs"][0]["errors"][0];
        assert_eq!(error["kind"], "WorkerLost", "{report}");
        assert_eq!(error["pid"], outer.pid, "{report}");
    }
}

#[test]
fn what_a_task_has_opened_ends_when_the_task_is_interrupted() {
    let finished = long_enough(|limit| {
        let folder = Folder::new();
        let finished = busy_nest(&folder, "process", &json!({"timeout_ms": limit.as_millis()})).run();
        folder.has("ready").then_some(finished)
    });
    let report = finished.assert_code(0).json();
    assert_eq!(report["runs"][0]["ending"], "TimedOut", "{report}");
}

/// The task runs on a thread, which can't be ended, so the task receives its interrupt.
#[test]
fn what_a_task_opens_is_given_up_when_the_task_is_interrupted() {
    for what in ["process", "billiard", "process of its own"] {
        let finished = long_enough(|limit| {
            let folder = Folder::new();
            let python = folder.write_program("python3", "#!/bin/sh\n: > \"$0.begun\"\nexec sleep 1000\n");
            let inputs = json!({"what": what, "python": python});
            let limit = limit.as_millis();
            let settings = json!({"task": "nests_slowly", "pool": "thread", "inputs": inputs, "timeout_ms": limit});
            let finished = test_program(&settings).run();
            folder.has("python3.begun").then_some(finished)
        });
        let report = finished.assert_code(0).json();
        assert_eq!(report["runs"][0]["ending"], "TimedOut", "{what}: {report}");
        let error = report["runs"][0]["errors"].to_string();
        assert!(error.contains("the pool was given up while it was opened"), "{what}: {report}");
    }
}

#[test]
fn what_a_task_has_opened_ends_with_the_scheduler() {
    for (pool, grace) in [("process", 0), ("billiard", 30_000)] {
        let running = start_busy_nest(pool, &json!({"orphan_grace_ms": grace}));
        let killed = Instant::now();
        running.signal(nix::sys::signal::Signal::SIGKILL);
        running.mark().assert_none_left_since(killed);
        running.wait_for_end();
    }
}
