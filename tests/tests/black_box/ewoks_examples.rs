//! The workflows of the test suite of ewoksppf, read from the installed package, give here what they give there.
//!
//! They need an interpreter that has `ewoksppf`: the variable `PUSHFLOW_EWOKS_PYTHON` names it. Without it nothing is
//! tested, and the test says so.

use std::path::Path;
use std::process::Command;

use pushflow_tests::folder::Folder;
use pushflow_tests::run::Program;
use serde_json::{Map, Value};

const INTERPRETER: &str = "PUSHFLOW_EWOKS_PYTHON";

/// The folder of the script that records what ewoksppf does.
fn scripts() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/black_box/ewoks"))
}

/// The workflows with their inputs and what ewoksppf made of them.
fn recorded(interpreter: &str) -> Vec<Value> {
    let output = Command::new(interpreter).arg(scripts().join("record.py")).output().expect("the interpreter runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// A value without what says where an error came from, which is told differently here.
fn without_exceptions(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let entries = entries.iter().filter(|(name, _)| !name.starts_with("WorkflowException"));
            entries.map(|(name, entry)| (name.clone(), without_exceptions(entry))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(without_exceptions).collect(),
        other => other.clone(),
    }
}

fn results_of(record: &Value, interpreter: &str, pool: &str, output: &str) -> Option<Value> {
    let folder = Folder::new();
    folder.write("graph.json", record["graph"].to_string());
    let inputs = folder.write("inputs.json", record["inputs"].to_string());
    let finished = Program::pushflow_run(folder.graph())
        .args(["--format", "json", "--workers", "2", "--pool", pool, "--python", interpreter, "--output", output])
        .arg("--inputs")
        .arg(inputs)
        .arg("--python-path")
        .arg(scripts())
        .run();
    if finished.code() == Some(2) {
        finished.assert_error("task type \"class\" is not supported by this version of pushflow yet");
        return None;
    }
    Some(without_exceptions(&finished.result()))
}

#[test]
fn the_workflows_of_ewoksppf_give_their_results() {
    let Ok(interpreter) = std::env::var(INTERPRETER) else {
        eprintln!("skipped: {INTERPRETER} names no interpreter that has ewoksppf");
        return;
    };
    let records = recorded(&interpreter);
    assert!(records.len() > 30, "{} workflows are too few", records.len());
    let mut compared = 0;
    for (number, record) in records.iter().enumerate() {
        let pool = ["process", "multiprocessing"][number % 2];
        let Some(result) = results_of(record, &interpreter, pool, "last") else { continue };
        compared += 1;
        if result != record["result"] {
            // Of several end nodes the last one counts, and which that is may be a matter of time.
            let ends = results_of(record, &interpreter, pool, "ends").expect("it ran before");
            let ends = ends.as_object().expect("they are listed by their ids");
            let is_one = ends.len() > 1 && ends.values().any(|end| *end == record["result"]);
            assert!(is_one, "{result} on {pool}, but {ends:?} in {record}");
        }
    }
    assert!(compared > 30, "only {compared} workflows were compared");
}
