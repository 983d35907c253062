//! The example workflows of ewokscore and ewoksppf, read from the installed packages. pushflow gives the same results
//! as ewoksppf, on threads, on processes and on daemonic processes.
//!
//! The tests need `ewoksppf` in the interpreter that all tests of Python tasks use (`PUSHFLOW_PYTHON`). Without it they
//! test nothing and say so, and fail in CI.

use std::fmt;
use std::path::Path;
use std::process::Command;

use pushflow_tests::folder::Folder;
use pushflow_tests::parallel;
use pushflow_tests::run::Program;
use serde_json::{Map, Value};

pub(crate) const POOLS: [&str; 3] = ["thread", "process", "multiprocessing"];

/// The folder of the script that records the results of ewoksppf. The folder also has the modules that the interpreters
/// of ewoksppf and of pushflow load at their start.
fn scripts() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/black_box/ewoks"))
}

/// The interpreter, if it has all these packages.
pub(crate) fn interpreter_with(packages: &[&str]) -> Option<String> {
    let interpreter = std::env::var("PUSHFLOW_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let looks = "import importlib.util, sys; sys.exit(None in map(importlib.util.find_spec, sys.argv[1:]))";
    let looked = Command::new(&interpreter).args(["-c", looks]).args(packages).status();
    if looked.is_ok_and(|status| status.success()) {
        return Some(interpreter);
    }
    let packages = packages.join(", ");
    assert!(std::env::var_os("CI").is_none(), "{packages} are needed: install them for {interpreter}");
    eprintln!("not tested: {interpreter} lacks one of {packages}");
    None
}

fn interpreter() -> Option<String> {
    interpreter_with(&["ewokscore", "ewoksppf"])
}

/// The workflows with their inputs and the results that ewoksppf gives them.
fn recorded(interpreter: &str) -> Vec<Value> {
    let mut record = Command::new(interpreter);
    let output = record.arg(scripts().join("record.py")).env("PYTHONPATH", scripts()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// A value without its entries about the origin of an error, which pushflow describes in other words.
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

/// One workflow on one pool.
struct Example<'a> {
    record: &'a Value,
    pool: &'static str,
    interpreter: &'a str,
}

impl fmt::Display for Example<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} on {}", self.record["module"], self.record["inputs"], self.pool)
    }
}

impl Example<'_> {
    fn result(&self, output: &str) -> Value {
        let folder = Folder::new();
        folder.write("graph.json", self.record["graph"].to_string());
        let inputs = folder.write("inputs.json", self.record["inputs"].to_string());
        let program = Program::pushflow_run(folder.graph())
            .args(["--format", "json", "--workers", "1", "--no-scaling", "--pool", self.pool, "--output", output])
            .args(["--python", self.interpreter, "--inputs"])
            .arg(inputs)
            .env("PYTHONPATH", scripts());
        without_exceptions(&program.run().result())
    }

    fn compare(&self) {
        let expected = self.record["results"].as_array().expect("there is at least one");
        let result = self.result("last");
        if expected.contains(&result) {
            return;
        }
        // If a graph has several end nodes, the one that ends last gives the result, and this node may depend on
        // timing.
        let ends = self.result("ends");
        let ends = ends.as_object().expect("they are listed by their ids");
        let is_one = ends.len() > 1 && ends.values().any(|end| expected.contains(end));
        assert!(
            is_one,
            "{result}, and at its ends {ends:?}, but {expected:?} are expected of {}",
            self.record["graph"]
        );
    }
}

#[test]
fn the_example_workflows_give_their_results_on_every_pool() {
    let Some(interpreter) = interpreter() else { return };
    let records = recorded(&interpreter);
    let is_there =
        |name: &str| records.iter().any(|record| record["module"].as_str().unwrap_or_default().ends_with(name));
    for name in
        ["acyclic1", "cyclic1", "empty", "triangle1", "test_ppf_end", "test_ppf_workflow24", "test_ppf_workflow25"]
    {
        assert!(is_there(name), "{name} is missing");
    }
    assert!(records.len() > 40, "{} workflows are too few", records.len());
    let on_pools = |record| POOLS.map(|pool| Example { record, pool, interpreter: &interpreter });
    let examples: Vec<Example<'_>> = records.iter().flat_map(on_pools).collect();
    parallel::run_all(&examples, Example::compare);
}

#[test]
fn the_example_in_files_loads() {
    let Some(interpreter) = interpreter() else { return };
    let prints = "import ewokscore.tests.examples.loadtest as example; print(list(example.__path__)[0])";
    let output =
        Command::new(&interpreter).args(["-c", prints]).env("PYTHONPATH", scripts()).output().expect("it runs");
    let folder = String::from_utf8(output.stdout).expect("a path is a text");
    let graph = Path::new(folder.trim()).join("graph.json");
    let finished = Program::pushflow_run(graph).args(["--dry-run", "--format", "json"]).run();
    assert_eq!(finished.assert_code(0).json()["nodes"], 2);
}
