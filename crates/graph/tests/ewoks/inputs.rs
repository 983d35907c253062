//! Inputs from outside the file.

use std::fs;

use pushflow_graph::Graph;
use pushflow_graph::ewoks::{Input, InputNodes, LoadError, LoadOptions, load_reader, parse_inputs};

use crate::task;

/// The nodes are a, b, c and d. Nodes b and c have the label "both". Only a and d are start nodes.
const GRAPH: &str = r#"{"nodes": [
    {"id": "a", "task_type": "method", "task_identifier": "pkg.mod.add",
     "default_inputs": [{"name": "x", "value": 0}, {"name": "y", "value": 0}]},
    {"id": "b", "task_type": "method", "task_identifier": "pkg.mod.subtract", "label": "both"},
    {"id": "c", "task_type": "method", "task_identifier": "pkg.mod.add", "label": "both"},
    {"id": "d", "task_type": "ppfport"}],
    "links": [{"source": "a", "target": "b"}, {"source": "a", "target": "c"}]}"#;

fn load(inputs: &str) -> Result<Graph, LoadError> {
    let inputs = parse_inputs(inputs, "inputs.json")?;
    load_reader(GRAPH.as_bytes(), "demo.json", &LoadOptions::default().with_inputs(inputs))
}

/// The nodes that have the input "x", and its value, such as `a=1`.
fn who_has_x(inputs: &str) -> Vec<String> {
    let graph = load(inputs).unwrap();
    let x = |id: &&str| task(&graph, id).defaults.value("x").unwrap().and_then(|value| value.as_int());
    ["a", "b", "c", "d"].iter().filter_map(|id| Some(format!("{id}={}", x(id)?))).collect()
}

#[test]
fn an_input_goes_to_the_start_nodes_or_to_those_it_names() {
    let cases = [
        ("", &["a=1", "d=1"][..]),
        (r#", "all": false"#, &["a=1", "d=1"]),
        (r#", "all": true"#, &["a=1", "b=1", "c=1", "d=1"]),
        (r#", "id": "b""#, &["a=0", "b=1"]),
        (r#", "label": "both""#, &["a=0", "b=1", "c=1"]),
        (r#", "label": "d""#, &["a=0", "d=1"]),
        (r#", "task_identifier": "add""#, &["a=1", "c=1"]),
        (r#", "label": "both", "task_identifier": "mod.add""#, &["a=0", "c=1"]),
        (r#", "id": "d", "label": "both", "all": true"#, &["a=0", "d=1"]),
    ];
    for (nodes, expected) in cases {
        assert_eq!(who_has_x(&format!(r#"[{{"name": "x", "value": 1{nodes}}}]"#)), expected, "{nodes}");
    }
}

#[test]
fn a_later_input_overrides_an_earlier_one_and_other_default_inputs_stay() {
    let graph = load(r#"[{"name": "x", "value": 1}, {"name": "x", "value": 2, "id": "a"}]"#).unwrap();
    let value = |name: &str| task(&graph, "a").defaults.value(name).unwrap().cloned();
    assert_eq!((value("x"), value("y")), (Some(2.into()), Some(0.into())));
}

#[test]
fn an_input_for_a_node_that_is_not_there_is_refused_with_the_nearest_name() {
    let message = |nodes: &str| {
        let error = load(&format!(r#"[{{"name": "x", "value": 1, {nodes}}}]"#)).unwrap_err().to_string();
        let start = "demo.json, line 1 column 1: graph: the input \"x\" is for a node ";
        error.strip_prefix(start).unwrap_or(&error).to_owned()
    };
    assert_eq!(message(r#""id": "e""#), r#"of id "e", and there is none"#);
    assert_eq!(message(r#""id": ["g", "n"]"#), r#"of id "g:n", and there is none"#);
    assert_eq!(message(r#""label": "boht""#), r#"labelled "boht", and there is none; did you mean "both"?"#);
    let expected = r#"with a task identifier that ends in "nothing", and there is none"#;
    assert_eq!(message(r#""task_identifier": "nothing""#), expected);
}

#[test]
fn a_list_of_inputs_that_is_none_is_refused_with_its_place() {
    let message = |text: &str| parse_inputs(text, "inputs.json").unwrap_err().to_string();
    assert_eq!(message("{}"), "inputs.json, line 1 column 1: inputs: must be a list of objects, not a map");
    let second = "inputs.json, line 2 column 2: input number 2: \"value\" is missing";
    assert_eq!(message("[{\"name\": \"x\", \"value\": 1},\n {\"name\": \"y\"}]"), second);
    let misspelt = "inputs.json, line 1 column 2: input number 1: unknown attribute \"lable\"; did you mean \"label\"?";
    assert_eq!(message(r#"[{"name": "x", "value": 1, "lable": "a"}]"#), misspelt);
    let key = "inputs.json, line 1 column 11: input number 1: \"name\" must be a text or a position, not a boolean";
    assert_eq!(message(r#"[{"name": true, "value": 1}]"#), key);
    assert!(message("[").starts_with("inputs.json, line 1 column 1: the text is no JSON: "));
}

#[test]
fn inputs_may_be_positions_and_written_in_yaml() {
    let inputs = parse_inputs("- {name: 0, value: yes, id: a}\n", "inputs.yaml").unwrap();
    assert_eq!(inputs, [Input::new(0, true, InputNodes::Id("a".to_owned()))]);
}

#[test]
fn the_nodes_of_a_nested_graph_are_named_by_their_joined_ids() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("inner.json"), GRAPH).unwrap();
    let outer = r#"{"nodes": [{"id": "g", "task_type": "graph", "task_identifier": "inner"}]}"#;
    let inputs = parse_inputs(r#"[{"name": "x", "value": 1, "id": ["g", "b"]}]"#, "inputs.json").unwrap();
    let options = LoadOptions::default().with_inputs(inputs).with_root(folder.path());
    let graph = load_reader(outer.as_bytes(), "outer.json", &options).unwrap();
    assert_eq!(task(&graph, "g:b").defaults.value("x").unwrap(), Some(&1.into()));
}
