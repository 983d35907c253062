//! Few open files (`ulimit -n`): for the guardian, and for what it starts.

use std::path::Path;
use std::process::Command;

use pushflow_tests::binaries::binaries;
use pushflow_tests::folder::Folder;
use pushflow_tests::run::Program;
use serde_json::json;

/// `pushflow run` with so many files, which it may not have more of if the limit is hard.
fn run_with_files(limit: &str, folder: &Folder) -> Program {
    let script = format!("ulimit {limit}; exec \"$@\"");
    let program = Program::at(Path::new("/bin/bash")).args(["-c", &script, "bash"]);
    program.arg(&binaries().pushflow).arg("run").arg(folder.graph())
}

/// The soft limit of the files of a process, and the hard one.
fn limits(pid: i32) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("it is there");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("it is there");
    let mut words = line.split_whitespace().map(str::to_owned);
    words.next().zip(words.next()).expect("there are two")
}

#[test]
fn the_guardian_has_the_hard_limit_and_tasks_have_that_of_their_user() {
    let module = "
import os, resource, time

HERE = os.path.dirname(os.path.abspath(__file__))

def task(**inputs):
    while not os.path.exists(os.path.join(HERE, 'go')):
        time.sleep(0.01)
    pids = {'interpreter': os.getpid(), 'worker': int(os.environ['PUSHFLOW_WORKER_PID'])}
    return {name: resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] for name, pid in pids.items()}
";
    for method in ["spawn", "forkserver"] {
        let folder = Folder::with_tasks(module, &["task"]);
        let running = run_with_files("-Sn 250", &folder).args(["--start-method", method, "--format", "json"]).start();
        let (soft, hard) = limits(running.wait_for_guardian().pid);
        folder.write("go", "");
        assert_eq!(soft, hard, "{method}");
        assert_ne!(soft, "250", "{method}");
        let result = running.wait().assert_code(0).result();
        assert_eq!(
            (&result["_ppfdict"]["interpreter"], &result["_ppfdict"]["worker"]),
            (&json!(250), &json!(250)),
            "{method}"
        );
    }
}

#[test]
fn many_workers_and_their_commands_have_room() {
    const WORKERS: usize = 36;
    let folder = Folder::new();
    let here = folder.path("").display().to_string();
    // Each waits until there are all of them.
    let script = format!(
        "#!/bin/sh\ntouch {here}/$$.begun\nuntil [ $(ls {here} | grep -c begun) -ge {WORKERS} ]; do sleep 0.1; done\n"
    );
    let script = folder.write_program("script", &script);
    let node = |number| json!({"id": format!("{number}"), "task_type": "script", "task_identifier": script});
    folder.write_graph((0..2 * WORKERS).map(node).collect(), json!([]));
    run_with_files("-n 256", &folder).args(["--workers", &WORKERS.to_string()]).run().assert_code(0);
}

/// What does not fit fails alone, with the reason.
#[test]
fn where_the_guardian_may_have_no_more_files_a_command_is_refused_with_the_reason() {
    let folder = Folder::new();
    let here = folder.path("").display().to_string();
    let wait = format!("until [ -e {here}/go ]; do sleep 0.02; done");
    let first = folder.write_program("first", &format!("#!/bin/sh\ntouch {here}/begun; {wait}\n"));
    let second = folder.write_program("second", "#!/bin/sh\n");
    let node = |name, script| json!({"id": name, "task_type": "script", "task_identifier": script});
    folder.write_graph(
        json!([node("first", first), node("second", second)]),
        json!([{"source": "first", "target": "second"}]),
    );
    let long = "x".repeat(100_000);
    for variable in ["short", &long] {
        std::fs::remove_file(folder.path("go")).ok();
        std::fs::remove_file(folder.path("begun")).ok();
        let program = Program::pushflow_run(folder.graph()).args(["--workers", "1"]).env("VARIABLE", variable);
        let running = program.start();
        folder.wait_for("begun");
        let guardian = running.wait_for_guardian();
        let prlimit = Command::new("prlimit").args(["--pid", &guardian.pid.to_string(), "--nofile=8:"]).status();
        assert!(prlimit.expect("it is installed").success());
        folder.write("go", "");
        let finished = running.wait();
        finished.assert_code(1).assert_error("there may be no more open files (ulimit -n)");
        assert!(!finished.stderr.contains("guardian"), "{finished:#?}");
    }
}
