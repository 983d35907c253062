//! The output of tasks: pushflow passes it on line by line under the name of the actor, keeps the last lines for the error
//! of a failed attempt, and never makes a run wait for it.

use std::path::Path;

use pushflow_tests::folder::Folder;
use pushflow_tests::processes::Mark;
use pushflow_tests::run::{Finished, Program};
use serde_json::json;

use crate::test_program;

fn run(folder: &Folder) -> Finished {
    Program::pushflow_run(folder.graph()).run()
}

#[test]
fn what_a_task_prints_reaches_standard_error_under_its_name() {
    let module = r#"
import os, subprocess, sys

def speaker(**inputs):
    print("on standard output")
    print("on standard error", file=sys.stderr)
    os.write(1, "with no end of line: größe".encode())
    subprocess.run(["sh", "-c", "echo from a child"])
    return {}
"#;
    let finished = run(&Folder::with_tasks(module, &["speaker"]));
    finished.assert_code(0).assert_error("speaker| on standard output\n").assert_error("speaker| on standard error\n");
    // Whose end came from the child.
    finished.assert_error("speaker| with no end of line: größefrom a child\n");
    assert_eq!(finished.stdout, "");
}

/// Three rounds of a loop, whose attempts print text without an end of line.
#[test]
fn lines_without_an_end_are_printed_when_their_attempt_ends() {
    let module = r#"
import sys, time
from pathlib import Path

HERE = Path(__file__).parent

def first(round=0, **inputs):
    print(f"first {round}", end="")
    sys.stderr.write(f"warning {round}")
    return {"round": round + 1}

def second(round, **inputs):
    print(f"second {round}", end="")
    return {"again": round < 3}

def last(**inputs):
    (HERE / "reached").touch()
    while not (HERE / "seen").exists():
        time.sleep(0.001)
    print("last", end="")
    return {}
"#;
    let folder = Folder::with_tasks(module, &[]);
    let node = |id: &str, starts: bool| json!({"id": id, "task_type": "ppfmethod", "task_identifier": format!("tasks.{id}"), "force_start_node": starts});
    let link = |source: &str, target: &str, again: Option<bool>| {
        let conditions = again.map(|again| json!([{"source_output": "again", "value": again}])).unwrap_or(json!([]));
        json!({"source": source, "target": target, "map_all_data": true, "conditions": conditions})
    };
    folder.write_graph(
        json!([node("first", true), node("second", false), node("last", false)]),
        json!([
            link("first", "second", None),
            link("second", "first", Some(true)),
            link("second", "last", Some(false))
        ]),
    );
    let running = Program::pushflow_run(folder.graph()).args(["--workers", "1"]).start();
    // The run goes on.
    folder.wait_for("reached");
    running.wait_for_error_text("second| second 3\n");
    folder.write("seen", "");
    let round = |number: u8| format!("first| first {number}\nfirst| warning {number}\nsecond| second {}\n", number + 1);
    let expected = format!("{}{}{}last| last\n", round(0), round(1), round(2));
    assert_eq!(running.wait().assert_code(0).stderr, expected);
}

#[test]
fn bytes_that_are_no_text_do_no_harm() {
    let module = "import os\n\ndef task(**inputs):\n    os.write(1, b'\\xff\\xfe\\x00\\n')\n    return {}\n";
    run(&Folder::with_tasks(module, &["task"])).assert_code(0).assert_error("task| \u{fffd}\u{fffd}\0\n");
}

/// Both tasks write their lines in halves, at the same time: each sees the first half of the other before it goes on.
#[test]
fn lines_of_tasks_that_run_at_the_same_time_are_not_mixed() {
    let module = r#"
import os, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))

def meet(me, other):
    open(os.path.join(HERE, me), "w").close()
    while not os.path.exists(os.path.join(HERE, other)):
        time.sleep(0.001)

def write(letter):
    for _ in range(300):
        for half in (letter * 40, letter * 40 + "\n"):
            sys.stdout.write(half)
            sys.stdout.flush()
    return {}

def first(**inputs):
    meet("first", "second")
    return write("a")

def second(**inputs):
    meet("second", "first")
    return write("b")
"#;
    let folder = Folder::with_tasks(module, &["first", "second"]);
    let finished = Program::pushflow_run(folder.graph()).args(["--workers", "2"]).run();
    let count = |line: String| finished.stderr.lines().filter(|printed| **printed == line).count();
    assert_eq!(count(format!("first| {}", "a".repeat(80))), 300, "{}", finished.stderr);
    assert_eq!(count(format!("second| {}", "b".repeat(80))), 300, "{}", finished.stderr);
    assert_eq!(finished.assert_code(0).stderr.lines().count(), 600);
}

#[test]
fn the_error_of_a_failed_attempt_has_its_last_lines() {
    let module = r#"
import sys

def task(**inputs):
    for number in range(100):
        print("line", number, file=sys.stderr)
    raise RuntimeError("no more")
"#;
    let finished = run(&Folder::with_tasks(module, &["task"]));
    finished.assert_code(1).assert_error("  the last lines on its standard error:\n    line 80\n");
    finished.assert_error("    line 99\n");
    assert!(!finished.stderr.contains("    line 79\n"), "{finished:?}");
}

#[test]
fn the_error_of_a_lost_worker_has_its_last_lines() {
    let module = r#"
import os, signal, sys

def task(**inputs):
    print("the last words", file=sys.stderr)
    os.kill(int(os.environ["PUSHFLOW_WORKER_PID"]), signal.SIGKILL)
    signal.pause()
"#;
    let finished = run(&Folder::with_tasks(module, &["task"]));
    finished.assert_code(1).assert_error("  the last lines on its standard error:\n    the last words\n");
}

#[test]
fn lines_of_one_attempt_are_not_in_the_error_of_the_next() {
    let module = r#"
import sys

def first(**inputs):
    print("of the first", file=sys.stderr)
    return {}

def second(**inputs):
    print("of the second", file=sys.stderr)
    raise RuntimeError
"#;
    let folder = Folder::with_tasks(module, &[]);
    let node = |id| json!({"id": id, "task_type": "ppfmethod", "task_identifier": format!("tasks.{id}")});
    folder.write_graph(
        json!([node("first"), node("second")]),
        json!([{"source": "first", "target": "second", "map_all_data": true}]),
    );
    let finished = Program::pushflow_run(folder.graph()).args(["--workers", "1"]).run();
    finished.assert_code(1).assert_error("  the last lines on its standard error:\n    of the second\n");
    assert!(!finished.stderr.contains("    of the first\n"), "{finished:?}");
}

#[test]
fn ten_megabytes_on_standard_error_are_no_problem() {
    let settings = json!({"task": "prints_to_stderr", "inputs": {"bytes": 10_000_000}});
    let report = test_program(&settings).run().assert_code(0).json();
    assert_eq!(report["runs"][0]["ending"], "Finished", "{report}");
    assert_eq!(report["bytes_printed"], 10_000_000);
    let module = "import sys\n\ndef task(**inputs):\n    sys.stderr.write(('x' * 99 + '\\n') * 100000)\n    return {'printed': 1}\n";
    let finished = run(&Folder::with_tasks(module, &["task"]));
    assert_eq!(finished.assert_code(0).stdout, "printed: 1\n");
}

#[test]
fn a_grandchild_that_holds_the_output_open_does_not_delay_the_end_and_is_gone_with_the_run() {
    let report = test_program(&json!({"task": "leaves_a_grandchild"})).run().assert_code(0).json();
    assert_eq!(report["runs"][0]["ending"], "Finished", "{report}");
    assert_eq!(report["runs"][0]["result"]["left"], true);
}

#[test]
fn a_script_whose_child_holds_the_output_open_does_not_delay_the_end() {
    let script = "#!/bin/sh\nsetsid sleep 1000 &\necho started\n";
    for capture in [true, false] {
        let folder = Folder::with_script(script, json!([{"name": "_capture_output", "value": capture}]));
        let finished = Program::pushflow_run(folder.graph()).args(["--format", "json"]).run();
        let result = finished.assert_code(0).result();
        assert_eq!(result["return_code"], 0, "{result}");
        assert_eq!(result["out"].as_str(), capture.then_some("started\n"), "{result}");
    }
}

#[test]
fn output_that_nobody_reads_does_not_change_the_end() {
    let module = "def task(**inputs):\n    print('x' * 1000000)\n    return {'reply': 'x' * 1000000}\n";
    let folder = Folder::with_tasks(module, &["task"]);
    for (stdout, stderr) in [(true, false), (false, true), (true, true)] {
        let mut program = Program::pushflow_run(folder.graph());
        if stdout {
            program = program.stdout(closed_pipe());
        }
        if stderr {
            program = program.stderr(closed_pipe());
        }
        program.run().assert_code(0);
    }
}

/// What `| head -c0` leaves behind.
fn closed_pipe() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().expect("there are files left");
    drop(reader);
    writer
}

#[test]
fn a_reader_that_stops_reading_does_not_stop_the_run() {
    let module = "def task(**inputs):\n    print(('x' * 99 + '\\n') * 10000)\n    open(inputs['done'], 'w').close()\n    return {}\n";
    let folder = Folder::with_tasks(module, &["task"]);
    let (reader, writer) = std::io::pipe().expect("there are files left");
    let input = format!("done={}", folder.path("done").display());
    let running = Program::pushflow_run(folder.graph()).arg(input).stderr(writer).start();
    folder.wait_for("done");
    drop(reader);
    running.wait().assert_code(0);
}

#[test]
fn the_marks_of_the_tests_work() {
    // If processes were never found, every assertion that none is left would hold.
    let mark = Mark::new();
    let mut child = std::process::Command::new("sleep").arg("1000").env(Mark::VARIABLE, mark.value()).spawn().unwrap();
    let found = mark.processes();
    mark.kill_all();
    child.wait().unwrap();
    assert_eq!(found.iter().map(|process| process.pid).collect::<Vec<_>>(), [i32::try_from(child.id()).unwrap()]);
    mark.assert_none_left();
}

#[test]
fn what_a_task_prints_goes_where_the_program_prints_if_nobody_observes_the_run() {
    for pool in ["thread", "process", "multiprocessing"] {
        let settings = json!({"tasks": ["prints"], "pool": pool, "unwatched": true});
        let program = Program::at(Path::new(env!("CARGO_BIN_EXE_pushflow-large-values")));
        let finished = program.arg(settings.to_string()).run();
        finished.assert_code(0);
        assert!(finished.stdout.starts_with("said on standard output\n"), "{pool}: {finished:?}");
        assert_eq!(finished.stderr, "said on standard error\n", "{pool}");
    }
}

/// The same where nobody reads what is printed.
#[test]
fn what_nobody_observes_and_nobody_reads_holds_up_no_deadline() {
    let (_unread, stderr) = std::io::pipe().expect("there are files");
    let settings =
        json!({"tasks": ["prints_much"], "pool": "process", "unwatched": true, "timeout_ms": 1000, "grace_ms": 100});
    let program = Program::at(Path::new(env!("CARGO_BIN_EXE_pushflow-large-values")));
    let finished = program.arg(settings.to_string()).stderr(stderr).run();
    let ending = finished.assert_code(0).json()["ending"].clone();
    assert!(ending == "TimedOut" || ending == "Finished", "{ending}");
}
