//! An interpreter that starts and never is ready: the run ends when its time is over, when it is stopped, and when it is
//! killed, as if it had begun.

use nix::sys::signal::Signal;
use pushflow_tests::folder::Folder;
use pushflow_tests::processes::wait_until;
use pushflow_tests::run::Program;
use serde_json::json;

use std::time::{Duration, Instant};

const POOLS: [&str; 4] = ["process", "multiprocessing", "billiard", "thread"];

/// Far less than an interpreter may take to start.
const SOON: Duration = Duration::from_secs(20);

/// A task, and an interpreter that says that it was started and then sleeps.
fn folder() -> Folder {
    let folder = Folder::with_tasks("def task(**_): return {}\n", &["task"]);
    let script = format!("#!/bin/sh\ntouch {:?}\nexec sleep 1000\n", folder.path("started"));
    folder.write_program("python3", &script);
    folder
}

fn run(folder: &Folder, pool: &str) -> Program {
    let python = folder.path("python3");
    let program = Program::pushflow_run(folder.graph()).args(["--pool", pool, "--format", "json", "--python"]);
    program.arg(python).hangs_after(SOON)
}

#[test]
fn the_time_of_a_run_is_over_while_its_interpreter_starts() {
    for pool in POOLS {
        let finished = run(&folder(), pool).args(["--timeout", "300ms"]).run();
        let object = finished.assert_code(3).json();
        assert_eq!((&object["outcome"], &object["result"]), (&json!("timed_out"), &json!({})), "{pool}: {object}");
        assert!(object["seconds"].as_f64() >= Some(0.3), "{pool}: {object}");
        finished.assert_error("pushflow: the run timed out after");
    }
}

#[test]
fn a_run_is_stopped_while_its_interpreter_starts() {
    for pool in POOLS {
        for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
            let folder = folder();
            let running = run(&folder, pool).start();
            wait_until("the interpreter was started", SOON, || folder.path("started").exists());
            running.signal(signal);
            let finished = running.wait();
            assert_eq!(finished.assert_code(code).json()["outcome"], "stopped", "{pool}");
            finished.assert_error(&format!("{} was received", signal.as_str()));
        }
    }
}

/// No task has begun that could want its time: whatever the grace for such is, everything ends at once.
#[test]
fn nothing_is_left_of_a_run_that_is_killed_while_its_interpreter_starts() {
    for pool in ["process", "multiprocessing", "billiard"] {
        let folder = folder();
        let running = run(&folder, pool).start();
        wait_until("the interpreter was started", SOON, || folder.path("started").exists());
        let killed = Instant::now();
        running.signal(Signal::SIGKILL);
        running.mark().assert_none_left_since(killed);
        let (finished, _) = running.wait_for_end();
        assert_eq!(finished.signal(), Some(9), "{pool}");
    }
}
