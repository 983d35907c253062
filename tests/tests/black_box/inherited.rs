//! What pushflow inherits from whoever starts it, and must not be hindered by: ignored signals, limits, the umask.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use pushflow_tests::binaries::binaries;
use pushflow_tests::folder::Folder;
use pushflow_tests::run::{Program, Running};
use serde_json::{Value, json};

/// A program that a shell executes after it has done this. Not any shell: dash lets no signal be ignored that it waits for.
fn after(preparation: &str, program: &Path) -> Program {
    let script = format!("{preparation}; exec \"$@\"");
    Program::at(Path::new("/bin/bash")).args(["-c", &script, "bash"]).arg(program)
}

fn test_program_after(preparation: &str, settings: &Value) -> Program {
    after(preparation, Path::new(env!("CARGO_BIN_EXE_pushflow-test-program"))).arg(settings.to_string())
}

/// A task that says that it has begun, and waits until [`go_on`].
fn waiting_task(folder: &Folder) -> Value {
    json!({"task": "shows_itself", "inputs": {"folder": folder.path("")}})
}

fn wait_for_begin(folder: &Folder) {
    folder.wait_for("pid");
}

fn go_on(folder: &Folder) {
    folder.write("go", "");
}

/// The run directories of a program once one of its tasks has begun.
fn run_directories(running: &Running, folder: &Folder) -> HashSet<PathBuf> {
    wait_for_begin(folder);
    let directories = running.mark().run_directories();
    assert!(!directories.is_empty(), "a run has a folder for its sockets");
    directories
}

// ----- signals -----

#[test]
fn a_run_of_a_parent_that_ignores_its_children_ends_and_leaves_nothing() {
    for method in ["spawn", "forkserver", "fork"] {
        let folder = Folder::new();
        let mut settings = waiting_task(&folder);
        settings["start_method"] = method.into();
        let running = test_program_after("trap '' CHLD", &settings).start();
        let directories = run_directories(&running, &folder);
        let guardian = running.wait_for_guardian();
        go_on(&folder);
        let report = running.wait().assert_code(0).json();
        assert_eq!(report["runs"][0]["ending"], "Finished", "{method}: {report}");
        assert!(!guardian.is_running(), "{method}: {guardian:?}");
        assert!(!directories.iter().any(|directory| directory.exists()), "{method}: {directories:?}");
    }
}

#[test]
fn python_tasks_and_commands_of_a_parent_that_ignores_its_children_end_and_leave_nothing() {
    let module = "import subprocess\n\ndef task(**inputs):\n    return {'code': subprocess.run(['sh', '-c', 'exit 3']).returncode}\n";
    let folder = Folder::with_tasks(module, &["task"]);
    for method in ["spawn", "forkserver"] {
        let program = after("trap '' CHLD", &binaries().pushflow).arg("run").arg(folder.graph());
        let finished = program.args(["--start-method", method, "--format", "json"]).run();
        assert_eq!(finished.assert_code(0).result()["_ppfdict"]["code"], 3, "{method}");
    }
}

#[test]
fn the_doctor_of_a_parent_that_ignores_its_children_ends() {
    after("trap '' CHLD", &binaries().pushflow).arg("doctor").run().assert_code(0);
}

/// As a script starts the programs in its background, and some CI systems all programs: neither the programs of tasks nor
/// their interpreter ignore SIGINT, so that all of them can be interrupted.
#[test]
fn tasks_are_interrupted_where_sigint_is_ignored() {
    let module = r#"
import os, time

def begun():
    open(os.path.join(os.path.dirname(__file__), "begun"), "w").close()

def task(**inputs):
    try:
        begun()
        # On threads the exception comes between two steps of Python only.
        for _ in range(100_000):
            time.sleep(0.01)
    finally:
        open(os.path.join(os.path.dirname(__file__), "interrupted"), "w").close()
"#;
    let script =
        "#!/bin/sh\ntrap ': > \"${0%/*}/interrupted\"; exit 7' INT\n: > \"${0%/*}/begun\"\nsleep 1000 & wait\n";
    for pool in ["process", "thread"] {
        for folder in [Folder::with_tasks(module, &["task"]), Folder::with_script(script, json!([]))] {
            let program = after("trap '' INT", &binaries().pushflow).arg("run").arg(folder.graph());
            let running = program.args(["--pool", pool, "--interrupt-grace", "1h"]).start();
            folder.wait_for("begun");
            running.signal(Signal::SIGINT);
            running.wait().assert_code(130);
            assert!(folder.has("interrupted"), "{pool}");
        }
    }
}

// ----- the umask -----

#[test]
fn the_folder_for_sockets_is_its_users_own_whatever_the_umask() {
    for umask in ["000", "277"] {
        let folder = Folder::new();
        let running = test_program_after(&format!("umask {umask}"), &waiting_task(&folder)).start();
        let guardian = running.wait_for_guardian();
        wait_for_begin(&folder);
        let directory = std::fs::metadata(format!("/proc/{}/cwd", guardian.pid)).expect("the guardian is there");
        assert_eq!(directory.permissions().mode() & 0o7777, 0o700, "{umask}");
        go_on(&folder);
        running.wait().assert_code(0);
    }
}

// ----- the limit of the length of files -----

#[test]
fn long_values_travel_where_no_file_may_be_so_long() {
    let module = r#"
def make(**inputs):
    return {"text": "x" * 20_000_000, "bytes": b"y" * 20_000_000}

def measure(text, bytes, **inputs):
    return {"right": text == "x" * 20_000_000 and bytes == b"y" * 20_000_000}
"#;
    let folder = Folder::with_tasks(module, &[]);
    let node = |id| json!({"id": id, "task_type": "ppfmethod", "task_identifier": format!("tasks.{id}")});
    folder.write_graph(
        json!([node("make"), node("measure")]),
        json!([{"source": "make", "target": "measure", "map_all_data": true}]),
    );
    // One MiB: bash counts in KiB.
    for pool in ["process", "thread"] {
        let program = after("ulimit -f 1024", &binaries().pushflow).arg("run").arg(folder.graph());
        let finished = program.args(["--pool", pool, "--format", "json"]).run();
        let result = finished.assert_code(0).json()["result"].to_string();
        assert!(result.contains(r#""right":true"#), "{pool}: {result:.500}");
    }
}

#[test]
fn where_no_file_may_have_a_byte_it_is_said_that_no_worker_can_be_started() {
    let folder = Folder::with_tasks("def task(**inputs):\n    return {}\n", &["task"]);
    let finished = after("ulimit -f 0", &binaries().pushflow).arg("run").arg(folder.graph()).run();
    finished.assert_error(
        "a worker could not be started: it could not be asked for (no file may be longer than 0 bytes (ulimit -f)",
    );
    assert_eq!((finished.signal(), finished.stdout.as_str()), (None, ""), "{finished:#?}");
    let doctor = after("ulimit -f 0", &binaries().pushflow).arg("doctor").run();
    doctor.assert_code(1);
    assert!(doctor.stdout.contains("(ulimit -f)"), "{doctor:#?}");
}
