//! The attributes that each object of a file may have, and the messages about those that are refused.

use crate::{load, one_link, one_node, ports, refused, refused_at};

const PORT: &str = r#""task_type": "ppfport""#;

#[test]
fn a_graph_is_named_by_its_label_else_its_id() {
    let name = |graph: &str| load(&format!(r#"{{"graph": {graph}}}"#)).unwrap().name;
    assert_eq!(name(r#"{"id": "demo", "label": "Demonstration"}"#), "Demonstration");
    assert_eq!(name(r#"{"id": "demo"}"#), "demo");
    assert_eq!(name("{}"), "notspecified");
    assert_eq!(load("{}").unwrap().name, "notspecified");
}

#[test]
fn information_of_other_programs_is_ignored() {
    let text = r#"{
        "graph": {"id": "a", "requirements": ["numpy"], "uiProps": {"zoom": 2}, "ows": {}, "keywords": {"x": 1}},
        "directed": true, "multigraph": false, "comment": "ours",
        "nodes": [{"id": "a", "task_type": "ppfport", "uiProps": {"x": 1}, "ows": [1], "tags": ["b"], "color": "red"},
                  {"id": "b", "task_type": "ppfport"}],
        "links": [{"source": "a", "target": "b", "key": 0, "uiProps": {"type": "bezier"}, "comment": "ours"}]}"#;
    assert_eq!(load(text).unwrap().link_count(), 3);
}

#[test]
fn every_known_schema_version_is_read_and_no_other() {
    for version in [r#""1.0""#, r#""1.1""#, r#""1.2""#, "null"] {
        assert!(load(&format!(r#"{{"graph": {{"schema_version": {version}}}}}"#)).is_ok());
    }
    let unknown = refused(r#"{"graph": {"schema_version": "1.3"}}"#);
    assert_eq!(unknown, r#"graph: schema version "1.3" is unknown; this program reads 1.0, 1.1, 1.2"#);
    let number = refused(r#"{"graph": {"schema_version": 1.2}}"#);
    assert_eq!(number, r#"graph: "schema_version" must be a text, not a float"#);
}

#[test]
fn an_undirected_graph_is_refused() {
    let expected = r#"graph: "directed" is false, but every link of a graph has a direction; set it to true"#;
    assert_eq!(refused(r#"{"directed": false}"#), expected);
}

#[test]
fn a_slip_in_the_name_of_an_attribute_is_refused_with_the_right_name() {
    let meant = |text: &str| refused(text);
    assert_eq!(meant(r#"{"node": []}"#), r#"graph: unknown attribute "node"; did you mean "nodes"?"#);
    let in_graph = r#"graph: unknown attribute "lable"; did you mean "label"?"#;
    assert_eq!(meant(r#"{"graph": {"lable": "a"}}"#), in_graph);
    let in_node = r#"node "a": unknown attribute "defaultInputs"; did you mean "default_inputs"?"#;
    assert_eq!(meant(&one_node(r#""task_type": "ppfport", "defaultInputs": []"#)), in_node);
    let in_link = r#"link "a -> b": unknown attribute "condition"; did you mean "conditions"?"#;
    assert_eq!(meant(&one_link(r#""condition": []"#)), in_link);
    let in_item = r#"link "a -> b", item 2 of "conditions": unknown attribute "Value"; did you mean "value"?"#;
    let conditions = r#""conditions": [{"source_output": "x", "value": 1}, {"source_output": "x", "Value": 1}]"#;
    assert_eq!(meant(&one_link(conditions)), in_item);
}

#[test]
fn a_slip_in_the_name_of_a_needed_attribute_is_refused_with_the_right_name() {
    let in_node = r#"node number 1: unknown attribute "ID"; did you mean "id"?"#;
    assert_eq!(refused(r#"{"nodes": [{"ID": "a"}]}"#), in_node);
    let in_link = r#"link number 1: unknown attribute "soruce"; did you mean "source"?"#;
    assert_eq!(refused(r#"{"links": [{"soruce": "a", "target": "a"}]}"#), in_link);
}

#[test]
fn links_under_the_name_edges_are_refused() {
    assert_eq!(refused(r#"{"edges": []}"#), r#"graph: unknown attribute "edges"; did you mean "links"?"#);
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_column() {
    let text = |node: &str, link: &str| {
        format!(
            "{{\n \"nodes\": [\n  {{\"id\": \"a\", \"task_type\": \"ppfport\"}},\n  {node}],\n \"links\": [{link}]}}"
        )
    };
    let b = r#"{"id": "b", "task_type": "ppfport"}"#;
    assert_eq!(refused_at(&text(r#"{"id": "b"}"#, "")), (4, 3), "a missing attribute: the object");
    assert_eq!(refused_at(&text(r#"{"id": "b", "task_type": 7}"#, "")), (4, 28), "a wrong value: the value");
    assert_eq!(refused_at(&text(b, r#"{"source": "a", "target": "c"}"#)), (5, 12));
    let conditions = r#"{"source": "a", "target": "b", "conditions": [{}]}"#;
    assert_eq!(refused_at(&text(b, conditions)), (5, 58), "an item of a list in a link");
    let message = load(&text(b, conditions)).unwrap_err().to_string();
    assert!(
        message.starts_with("demo.json, line 5 column 58: link \"a -> b\", item 1 of \"conditions\": "),
        "{message}"
    );
}

#[test]
fn an_attribute_that_asks_for_nothing_is_accepted() {
    assert!(load(r#"{"graph": {"input_nodes": [], "output_nodes": null}}"#).is_ok());
    assert!(load(&one_node(&format!(r#"{PORT}, "default_error_node": false"#))).is_ok());
    assert!(load(&one_link(r#""on_error": false, "sub_source": null"#)).is_ok());
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_its_place() {
    let cases = [
        ("[]".to_owned(), "graph: must be an object with attributes, not a list"),
        (r#"{"graph": []}"#.to_owned(), "graph: must be an object with attributes, not a list"),
        (r#"{"nodes": {}}"#.to_owned(), r#"graph: "nodes" must be a list, not a map"#),
        (r#"{"nodes": ["a"]}"#.to_owned(), "node number 1: must be an object with attributes, not a text"),
        (r#"{"nodes": [{"task_type": "ppfport"}]}"#.to_owned(), r#"node number 1: "id" is missing"#),
        (r#"{"nodes": [{"id": true}]}"#.to_owned(), r#"node number 1: "id" must be a text, not a boolean"#),
        (r#"{"links": [7]}"#.to_owned(), "link number 1: must be an object with attributes, not an integer"),
        (r#"{"links": [{"source": "a"}]}"#.to_owned(), r#"link number 1: "target" is missing"#),
        (one_node(r#""task_type": 1"#), r#"node "a": "task_type" must be a text, not an integer"#),
        (one_node(&format!(r#"{PORT}, "label": 1"#)), r#"node "a": "label" must be a text, not an integer"#),
        (
            one_node(&format!(r#"{PORT}, "force_start_node": "yes""#)),
            r#"node "a": "force_start_node" must be true or false, not a text"#,
        ),
        (one_link(r#""on_error": 1"#), r#"link "a -> b": "on_error" must be true or false, not an integer"#),
        (one_link(r#""required": 1"#), r#"link "a -> b": "required" must be true or false, not an integer"#),
        (one_link(r#""data_mapping": "x""#), r#"link "a -> b": "data_mapping" must be a list, not a text"#),
        (
            one_link(r#""data_mapping": [1]"#),
            r#"link "a -> b", item 1 of "data_mapping": must be an object with attributes, not an integer"#,
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refused(&text), expected);
    }
}

#[test]
fn two_nodes_of_one_id_are_refused() {
    let expected = r#"node "a": nodes number 1 and 3 have this id; give each an id of its own"#;
    assert_eq!(refused(&ports("a b a", "")), expected);
    let number_and_text = r#"{"nodes": [{"id": 12, "task_type": "ppfport"}, {"id": "12", "task_type": "ppfport"}]}"#;
    assert!(refused(number_and_text).starts_with(r#"node "12": nodes number 1 and 2"#));
}

#[test]
fn a_link_that_names_no_node_is_refused_with_the_nearest_id() {
    let text = ports("addtask1 check", r#"{"source": "addtask1", "target": "chekc"}"#);
    let expected = r#"link "addtask1 -> chekc": "target" names no node of the graph; did you mean "check"?"#;
    assert_eq!(refused(&text), expected);
    let text = ports("a b", r#"{"source": "nowhere", "target": "a"}"#);
    assert_eq!(refused(&text), r#"link "nowhere -> a": "source" names no node of the graph"#);
}

#[test]
fn a_text_that_is_no_json_is_refused_with_line_and_column() {
    let text = "{\n  \"nodes\": [}\n}";
    assert!(refused(text).starts_with("the text is no JSON: "));
    assert_eq!(refused_at(text), (2, 13));
}

#[test]
fn an_attribute_twice_in_one_object_is_refused() {
    let text = r#"{"nodes": [], "nodes": []}"#;
    assert_eq!(refused(text), r#"the key "nodes" comes twice in one map: remove one"#);
    assert_eq!(refused_at(text), (1, 21));
}

#[test]
fn a_file_that_nests_without_end_is_refused() {
    let text = format!(r#"{{"ows": {}"#, "[".repeat(1_000_000));
    assert_eq!(refused(&text), "the value nests deeper than 128 levels");
    assert_eq!(refused_at(&text).0, 1);
}
