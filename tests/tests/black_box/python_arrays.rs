//! Arrays of Python tasks: no socket carries them, and no process but an interpreter holds them. A task that changes an
//! array changes it for no other task. The memory for arrays does not grow with the number of rounds.

use std::process::{Command, Stdio};

use pushflow_tests::binaries::python;
use pushflow_tests::folder::Folder;
use pushflow_tests::run::Program;
use serde_json::{Value, json};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

const TASKS: &str = "
import os, numpy

def read_so_far():
    return int(open('/proc/self/io').readline().split()[1])
at_start = read_so_far()

def status(pid, name):
    lines = open('/proc/{}/status'.format(pid)).read().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name + ':'))

def worker_or_scheduler():
    # Above the interpreter of threads: its keeper, the guardian, the scheduler.
    def parent(pid):
        lines = open('/proc/{}/status'.format(pid)).read().splitlines()
        return next(line.split()[1] for line in lines if line.startswith('PPid:'))
    return os.environ.get('PUSHFLOW_WORKER_PID') or parent(parent(os.getppid()))

def facts():
    worker = worker_or_scheduler()
    return {
        'most of the worker': status(worker, 'VmHWM'), 'worker': status(worker, 'VmRSS'),
        'own': status('self', 'RssAnon'), 'shared': status('self', 'RssShmem'),
        'files': len(os.listdir('/proc/self/fd')), 'files of the worker': len(os.listdir('/proc/{}/fd'.format(worker))),
        'mappings': len(open('/proc/self/maps').readlines()), 'read': read_so_far() - at_start,
    }
";

/// A folder with these tasks; `None` where there is no numpy.
fn folder(functions: &str) -> Option<Folder> {
    let found =
        Command::new(python()).args(["-c", "import numpy"]).stderr(Stdio::null()).status().expect("python starts");
    if !found.success() {
        assert!(std::env::var_os("CI").is_none(), "numpy is needed: install it for the interpreter of the tests");
        eprintln!("not tested: the interpreter has no numpy");
        return None;
    }
    let folder = Folder::new();
    folder.write("tasks.py", format!("{TASKS}{functions}"));
    Some(folder)
}

fn node(id: &str) -> Value {
    json!({"id": id, "task_type": "ppfmethod", "task_identifier": format!("tasks.{}", id.trim_end_matches(char::is_numeric))})
}

fn link(source: &str, target: &str) -> Value {
    json!({"source": source, "target": target, "map_all_data": true})
}

fn run(folder: &Folder, pool: &str) -> Value {
    let program = Program::pushflow_run(folder.graph()).args(["--pool", pool, "--workers", "2", "--format", "json"]);
    program.run().assert_code(0).result().clone()
}

#[test]
fn a_long_array_crosses_three_tasks_and_no_process_between_them_holds_it() {
    let Some(folder) = folder(
        "
def make(**_):
    return {'array': numpy.arange(8 << 20), 'seen': []}
def look(array, seen, **_):
    assert array.nbytes == 64 << 20 and array.flags.writeable and array.flags.aligned
    assert (array == numpy.arange(8 << 20)).all()
    return {'array': array, 'seen': seen + [facts()]}
def last(seen, **_):
    return {'array': None}
",
    ) else {
        return;
    };
    let names = ["make", "look1", "look2", "look3", "last"];
    let links: Vec<Value> = names.windows(2).map(|pair| link(pair[0], pair[1])).collect();
    folder.write_graph(names.map(node).to_vec().into(), links.into());
    for pool in ["process", "thread"] {
        let result = &run(&folder, pool)["_ppfdict"];
        let seen = result["seen"].as_array().expect("a list");
        assert_eq!(seen.len(), 3, "{pool}: {result}");
        for facts in seen {
            let of = |name: &str| facts[name].as_u64().expect(name);
            assert!(of("most of the worker") < 60 * MIB, "{pool}: {facts}");
            assert!(of("read") < 10 * MIB, "{pool}: the array was read from a file or socket: {facts}");
        }
    }
}

#[test]
fn a_task_that_changes_its_input_changes_it_for_nobody_else() {
    let functions = "
def make():
    return numpy.zeros(1 << 20)
def change(array):
    array += 1
    return array
def leave(array):
    assert (array == 0).all()
    return array
def compare(changed, left):
    return [float(changed.sum()), float(left.sum())]
";
    let Some(folder) = folder(functions) else { return };
    let node = |id: &str| json!({"id": id, "task_type": "method", "task_identifier": format!("tasks.{id}")});
    let link = |source: &str, target: &str, input: &str| {
        let mapping = json!([{"source_output": "return_value", "target_input": input}]);
        json!({"source": source, "target": target, "data_mapping": mapping, "required": true})
    };
    let links = [
        link("make", "change", "array"),
        link("make", "leave", "array"),
        link("change", "compare", "changed"),
        link("leave", "compare", "left"),
    ];
    folder.write_graph(["make", "change", "leave", "compare"].map(node).to_vec().into(), links.to_vec().into());
    for pool in ["process", "thread", "multiprocessing"] {
        for _ in 0..3 {
            assert_eq!(run(&folder, pool)["return_value"], json!([1_048_576.0, 0.0]), "{pool}");
        }
    }
}

/// A loop of two tasks that count to a limit.
fn write_loop(folder: &Folder, limit: u64) {
    let mut first = node("first");
    first["default_inputs"] = json!([{"name": "round", "value": 0}, {"name": "limit", "value": limit}]);
    first["force_start_node"] = json!(true);
    let mut back = link("second", "first");
    back["conditions"] = json!([{"source_output": "again", "value": true}]);
    folder.write_graph(json!([first, node("second")]), json!([link("first", "second"), back]));
}

fn assert_flat(seen: &[Value], what: &str, slack: u64) {
    let most = |part: &[Value]| part.iter().map(|facts| facts[what].as_u64().expect(what)).max().expect("some");
    let third = seen.len() / 3;
    let (early, late) = (most(&seen[..third]), most(&seen[seen.len() - third..]));
    assert!(late <= early + slack, "{what}: from {early} to {late}");
}

#[test]
fn two_hundred_rounds_keep_memory_files_and_mappings_flat() {
    let Some(folder) = folder(
        "
def first(round, array=None, bytes=None, **_):
    if array is None:
        array, bytes = numpy.zeros(1 << 19), b'x' * (2 << 20)
    array += 1
    return {'round': round + 1, 'array': array, 'bytes': bytes}
def second(round, limit, array, bytes, **_):
    import json, pathlib
    assert (array == round).all() and len(bytes) == 2 << 20
    with open(pathlib.Path(__file__).parent / 'notes', 'a') as notes:
        notes.write(json.dumps(facts()) + '\\n')
    again = round < limit
    return {'again': again, 'array': array if again else float(array[0]), 'bytes': bytes if again else None}
",
    ) else {
        return;
    };
    write_loop(&folder, 200);
    for pool in ["process", "thread"] {
        folder.write("notes", "");
        assert_eq!(run(&folder, pool)["_ppfdict"]["array"], 200.0, "{pool}");
        let seen: Vec<Value> =
            folder.read("notes").lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        assert_eq!(seen.len(), 200, "{pool}");
        for what in ["files", "files of the worker", "mappings"] {
            assert_flat(&seen, what, 4);
        }
        for what in ["own", "shared", "worker"] {
            assert_flat(&seen, what, 6 * MIB);
        }
    }
}

#[test]
fn what_a_task_keeps_stays_as_it_was() {
    let Some(folder) = folder(
        "
kept = []
def first(round, **_):
    return {'round': round + 1, 'array': numpy.full(100_000, round)}
def second(round, limit, array, **_):
    kept.append((round - 1, array))
    assert all((array == number).all() for number, array in kept), 'what was kept has changed'
    return {'again': round < limit, 'array': None}
",
    ) else {
        return;
    };
    write_loop(&folder, 60);
    for pool in ["process", "thread"] {
        assert_eq!(run(&folder, pool)["_ppfdict"]["round"], 60, "{pool}");
    }
}
