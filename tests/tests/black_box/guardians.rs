//! Guardians and their run directories: of runs that tasks start, and of guardians that are stopped or killed.

use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pushflow_tests::binaries::binaries;
use pushflow_tests::folder::Folder;
use pushflow_tests::run::Program;
use serde_json::json;

use crate::test_program;

/// A task that writes down its run directory and stays, and two tasks that start a run of it: one returns, one stays.
const MODULE: &str = r#"
import os, subprocess, time

HERE = os.path.dirname(os.path.abspath(__file__))

def write(name):
    with open(os.path.join(HERE, name + ".part"), "w") as file:
        file.write(os.environ["PUSHFLOW_RUN_DIRECTORY"])
    os.rename(os.path.join(HERE, name + ".part"), os.path.join(HERE, name))

def inner(**inputs):
    write("inner")
    time.sleep(1000)

def start(pushflow):
    write("outer")
    subprocess.Popen([pushflow, "run", os.path.join(HERE, "inner.json")], start_new_session=True)
    while not os.path.exists(os.path.join(HERE, "inner")):
        time.sleep(0.005)

def starts(pushflow, **inputs):
    start(pushflow)
    return {}

def stays(pushflow, **inputs):
    start(pushflow)
    time.sleep(1000)

def deep(pushflow, depth):
    write(str(depth))
    if depth:
        inputs = ["pushflow=" + pushflow, "depth=" + str(depth - 1)]
        subprocess.run([pushflow, "run", os.path.join(HERE, "graph.json"), *inputs], check=True, capture_output=True)
    return {}
"#;

fn folder_with(task: &str) -> Folder {
    let folder = Folder::with_tasks(MODULE, &["inner"]);
    std::fs::rename(folder.graph(), folder.path("inner.json")).expect("it was just written");
    let node = json!({"id": task, "task_type": "ppfmethod", "task_identifier": format!("tasks.{task}")});
    folder.write_graph(json!([node]), json!([]));
    folder
}

fn run(folder: &Folder) -> Program {
    let pushflow = binaries().pushflow.display().to_string();
    Program::pushflow_run(folder.graph()).arg(format!("pushflow={pushflow}"))
}

#[test]
fn a_run_that_a_task_started_leaves_no_folder_when_it_is_ended_with_the_task() {
    for (task, code) in [("starts", 0), ("stays", 130)] {
        for method in ["spawn", "forkserver"] {
            let folder = folder_with(task);
            let running = run(&folder).args(["--start-method", method]).start();
            folder.wait_for("inner");
            if code != 0 {
                running.signal(Signal::SIGINT);
            }
            // What is left of it would be seen, too.
            running.wait().assert_code(code);
            let (outer, inner) = (PathBuf::from(folder.read("outer")), PathBuf::from(folder.read("inner")));
            assert_ne!(outer, inner, "{task}, {method}");
            assert!(inner.starts_with(&outer), "{task}, {method}: {inner:?} is in {outer:?}");
            assert!(!inner.exists() && !outer.exists(), "{task}, {method}: {inner:?}");
        }
    }
}

/// The path of a socket has at most 107 bytes.
#[test]
fn runs_in_runs_work_to_any_depth() {
    let folder = folder_with("deep");
    run(&folder).arg("depth=7").run().assert_code(0);
    for depth in 0..=7 {
        let directory = folder.read(&depth.to_string());
        assert!(!Path::new(&directory).exists(), "{directory}");
    }
}

/// A batch system, for example, gives the environment of a task to programs that outlive the task.
#[test]
fn the_folder_of_a_run_that_is_none_of_its_descendants_is_not_used() {
    let folder = folder_with("deep");
    let other = folder.path("pushflow-other");
    std::fs::create_dir(&other).expect("the folder is new");
    run(&folder).arg("depth=0").env("PUSHFLOW_RUN_DIRECTORY", &other).run().assert_code(0);
    assert_eq!(Path::new(&folder.read("0")).parent(), Some(Path::new("/tmp")));
}

#[test]
fn the_folder_of_a_guardian_that_was_killed_is_removed_by_its_scheduler() {
    for method in ["spawn", "fork"] {
        let folder = Folder::new();
        let inputs = json!({"file": folder.path("begun")});
        let settings = json!({"task": "sleeps_ready", "start_method": method, "inputs": inputs});
        let running = test_program(&settings).start();
        folder.wait_for("begun");
        let (guardian, directories) = (running.wait_for_guardian(), running.mark().run_directories());
        assert!(!directories.is_empty(), "a run has a folder for its sockets");
        guardian.kill();
        running.wait().assert_code(0);
        assert!(!directories.iter().any(|directory| directory.exists()), "{method}: {directories:?}");
    }
}

#[test]
fn a_guardian_that_was_stopped_ends_with_its_scheduler() {
    for method in ["spawn", "fork"] {
        let folder = Folder::new();
        let inputs = json!({"file": folder.path("begun")});
        let settings = json!({"task": "naps_ready", "start_method": method, "inputs": inputs});
        let running = test_program(&settings).start();
        folder.wait_for("begun");
        let guardian = running.wait_for_guardian();
        kill(Pid::from_raw(guardian.pid), Signal::SIGSTOP).expect("it is there");
        // Which asserts that nothing is left.
        running.wait();
    }
}
