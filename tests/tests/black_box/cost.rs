//! Quantities that must not grow with the number of attempts: the scheduler's memory, its open files, its children and
//! the workers.

use std::fs;
use std::time::Duration;

use pushflow_tests::binaries::example;
use pushflow_tests::folder::Folder;
use pushflow_tests::run::Program;
use serde_json::{Value, json};

use crate::test_program;

/// A module that runs the tasks of the example, and notes the scheduler's memory at 1 % and at the end of the loop.
const WATCHED_LOOP: &str = r#"
import importlib.util, os

HERE = os.path.dirname(os.path.abspath(__file__))
SPECIFICATION = importlib.util.spec_from_file_location("original_loop", EXAMPLE)
ORIGINAL = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(ORIGINAL)

def field(pid, name):
    with open("/proc/{}/status".format(pid)) as status:
        return next(line.split()[1] for line in status if line.startswith(name))

def scheduler():
    # Above the interpreter: its keeper, the guardian, the scheduler.
    keeper = os.getppid()
    return field(field(keeper, "PPid:"), "PPid:")

def add(value, limit, **inputs):
    if value in (limit // 100, limit - 1):
        with open(os.path.join(HERE, "memory"), "a") as file:
            file.write("{} {}\n".format(field(scheduler(), "Name:"), field(scheduler(), "VmRSS:")))
    return ORIGINAL.add(value)

check = ORIGINAL.check
"#;

#[test]
fn a_loop_of_a_thousand_rounds_keeps_memory_and_workers_flat() {
    let folder = Folder::new();
    folder.write("loop.json", fs::read(example("loop.json")).unwrap());
    folder.write("loop.py", WATCHED_LOOP.replace("EXAMPLE", &format!("{:?}", example("loop.py"))));
    let arguments = ["limit=1000", "--pool", "process", "--workers", "2", "--format", "json"];
    let mut running = Program::pushflow_run(folder.path("loop.json")).args(arguments).start();
    let mut most_workers = 0;
    running.watch(|mark| most_workers = most_workers.max(mark.workers().len()));
    let finished = running.wait();
    assert_eq!(finished.assert_code(0).result()["_ppfdict"], json!({"value": 1000, "limit": 1000, "again": false}));
    assert!((1..=2).contains(&most_workers), "{most_workers} workers");
    let memory = folder.read("memory");
    let kilobytes: Vec<u64> =
        memory.lines().map(|line| line.strip_prefix("pushflow ").unwrap().parse().unwrap()).collect();
    let [early, late] = kilobytes[..] else { panic!("not two samples: {memory}") };
    assert!(late <= early + (early / 20).max(2048), "from {early} kB to {late} kB");
}

#[test]
fn four_shares_at_once_take_no_more_workers_than_allowed() {
    let folder = Folder::new();
    fs::create_dir(folder.path("files")).unwrap();
    for number in 0..40 {
        fs::write(folder.path(format!("files/{number}")), vec![0; 500_000]).unwrap();
    }
    let inputs = [format!("directory={}", folder.path("files").display()), "--workers=2".to_owned()];
    let mut running = Program::pushflow_run(example("checksums.json")).args(inputs).start();
    let mut most_workers = 0;
    running.watch(|mark| most_workers = most_workers.max(mark.workers().len()));
    running.wait().assert_code(0);
    assert!((1..=2).contains(&most_workers), "{most_workers} workers");
}

fn numbers(list: &Value) -> Vec<u64> {
    list.as_array().expect("a list of numbers").iter().filter_map(Value::as_u64).collect()
}

#[test]
fn a_loop_of_a_hundred_thousand_rounds_keeps_memory_and_processes_flat() {
    let inputs = json!({"value": 0, "limit": 100_000});
    let settings = json!({"task": "count", "shape": "loop", "workers": 2, "every": 1000, "inputs": inputs});
    let report = test_program(&settings).hangs_after(Duration::from_secs(180)).run().assert_code(0).json();
    assert_eq!(report["runs"][0]["result"]["value"], 100_000);
    let memory = numbers(&report["memory"]);
    assert_eq!(memory.len(), 100);
    let (early, late) = (memory[0], memory[99]);
    assert!(late <= early + (early / 20).max(2048), "from {early} kB to {late} kB");
    assert!(report["workers_started"].as_u64().is_some_and(|started| (1..=2).contains(&started)), "{report}");
    for what in ["files", "children"] {
        let samples = numbers(&report[what]);
        assert!(samples.iter().all(|sample| *sample == samples[0]), "{what}: {samples:?}");
    }
}

/// The first fifth of the samples and the last fifth.
fn both_ends(samples: &[u64]) -> (&[u64], &[u64]) {
    let fifth = samples.len() / 5;
    (&samples[..fifth], &samples[samples.len() - fifth..])
}

#[test]
fn files_and_children_do_not_grow_with_attempts() {
    for pool in ["process", "thread", "gevent"] {
        let settings = json!({"task": "count", "shape": "loop", "pool": pool, "inputs": {"value": 0, "limit": 500}});
        let report = test_program(&settings).run().assert_code(0).json();
        assert_eq!(report["runs"][0]["result"]["value"], 500);
        for what in ["files", "children"] {
            let samples = numbers(&report[what]);
            assert_eq!(samples.len(), 500);
            let (early, late) = both_ends(&samples);
            assert!(late.iter().max() <= early.iter().max(), "{what} on {pool}: {samples:?}");
        }
    }
}

#[test]
fn files_and_children_do_not_grow_with_workers_that_die() {
    let settings =
        json!({"task": "exits", "shape": "wide", "width": 10, "workers": 2, "runs": 20, "inputs": {"code": 3}});
    let report = test_program(&settings).run().assert_code(0).json();
    assert!(report["workers_started"].as_u64().is_some_and(|started| started >= 200), "{report}");
    for what in ["files", "children"] {
        let samples = numbers(&report[what]);
        assert_eq!(samples.len(), 200);
        let (early, late) = both_ends(&samples);
        // Workers that start and leave have up to 18 files for a while. A file that each of 200 workers or each of 20
        // pools left behind would be there in the least sample, too.
        let least = |part: &[u64]| *part.iter().min().expect("there are samples");
        assert!(least(late) <= least(early) + 4, "{what}: {samples:?}");
    }
}
