//! Mappings, conditions and arrival rules of links, and parallel links.

use pushflow_graph::{Arrival, Condition, FieldMap, Graph, Mapping};
use pushflow_model::{Key, Value};

use crate::{link, link_between, load, one_link, ports, refused};

fn mapping(attributes: &str) -> Mapping {
    link_between(&load(&one_link(attributes)).unwrap(), "a", "b").mapping.clone()
}

fn fields<const N: usize>(pairs: [(&str, Key); N]) -> Mapping {
    let map = |(source, target): (&str, Key)| FieldMap::new(source, target);
    Mapping::Fields(pairs.into_iter().map(map).collect())
}

fn conditions(graph: &Graph, source: &str, target: &str) -> Vec<Condition> {
    link_between(graph, source, target).conditions.clone()
}

fn mapped(output: &str, input: &str) -> String {
    format!(r#""data_mapping": [{{"source_output": "{output}", "target_input": "{input}"}}]"#)
}

fn condition(output: &str, value: &str) -> String {
    format!(r#""conditions": [{{"source_output": "{output}", "value": {value}}}]"#)
}

fn equals(output: &str, value: impl Into<Value>) -> Condition {
    Condition::equals(output, value)
}

#[test]
fn map_all_data_passes_everything_and_no_mapping_passes_nothing() {
    assert_eq!(mapping(r#""map_all_data": true"#), Mapping::All);
    assert_eq!(mapping(r#""map_all_data": true, "data_mapping": []"#), Mapping::All);
    assert_eq!(mapping(""), Mapping::Fields(Vec::new()));
    assert_eq!(mapping(r#""map_all_data": false, "data_mapping": null"#), Mapping::Fields(Vec::new()));
}

#[test]
fn a_data_mapping_renames_outputs_and_fills_positions() {
    let items = r#""data_mapping": [{"source_output": "x", "target_input": "y"},
        {"source_output": "x", "target_input": 0}, {"source_output": "z", "target_input": "1"}]"#;
    assert_eq!(mapping(items), fields([("x", "y".into()), ("x", 0.into()), ("z", 1.into())]));
}

#[test]
fn the_last_of_several_outputs_for_one_input_of_an_optional_link_counts() {
    let items = r#""required": false, "data_mapping": [{"source_output": "x", "target_input": "y"},
        {"source_output": "z", "target_input": 0}, {"source_output": "w", "target_input": "y"}]"#;
    assert_eq!(mapping(items), fields([("w", "y".into()), ("z", 0.into())]));
}

#[test]
fn a_data_mapping_needs_an_output_and_an_input() {
    let place = r#"link "a -> b", item 1 of "data_mapping": "#;
    let no_output = format!(r#"{place}"source_output" is missing; to pass every output, use "map_all_data""#);
    assert_eq!(refused(&one_link(r#""data_mapping": [{"target_input": "y"}]"#)), no_output);
    let null = r#""data_mapping": [{"source_output": null, "target_input": "y"}]"#;
    assert_eq!(refused(&one_link(null)), no_output);
    let no_input = format!(r#"{place}"target_input" is missing"#);
    assert_eq!(refused(&one_link(r#""data_mapping": [{"source_output": "x"}]"#)), no_input);
}

#[test]
fn map_all_data_and_data_mapping_exclude_each_other() {
    let expected = r#"link "a -> b": "map_all_data" and "data_mapping" can't be used together; keep one of them"#;
    assert_eq!(refused(&one_link(&format!(r#""map_all_data": true, {}"#, mapped("x", "y")))), expected);
    let parallel = [link("a", "b", r#""map_all_data": true"#), link("a", "b", &mapped("x", "y"))].join(",");
    assert_eq!(refused(&ports("a b", &parallel)), expected);
}

#[test]
fn two_required_links_to_one_input_are_refused_naming_both() {
    let links = [link("a", "c", &mapped("x", "y")), link("b", "c", &mapped("z", "y"))].join(",");
    let expected = "link \"a -> c\": this and link \"b -> c\" are both required and fill the input \"y\"; keep one of \
                    them";
    assert_eq!(refused(&ports("a b c", &links)), expected);
    let twice =
        r#""data_mapping": [{"source_output": "x", "target_input": "1"}, {"source_output": "x", "target_input": 1}]"#;
    let expected = r#"link "a -> b": two items of "data_mapping" fill the input "1"; keep one of them"#;
    assert_eq!(refused(&one_link(twice)), expected);
}

#[test]
fn an_optional_link_may_fill_the_input_of_a_required_one() {
    let optional = format!(r#""required": false, {}"#, mapped("z", "y"));
    let links = [link("a", "c", &mapped("x", "y")), link("b", "c", &optional)].join(",");
    assert!(load(&ports("a b c", &links)).is_ok());
}

#[test]
fn a_link_is_cached_only_if_it_is_optional_and_asks_for_it() {
    let arrival = |attributes: &str| link_between(&load(&one_link(attributes)).unwrap(), "a", "b").arrival;
    assert_eq!(arrival(""), Arrival::Required);
    assert_eq!(arrival(r#""cache_if_optional": true"#), Arrival::Required);
    assert_eq!(arrival(r#""required": false"#), Arrival::Optional { cached: false });
    assert_eq!(arrival(r#""required": false, "cache_if_optional": true"#), Arrival::Optional { cached: true });
    assert_eq!(arrival(r#""required": null"#), Arrival::Required);
}

#[test]
fn all_conditions_of_a_link_are_kept_and_the_last_on_one_output_counts() {
    let items = r#""conditions": [{"source_output": "x", "value": 1}, {"source_output": "y", "value": "on"},
        {"source_output": "x", "value": 2}]"#;
    let graph = load(&one_link(items)).unwrap();
    assert_eq!(conditions(&graph, "a", "b"), [equals("x", 2), equals("y", "on")]);
}

#[test]
fn a_condition_on_the_else_value_holds_for_what_no_condition_of_the_source_names() {
    let links = [
        link("a", "b", &condition("x", "1")),
        link("a", "c", &condition("x", "null")),
        link("a", "d", &condition("x", "true")),
        link("a", "e", &condition("y", "5")),
    ];
    let graph = load(&ports("a b c d e", &links.join(","))).unwrap();
    let otherwise = Condition::otherwise("x", (), [Value::from(1), Value::Null]);
    assert_eq!(conditions(&graph, "a", "c"), [otherwise]);
    assert_eq!(conditions(&graph, "a", "b"), [equals("x", 1)]);
}

#[test]
fn the_else_value_is_the_sources_own_and_compared_as_python_does() {
    let nodes =
        r#"{"id": "a", "task_type": "ppfport", "conditions_else_value": 0}, {"id": "b", "task_type": "ppfport"}"#;
    let link = link("a", "b", &condition("x", "false"));
    let graph = load(&format!(r#"{{"nodes": [{nodes}], "links": [{link}]}}"#)).unwrap();
    assert_eq!(conditions(&graph, "a", "b"), [Condition::otherwise("x", 0, [false])]);
}

#[test]
fn a_condition_needs_an_output_and_a_value_that_can_be_looked_for() {
    let message = |item: &str| refused(&one_link(&format!(r#""conditions": [{item}]"#)));
    let place = r#"link "a -> b", item 1 of "conditions": "#;
    assert_eq!(message(r#"{"value": 1}"#), format!(r#"{place}"source_output" is missing"#));
    assert_eq!(message(r#"{"source_output": "x"}"#), format!(r#"{place}"value" is missing"#));
    let list = format!(r#"{place}"value" is a list, but a condition needs a text, a number, a boolean or null"#);
    assert_eq!(message(r#"{"source_output": "x", "value": [1]}"#), list);
    assert!(message(r#"{"source_output": "x", "value": {}}"#).contains("is a map"));
}

#[test]
fn parallel_links_become_one() {
    let links = [
        link("a", "b", &mapped("x", "x")),
        link("a", "b", &format!("{}, {}", mapped("y", "y"), condition("x", "1"))),
        link("a", "b", &format!(r#""required": true, {}"#, condition("y", "2"))),
        link("a", "b", ""),
    ];
    let graph = load(&ports("a b", &links.join(","))).unwrap();
    let merged = link_between(&graph, "a", "b");
    assert_eq!(merged.mapping, fields([("x", "x".into()), ("y", "y".into())]));
    assert_eq!(merged.conditions, [equals("x", 1), equals("y", 2)]);
    assert_eq!(merged.arrival, Arrival::Required);
}

#[test]
fn parallel_links_that_are_the_same_are_one() {
    let same = link("a", "b", &mapped("x", "x"));
    let graph = load(&ports("a b", &format!("{same}, {same}"))).unwrap();
    assert_eq!(link_between(&graph, "a", "b").mapping, fields([("x", "x".into())]));
}

#[test]
fn parallel_links_that_disagree_are_refused() {
    for name in ["required", "map_all_data", "cache_if_optional"] {
        let links = ["true", "false"].map(|truth| link("a", "b", &format!(r#""{name}": {truth}"#)));
        let expected = format!(
            "link \"a -> b\": there are several links between these nodes and they disagree on {name:?}; make it one"
        );
        assert_eq!(refused(&ports("a b", &links.join(","))), expected);
    }
}
