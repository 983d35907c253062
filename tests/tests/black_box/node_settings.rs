//! What a node asks for itself under `pushflow`: a pool of its own, and to be tried again.

use std::collections::BTreeSet;

use pushflow_tests::folder::Folder;
use pushflow_tests::limits::{argument, long_enough};
use pushflow_tests::run::{Finished, Program};
use serde_json::{Value, json};

const TASKS: &str = "
import multiprocessing, os, signal, sys, time

def where(**_):
    return {'pid': os.getpid(), 'daemon': multiprocessing.current_process().daemon}

def tries(name):
    with open(name, 'a') as file:
        file.write('x')
    return os.path.getsize(name)

def flaky(file, **_):
    count = tries(file)
    if count == 1:
        raise ConnectionError('not yet')
    if count == 2:
        os.kill(os.getppid() if 'worker' in file else os.getpid(), signal.SIGKILL)
        time.sleep(1000)
    if count == 3:
        time.sleep(1000)
    return {'tries': count}
";

/// One node for each of these settings, named after its place, that runs a function of the tasks.
fn nodes(function: &str, settings: &[Value]) -> Folder {
    let folder = Folder::new();
    folder.write("tasks.py", TASKS);
    let node = |(number, settings): (usize, &Value)| {
        json!({
            "id": number.to_string(), "task_type": "method", "task_identifier": format!("tasks.{function}"),
            "pushflow": settings, "default_inputs": [{"name": "file", "value": folder.path("count")}],
        })
    };
    folder.write_graph(settings.iter().enumerate().map(node).collect(), json!([]));
    folder
}

fn run(folder: &Folder, arguments: &[&str]) -> Finished {
    Program::pushflow_run(folder.graph()).args(["--format", "json", "--output", "all"]).args(arguments).run()
}

/// What a node's first execution returned.
fn returned<'a>(object: &'a Value, node: &str) -> &'a Value {
    &object["nodes"][node]["executions"][0]["outputs"]["return_value"]
}

#[test]
fn nodes_have_pools_of_their_own_and_share_those_with_each_other() {
    let pools = [json!({}), json!({"pool": "thread"}), json!({"pool": "multiprocessing"}), json!({"pool": "process"})];
    let folder = nodes("where", &pools);
    let finished = run(&folder, &["--pool", "process", "--workers", "1", "--no-scaling"]);
    let object = finished.assert_code(0).json();
    let daemons = ["0", "1", "2", "3"].map(|node| returned(&object, node)["daemon"].as_bool().expect("a flag"));
    assert_eq!(daemons, [false, false, true, false], "{object}");
    let pids = ["0", "1", "2"].map(|node| returned(&object, node)["pid"].as_i64().expect("a pid"));
    assert_eq!(pids.iter().collect::<BTreeSet<_>>().len(), 3, "an interpreter each: {object}");
    assert_eq!(returned(&object, "3")["pid"], pids[0], "the pool of the run is not opened twice");
}

#[test]
fn a_pool_that_no_node_runs_on_is_not_opened() {
    let folder = nodes("where", &[json!({"pool": "thread"})]);
    // Opened, it would be refused.
    run(&folder, &["--pool", "gevent", "--environment", "plain"]).assert_code(0);
}

#[test]
fn a_pool_of_a_node_that_can_not_be_opened_is_refused_before_anything_runs() {
    let folder = nodes("flaky", &[json!({}), json!({"pool": "gevent"})]);
    let finished = run(&folder, &["--environment", "plain"]);
    finished.assert_code(2).assert_error("gevent");
    assert!(!folder.has("count"), "nothing ran");
}

/// An exception, a crash, a time that is over, and then a result.
#[track_caller]
fn assert_tried_again(pool: &str, crash: &str) {
    let finished = long_enough(|limit| {
        let folder = nodes("flaky", &[json!({"retries": 1, "timeout": argument(limit)})]);
        let text = folder.read("graph.json").replace("count", crash);
        folder.write("graph.json", text);
        let finished = run(&folder, &["--pool", pool, "--interrupt-grace", "500ms"]);
        let executions = finished.json()["nodes"]["0"]["executions"].as_array().map_or(0, Vec::len);
        (folder.read(crash).len() == executions).then_some(finished)
    });
    let object = finished.assert_code(0).json();
    let executions = object["nodes"]["0"]["executions"].as_array().expect("a list");
    let statuses: Vec<&Value> = executions.iter().map(|execution| &execution["status"]).collect();
    assert_eq!(statuses, ["failed", "lost", "timed_out", "finished"], "{pool}: {object}");
    assert_eq!(object["result"]["return_value"], json!({"tries": 4}), "{pool}: {object}");
    let errors = object["errors"].as_array().expect("a list");
    let note = "note: an error of 0 (attempt 1) was handled: ConnectionError: not yet; so were 2 more, which";
    assert!(finished.stderr.starts_with(note), "{pool}: {finished:?}");
    assert!(errors.len() == 3 && errors.iter().all(|error| error["handled"] == true), "{pool}: {object}");
}

#[test]
fn a_node_is_tried_again_after_an_error_a_crash_and_a_time_that_is_over() {
    assert_tried_again("process", "interpreter");
    assert_tried_again("process", "worker");
    assert_tried_again("multiprocessing", "interpreter");
}

#[test]
fn a_node_that_has_no_try_left_has_failed_with_its_last_error() {
    let folder = nodes("flaky", &[json!({"retries": {"errors": 1, "delay": "10ms"}})]);
    let finished = run(&folder, &["--pool", "process"]);
    let object = finished.assert_code(1).json();
    let handled: Vec<&Value> =
        object["errors"].as_array().expect("a list").iter().map(|error| &error["handled"]).collect();
    assert_eq!(handled, [true, false], "{object}");
    assert_eq!(object["errors"][1]["type"], "WorkerLost", "{object}");
}

#[test]
fn a_run_does_not_wait_for_the_next_try_after_its_deadline() {
    let finished = long_enough(|limit| {
        let folder = nodes("flaky", &[json!({"retries": {"errors": 1, "delay": "1h"}})]);
        let finished = run(&folder, &["--timeout", &argument(limit)]);
        folder.has("count").then_some(finished)
    });
    let object = finished.assert_code(3).json();
    let message = object["errors"][1]["message"].as_str().expect("a text");
    assert!(message.ends_with("(the attempt was interrupted before it started)"), "{object}");
}
