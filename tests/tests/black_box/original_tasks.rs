//! The Python tasks of the original's own tests, as they are in its installed package: run by pushflow they give what they
//! give when the original runs them.

use std::io::Write;
use std::process::{Command, Stdio};

use pushflow_tests::binaries::python;
use pushflow_tests::folder::Folder;
use pushflow_tests::libraries::is_there;
use pushflow_tests::run::Program;
use serde_json::{Value, json};

/// Every module, with the inputs that the original's tests give it.
fn cases() -> Vec<(&'static str, Value)> {
    vec![
        ("pythonActor1", json!({})),
        ("pythonActor2", json!({})),
        ("pythonActorAdd", json!({"value": 1})),
        ("pythonActorAdd2", json!({"all_arguments": {"value": 1}})),
        ("pythonActorAddAndCheck", json!({"value": 1, "limit": 10})),
        ("pythonActorAddAndCheck", json!({"value": 9, "limit": 10})),
        ("pythonActorAddWithoutSleep", json!({"value": 1})),
        ("pythonActorAddWithoutSleep", json!({})),
        ("pythonActorCheck", json!({"value": 1, "limit": 10})),
        ("pythonActorCheck", json!({"value": 10, "limit": 10})),
        ("pythonActorInterrupt", json!({"counter": 0, "sleep_time": 0})),
        ("pythonActorSleep", json!({"sleep_time": 0})),
        ("pythonActorTest", json!({"name": "Jerry"})),
        ("pythonErrorHandlerTest", json!({"name": "Jerry"})),
        ("pythonLongExecutionTest", json!({"name": "Jerry", "sleep": 0})),
    ]
}

/// What the original gives: `{"data"}` or `{"error"}` for each case.
fn given_by_the_original() -> Vec<Value> {
    let mut script = Command::new(python())
        .args(["-c", include_str!("original_tasks.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    script.stdin.take().unwrap().write_all(json!(cases()).to_string().as_bytes()).unwrap();
    let output = script.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    // The tasks print, too; the list is the last line.
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// The names of the modules that the installed package has.
fn modules() -> Vec<String> {
    let script =
        "import pkgutil, pypushflow.tests.tasks as t; print(*(m.name for m in pkgutil.iter_modules(t.__path__)))";
    let output = Command::new(python()).args(["-c", script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

/// A graph of one node for each case.
fn graph(folder: &Folder) -> &Folder {
    let node = |(number, (module, inputs)): (usize, (&str, Value))| {
        let inputs = inputs.as_object().unwrap().iter().map(|(name, value)| json!({"name": name, "value": value}));
        json!({
            "id": number.to_string(),
            "task_type": "ppfmethod",
            "task_identifier": format!("pypushflow.tests.tasks.{module}.run"),
            "default_inputs": inputs.collect::<Vec<_>>(),
        })
    };
    folder.write_graph(cases().into_iter().enumerate().map(node).collect(), json!([]));
    folder
}

/// What pushflow gives for a case, in the same form.
fn given_by_pushflow(object: &Value, number: usize) -> Value {
    let execution = &object["nodes"][number.to_string()]["executions"][0];
    match execution["status"].as_str() {
        Some("finished") => json!({"data": execution["outputs"]["_ppfdict"]}),
        _ => json!({"error": execution["error"]["message"]}),
    }
}

#[test]
fn the_originals_tasks_give_what_they_give_there() {
    if !is_there("pypushflow.tests.tasks") {
        return;
    }
    let cases = cases();
    for module in modules() {
        assert!(cases.iter().any(|(known, _)| *known == module), "there is a new one: {module}");
    }
    let expected = given_by_the_original();
    let folder = Folder::new();
    for pool in ["thread", "process", "multiprocessing", "gevent"] {
        if pool == "gevent" && !is_there("gevent") {
            continue;
        }
        let environment = if pool == "gevent" { "green" } else { "plain" };
        let finished = Program::pushflow_run(graph(&folder).graph())
            .args(["--pool", pool, "--environment", environment, "--format", "json", "--output", "all"])
            .run();
        finished.assert_code(1);
        let object = finished.json();
        for (number, (case, expected)) in cases.iter().zip(&expected).enumerate() {
            assert_eq!(given_by_pushflow(&object, number), *expected, "{pool}: {case:?}");
        }
    }
}
