//! Values that are too long for a message: they arrive whole, their cost does not grow, and the death of a worker does
//! no harm to others.

use std::path::Path;
use std::time::Duration;

use pushflow_tests::folder::Folder;
use pushflow_tests::limits::long_enough;
use pushflow_tests::random::say;
use pushflow_tests::run::Program;
use serde_json::{Value, json};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// The program with the tasks of these tests; see its source for the settings.
fn program(settings: &Value) -> Program {
    Program::at(Path::new(env!("CARGO_BIN_EXE_pushflow-large-values"))).arg(settings.to_string())
}

fn run(settings: &Value) -> Value {
    run_within(settings, Duration::from_secs(60))
}

/// Does the same as [`run`], with another limit for runs that take longer.
fn run_within(settings: &Value, hang: Duration) -> Value {
    let report = program(settings).hangs_after(hang).run().assert_code(0).json();
    assert_eq!(report["after"]["slabs"], 0, "all is unmapped when the pool has ended: {}", report["after"]);
    assert_eq!(report["after"]["shared"], 0, "{}", report["after"]);
    report
}

/// The least value in the first third and in the last third. The first rounds do not count, since they fetch the memory
/// that later rounds use again. Memory that is released late raises the value for a moment only. Memory that is never
/// released raises the value with each round.
fn least_at_both_ends(facts: &[Value], what: &str) -> (u64, u64) {
    let facts = &facts[facts.len() / 10..];
    let third = facts.len() / 3;
    let least = |part: &[Value]| part.iter().map(|facts| facts[what].as_u64().expect(what)).min().expect("some");
    (least(&facts[..third]), least(&facts[facts.len() - third..]))
}

fn assert_flat(facts: &[Value], what: &str, slack: u64) {
    let (early, late) = least_at_both_ends(facts, what);
    assert!(late <= early + slack, "{what}: from {early} to {late}");
}

fn assert_whole(report: &Value, bytes: u64) {
    assert_eq!(report["ending"], "Finished", "{report}");
    assert_eq!(report["result"]["value"], json!({"bytes": bytes, "whole": true}));
}

#[test]
fn values_of_every_size_arrive_whole_in_both_directions() {
    for start_method in ["spawn", "forkserver", "fork"] {
        for bytes in [16 * KIB - 1, 16 * KIB, 16 * KIB + 1, MIB, 64 * MIB] {
            let tasks = ["makes", "copies", "hands_on", "copies"];
            let settings = json!({"tasks": tasks, "start_method": start_method, "workers": 2});
            let mut from_a_task = settings.clone();
            from_a_task["inputs"] = json!({"bytes": bytes});
            assert_whole(&run(&from_a_task), bytes);
            let mut from_outside = settings;
            from_outside["tasks"] = json!(["copies"]);
            from_outside["value_bytes"] = json!(bytes);
            assert_whole(&run(&from_outside), bytes);
        }
    }
}

#[test]
fn short_values_need_no_shared_memory_and_long_ones_are_never_touched_by_the_scheduler() {
    for (bytes, slabs) in [(10 * KIB, 0), (100 * KIB, 1), (20 * MIB, 1)] {
        let report = run(&json!({"tasks": ["makes", "hands_on", "checks"], "inputs": {"bytes": bytes}}));
        assert_eq!(report["result"]["value"], bytes, "{report}");
        assert_slabs(&report, slabs);
    }
}

/// Asserts that after each attempt the scheduler had this number of slabs, and had touched none of them.
fn assert_slabs(report: &Value, slabs: u64) {
    let all = report["facts"].as_array().expect("a list");
    assert!(!all.is_empty(), "{report}");
    for facts in all {
        assert_eq!((facts["slabs"].as_u64(), facts["shared"].as_u64()), (Some(slabs), Some(0)), "{report}");
    }
}

#[test]
fn many_rounds_with_long_values_keep_files_mappings_and_memory_flat() {
    let folder = Folder::new();
    let notes = folder.path("notes");
    let inputs = json!({"bytes": MIB, "limit": 300, "notes": notes});
    let report = run(&json!({"tasks": ["copies", "goes_on"], "loop": true, "value_bytes": MIB, "inputs": inputs}));
    assert_whole(&report, MIB);
    let scheduler = report["facts"].as_array().expect("a list");
    let worker: Vec<Value> =
        folder.read("notes").lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!((scheduler.len(), worker.len()), (600, 300));
    for facts in [scheduler, &worker] {
        ["files", "mappings", "slabs"].iter().for_each(|what| assert_flat(facts, what, 0));
        assert_flat(facts, "memory", 2 * KIB);
        assert_flat(facts, "shared", 0);
    }
}

#[test]
fn a_worker_that_dies_while_it_writes_or_reads_loses_its_attempt_and_its_memory_is_used_again() {
    for task in ["is_killed_while_it_writes", "is_killed_while_it_reads"] {
        let inputs = json!({"bytes": 8 * MIB, "limit": 9});
        let report = run(&json!({"tasks": [task, "goes_on"], "loop": true, "value_bytes": 8 * MIB, "inputs": inputs}));
        assert_whole(&report, 8 * MIB);
        let reason = report["result"]["WorkflowException"]["errorMessage"].as_str().expect("every round has failed");
        assert!(reason.contains("was killed by signal 9 (SIGKILL)"), "{reason}");
        let facts = report["facts"].as_array().expect("a list");
        assert_eq!(facts.len(), 18, "one attempt of each task a round, whoever died");
        // These slabs are the value of this round and of the next, those of the dead worker until they are released,
        // and one that is shared.
        let slabs = facts.iter().filter_map(|facts| facts["slabs"].as_u64()).max();
        assert!(slabs.is_some_and(|slabs| slabs <= 6), "{facts:?}");
    }
}

#[test]
fn a_worker_that_is_stopped_holds_up_nobody() {
    let report = long_enough(|limit| {
        let inputs = json!({"bytes": 64 * MIB});
        let limit = limit.as_millis();
        let report = run(&json!({"tasks": ["makes", "stops"], "timeout_ms": limit, "grace_ms": 300, "inputs": inputs}));
        assert_eq!(report["ending"], "TimedOut", "{report}");
        // Two facts show that the value was made and the next task began.
        (report["facts"].as_array().map(Vec::len) == Some(2)).then_some(report)
    });
    let errors = report["errors"].to_string();
    assert!(errors.contains("was killed by signal 9 (SIGKILL) after it had been interrupted"), "{report}");
}

/// The memory that programs can still get, in KiB.
fn memory_available() -> u64 {
    let facts = std::fs::read_to_string("/proc/meminfo").expect("there is /proc");
    let line = facts.lines().find_map(|line| line.strip_prefix("MemAvailable:")).expect("every kernel says it");
    line.split_whitespace().next().expect("a number").parse().expect("a number")
}

/// The test is slow: it makes, writes, reads and compares 1 GiB. Where there is little memory, the value may take
/// another way.
#[test]
fn one_gibibyte_goes_through_shared_memory() {
    let settings = json!({"tasks": ["makes", "hands_on", "checks"], "inputs": {"bytes": 1024 * MIB}});
    let available = memory_available();
    let report = run_within(&settings, Duration::from_secs(180));
    assert_eq!(report["result"]["value"], 1024 * MIB, "{report}");
    // 4 GiB, in KiB.
    if available < 4 * MIB {
        say(&format!("one gibibyte: not looked at how it went, as only {available} KiB of memory were available"));
        return;
    }
    assert_slabs(&report, 1);
}

const PYTHON_TASKS: &str = "
def make(**inputs):
    return {'text': 'ab' * 1_000_000, 'bytes': bytes(range(256)) * 10_000}

def check(text, bytes, **inputs):
    assert text == 'ab' * 1_000_000
    assert len(bytes) == 2_560_000 and bytes[-256:] == bytes[:256]
    return {'text': len(text), 'bytes': len(bytes)}
";

#[test]
fn long_values_of_python_tasks_arrive_whole() {
    let folder = Folder::new();
    folder.write("tasks.py", PYTHON_TASKS);
    let node = |id| json!({"id": id, "task_type": "ppfmethod", "task_identifier": format!("tasks.{id}")});
    let link = json!({"source": "make", "target": "check", "map_all_data": true});
    folder.write_graph(json!([node("make"), node("check")]), json!([link]));
    let result = Program::pushflow_run(folder.graph()).args(["--format", "json"]).run().assert_code(0).result();
    assert_eq!(result["_ppfdict"], json!({"text": 2_000_000, "bytes": 2_560_000}), "{result}");
}
