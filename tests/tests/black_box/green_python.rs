//! Python tasks on the pool `gevent`: thousands of them run in one interpreter at a time. Each can be interrupted by
//! itself, and all are lost if the interpreter ends.

use nix::sys::signal::Signal;
use pushflow_tests::folder::Folder;
use pushflow_tests::libraries::is_there;
use pushflow_tests::limits::{argument, long_enough};
use pushflow_tests::run::{Finished, Program};
use serde_json::{Value, json};

/// A graph of Python tasks that no links connect, with a folder for the files that they write.
fn side_by_side(module: &str, nodes: impl IntoIterator<Item = Value>) -> Folder {
    let folder = Folder::new();
    folder.write("tasks.py", format!("from pathlib import Path\nhere = Path(__file__).parent\n{module}"));
    folder.write_graph(nodes.into_iter().collect(), json!([]));
    folder
}

fn node(id: &str, function: &str) -> Value {
    json!({"id": id, "task_type": "ppfmethod", "task_identifier": format!("tasks.{function}")})
}

fn nodes(count: usize, function: &str) -> Vec<Value> {
    (0..count).map(|number| node(&format!("node {number}"), function)).collect()
}

fn green(program: Program) -> Program {
    program.env("PUSHFLOW_ENVIRONMENT", "green")
}

fn run(folder: &Folder) -> Program {
    green(Program::pushflow_run(folder.graph()))
}

/// `pushflow run` with this limit of open files.
fn run_with_files(folder: &Folder, limit: &str) -> Program {
    let script = format!("ulimit -n {limit}; exec \"$@\"");
    let program = Program::at("/bin/sh".as_ref()).args(["-c", &script, "sh"]);
    let pushflow = &pushflow_tests::binaries::binaries().pushflow;
    green(program.arg(pushflow).arg("run").arg(folder.graph()))
}

/// The entry of this name in each node's dictionary.
fn of_all(finished: &Finished, name: &str) -> Vec<Value> {
    let object = finished.assert_code(0).json();
    let nodes = object["nodes"].as_object().expect("every execution is printed");
    nodes.values().map(|node| node["executions"][0]["outputs"]["_ppfdict"][name].clone()).collect()
}

const ALL: [&str; 4] = ["--format", "json", "--output", "all"];

#[test]
fn a_thousand_tasks_that_wait_for_each_other_share_one_interpreter() {
    if !is_there("gevent") {
        return;
    }
    const COUNT: usize = 1000;
    let module = format!(
        "
import os, threading
barrier = threading.Barrier({COUNT})
def meets(**_):
    barrier.wait(300)
    return {{'pid': os.getpid()}}
"
    );
    let folder = side_by_side(&module, nodes(COUNT, "meets"));
    let finished = run_with_files(&folder, "$(ulimit -Hn)").args(ALL).run();
    if finished.stderr.contains("BrokenBarrierError") {
        panic!("the limit of open files is too low for this test: {finished:#?}");
    }
    let pids = of_all(&finished, "pid");
    assert_eq!(pids.len(), COUNT);
    assert!(pids.iter().all(|pid| pid.is_u64() && *pid == pids[0]), "{pids:?}");
}

#[test]
fn more_tasks_than_files_may_be_open_for_wait_their_turn() {
    if !is_there("gevent") {
        return;
    }
    let module = "
import time
running, most = 0, 0
def counts(**_):
    global running, most
    running += 1
    most = max(most, running)
    time.sleep(0.01)
    running -= 1
    return {'most': most}
";
    let folder = side_by_side(module, nodes(300, "counts"));
    let finished = run_with_files(&folder, "160").args(ALL).run();
    let most = of_all(&finished, "most").iter().map(|most| most.as_u64().unwrap()).max().unwrap();
    assert!((2..60).contains(&most), "{most}");
}

#[test]
fn an_attempt_that_is_too_late_is_interrupted_and_its_neighbours_go_on() {
    if !is_there("gevent") {
        return;
    }
    let module = "
import time
def spins():
    while True: pass
def late(**_):
    try:
        spins()
    finally:
        (here / 'interrupted').touch()
def neighbour(**_):
    while not (here / 'interrupted').exists(): time.sleep(0.01)
    return {'went': 'on'}
";
    let (folder, finished) = long_enough(|limit| {
        let mut late = node("late", "late");
        late["pushflow"] = json!({"timeout": limit.as_secs()});
        let folder = side_by_side(module, [late, node("neighbour", "neighbour")]);
        // A task that is interrupted before it has begun writes no file, and then its neighbour never ends.
        let finished = run(&folder).args(ALL).args(["--timeout", &argument(limit * 2)]).run();
        (finished.code() != Some(3)).then_some((folder, finished))
    });
    assert!(folder.has("interrupted"), "{finished:#?}");
    finished.assert_code(1).assert_error("late (attempt 1, pid ").assert_error("TimedOut: the attempt ran longer");
    let went = &finished.json()["nodes"]["neighbour"]["executions"][0]["outputs"]["_ppfdict"]["went"];
    assert_eq!(went, "on");
}

#[test]
fn the_end_of_the_interpreter_fails_what_runs_in_it_and_error_handlers_get_a_new_one() {
    if !is_there("gevent") {
        return;
    }
    let module = "
import os, signal, time
def kills(**_):
    while not (here / 'began').exists(): time.sleep(0.01)
    (here / 'pid').write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL)
def waits(**_):
    (here / 'began').touch()
    time.sleep(600)
def handles(WorkflowExceptionInstance=None, **_):
    return {'is_new': (here / 'pid').read_text() != str(os.getpid()), 'error': str(WorkflowExceptionInstance)}
";
    let folder = side_by_side(module, []);
    let link = json!([{"source": "waits", "target": "handles", "on_error": true, "map_all_data": true}]);
    folder.write_graph(json!([node("kills", "kills"), node("waits", "waits"), node("handles", "handles")]), link);
    let finished = run(&folder).args(ALL).run();
    let error = "kills (attempt 1, pid ";
    finished.assert_code(1).assert_error(error).assert_error("was killed by signal 9 (SIGKILL)");
    let handled = &finished.json()["nodes"]["handles"]["executions"][0]["outputs"]["_ppfdict"];
    assert_eq!(handled["is_new"], true, "{finished:#?}");
    assert!(handled["error"].as_str().unwrap().contains("was killed by signal 9 (SIGKILL)"), "{finished:#?}");
}

#[test]
fn sigint_interrupts_all_tasks() {
    if !is_there("gevent") {
        return;
    }
    let module = "
import time
count = 0
def sleeps(**_):
    global count
    count += 1
    try:
        if count == 50: (here / 'began').touch()
        time.sleep(600)
    except KeyboardInterrupt:
        with open(here / 'log', 'a') as log: log.write('interrupted\\n')
        raise
";
    let folder = side_by_side(module, nodes(50, "sleeps"));
    let running = run(&folder).start();
    folder.wait_for("began");
    running.signal(Signal::SIGINT);
    running.wait().assert_code(130);
    assert_eq!(folder.read("log").lines().count(), 50);
}

#[test]
fn a_task_that_never_returns_to_python_ends_with_the_run() {
    if !is_there("gevent") {
        return;
    }
    // The task stays within one call, which looks at no signal and never lets other threads use the interpreter.
    let module = "
import time
def holds(**_):
    (here / 'began').touch()
    sum(range(10 ** 15))
def sleeps(**_):
    time.sleep(0.01)
";
    let finished = long_enough(|limit| {
        let folder = side_by_side(module, [node("holds", "holds"), node("sleeps", "sleeps")]);
        let arguments = ["--timeout", &argument(limit), "--interrupt-grace", "100ms"];
        let finished = run(&folder).args(arguments).run();
        folder.has("began").then_some(finished)
    });
    finished.assert_code(3).assert_error("holds (attempt 1): TimedOut");
}
