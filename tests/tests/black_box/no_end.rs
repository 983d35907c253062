//! A run that reaches no end of its graph: it has finished, says why no end was reached, and fails with `--strict`.

use pushflow_tests::folder::Folder;
use pushflow_tests::run::{Finished, Program};
use serde_json::{Value, json};

fn run(nodes: Value, links: Value, arguments: &[&str]) -> Finished {
    let folder = Folder::new();
    folder.write("tasks.py", "def one(**inputs): return 1\n");
    folder.write("graph.json", json!({"graph": {"id": "g"}, "nodes": nodes, "links": links}).to_string());
    Program::pushflow_run(folder.graph()).args(arguments).run()
}

fn one(id: &str) -> Value {
    json!({"id": id, "task_type": "method", "task_identifier": "tasks.one"})
}

fn link(source: &str, target: &str, output: &str, value: Value) -> Value {
    json!({"source": source, "target": target, "conditions": [{"source_output": output, "value": value}]})
}

/// Asserts that the run finishes in spite of that, says this, and ends with 4 under `--strict`.
#[track_caller]
fn assert_no_end(nodes: &Value, links: &Value, reason: &str) {
    let finished = run(nodes.clone(), links.clone(), &[]);
    finished.assert_code(0);
    assert_eq!(finished.stderr, format!("pushflow: no end was reached: {reason}\n"));
    run(nodes.clone(), links.clone(), &["--strict"]).assert_code(4).assert_error("pushflow: no end was reached");
    let object = run(nodes.clone(), links.clone(), &["--format", "json"]).assert_code(0).json();
    assert_eq!((&object["outcome"], &object["reached_end"]), (&json!("finished"), &json!(false)));
    assert_eq!(object["reasons"].as_array().expect("a list").len(), reason.split("; ").count());
}

#[test]
fn a_condition_on_an_output_that_is_not_there_is_named() {
    let command = json!({"id": "c", "pushflow": {"command": ["true"]}});
    let reason =
        r#""c" took none of its links: that to "b" needs an output "return_code", and there is none of that name"#;
    assert_no_end(&json!([command, one("b")]), &json!([link("c", "b", "return_code", json!(0))]), reason);
}

#[test]
fn a_condition_that_does_not_hold_is_named_with_the_value() {
    let links = json!([link("a", "b", "return_value", json!(2)), link("a", "c", "return_value", json!("x"))]);
    let reason = r#""a" took none of its links: that to "b" needs "return_value" to be 2, and it is 1, that to "c" needs "return_value" to be "x", and it is 1"#;
    assert_no_end(&json!([one("a"), one("b"), one("c")]), &links, reason);
}

#[test]
fn a_node_that_waits_for_a_required_link_is_named() {
    let required = |source: &str| json!({"source": source, "target": "join", "map_all_data": true, "required": true});
    let links = json!([required("a"), required("b"), link("a", "b", "return_value", json!(2))]);
    let nodes = json!([one("a"), one("b"), one("join")]);
    let reason = r#""join" waits for "b""#;
    assert_no_end(&nodes, &links, reason);
}

#[test]
fn a_graph_without_nodes_says_so() {
    assert_no_end(&json!([]), &json!([]), "the graph has no nodes that run a task");
}

#[test]
fn a_run_that_reaches_an_end_says_nothing_also_with_strict() {
    let links = json!([link("a", "b", "return_value", json!(1)), link("a", "c", "return_value", json!(2))]);
    let finished = run(json!([one("a"), one("b"), one("c")]), links, &["--strict", "--format", "json"]);
    let object = finished.assert_code(0).json();
    assert_eq!((&object["reached_end"], object.get("reasons")), (&json!(true), None));
    assert_eq!(finished.stderr, "");
}
