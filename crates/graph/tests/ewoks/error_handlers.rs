//! Error links, and default error handlers.

use pushflow_graph::{Arrival, Graph, Mapping};

use crate::{link, link_between, load, one_link, refused};

const PORT: &str = r#""task_type": "ppfport""#;

/// A graph of ports with these ids; those that begin with `!` are default error handlers.
fn graph(ids: &str, links: &str) -> String {
    let nodes: Vec<String> = ids
        .split_whitespace()
        .map(|id| match id.strip_prefix('!') {
            Some(id) => format!(r#"{{"id": "{id}", {PORT}, "default_error_node": true}}"#),
            None => format!(r#"{{"id": "{id}", {PORT}}}"#),
        })
        .collect();
    format!(r#"{{"nodes": [{}], "links": [{links}]}}"#, nodes.join(", "))
}

/// The error links, such as `a->h`, in order.
fn error_links(graph: &Graph) -> Vec<String> {
    let name = |id| &graph.actor(id).name;
    let links = graph.links().filter(|(.., link)| link.on_error);
    links.map(|(_, source, target, _)| format!("{}->{}", name(source), name(target))).collect()
}

#[test]
fn a_link_for_errors_is_taken_on_errors_and_is_optional() {
    let graph = load(&one_link(r#""on_error": true, "map_all_data": true"#)).unwrap();
    let link = link_between(&graph, "a", "b");
    assert!(link.on_error);
    assert_eq!((link.arrival, &link.mapping), (Arrival::Optional { cached: false }, &Mapping::All));
    assert_eq!(crate::sources(&graph, "Stop"), ["a", "b"], "a node with links for errors only is an end node");
    let required = load(&one_link(r#""on_error": true, "required": true"#)).unwrap();
    assert_eq!(link_between(&required, "a", "b").arrival, Arrival::Required);
}

#[test]
fn what_comes_after_a_link_for_errors_is_optional_too() {
    let links = [link("a", "h", r#""on_error": true"#), link("h", "z", ""), link("a", "z", "")].join(", ");
    let graph = load(&graph("a h z", &links)).unwrap();
    assert_eq!(link_between(&graph, "h", "z").arrival, Arrival::Optional { cached: false });
    assert_eq!(link_between(&graph, "a", "z").arrival, Arrival::Required);
}

#[test]
fn a_link_for_errors_has_no_conditions() {
    let text = one_link(r#""on_error": true, "conditions": [{"source_output": "x", "value": 1}]"#);
    let expected = "link \"a -> b\": \"on_error\" and \"conditions\" can't be used together, since a node that fails has no \
                    outputs; keep one of them";
    assert_eq!(refused(&text), expected);
}

#[test]
fn parallel_links_must_agree_on_being_for_errors() {
    let links = format!("{}, {}", link("a", "b", r#""on_error": true"#), link("a", "b", r#""on_error": false"#));
    let expected =
        r#"link "a -> b": there are several links between these nodes and they disagree on "on_error"; make it one"#;
    assert_eq!(refused(&graph("a b", &links)), expected);
}

#[test]
fn a_default_handler_gets_a_link_from_every_node_without_one() {
    let links = [link("a", "b", ""), link("c", "own", r#""on_error": true"#), link("h", "after", "")].join(", ");
    let graph = load(&graph("a b c own !h after", &links)).unwrap();
    assert_eq!(error_links(&graph), ["a->h", "b->h", "c->own", "own->h"]);
    assert_eq!(link_between(&graph, "a", "h").mapping, Mapping::All);
}

#[test]
fn several_default_handlers_all_get_links_and_none_from_each_other() {
    assert_eq!(error_links(&load(&graph("a !h !i", "")).unwrap()), ["a->h", "a->i"]);
}

#[test]
fn the_attributes_of_the_links_can_be_given() {
    let attributes = r#""default_error_attributes": {"on_error": false, "data_mapping": [{"source_output": "x", "target_input": "y"}]}"#;
    let text = graph("a !h", "")
        .replace(r#""default_error_node": true"#, &format!(r#""default_error_node": true, {attributes}"#));
    let graph = load(&text).unwrap();
    let link = link_between(&graph, "a", "h");
    assert!(link.on_error && matches!(&link.mapping, Mapping::Fields(fields) if fields.len() == 1));
    let wrong = text.replace(r#""on_error": false"#, r#""requird": true"#);
    assert_eq!(refused(&wrong), r#"link "a -> h": unknown attribute "requird"; did you mean "required"?"#);
}

#[test]
fn a_default_handler_that_nothing_needs_is_dropped_with_what_only_it_leads_to() {
    let links = [
        link("a", "own", r#""on_error": true"#),
        link("own", "a", r#""on_error": true"#),
        link("h", "after", ""),
        link("after", "own", ""),
    ];
    let text =
        graph("a own !h after", &links.join(", ")).replacen(PORT, &format!(r#"{PORT}, "force_start_node": true"#), 1);
    let graph = load(&text).unwrap();
    assert_eq!(graph.actors().map(|(_, actor)| actor.name.as_str()).collect::<Vec<_>>(), ["Start", "a", "own", "Stop"]);
    assert_eq!(load(&crate::error_handlers::graph("!h", "")).unwrap().actor_count(), 2, "the only node");
}

#[test]
fn a_handler_of_a_nested_graph_serves_that_graph_and_the_outer_one_serves_it_too() {
    let inner = graph("x !h", "");
    let nodes = format!(
        r#"{{"id": "a", {PORT}}}, {{"id": "g", "task_type": "graph", "task_identifier": {inner}}},
           {{"id": "top", {PORT}, "default_error_node": true}}"#
    );
    let graph = load(&format!(r#"{{"nodes": [{nodes}]}}"#)).unwrap();
    assert_eq!(error_links(&graph), ["a->top", "g:x->g:h", "g:h->top"]);
}

#[test]
fn a_graph_node_can_be_a_default_handler_by_its_input_nodes() {
    let inner =
        format!(r#"{{"graph": {{"input_nodes": [{{"id": "in", "node": "n"}}]}}, "nodes": [{{"id": "n", {PORT}}}]}}"#);
    let nodes = format!(
        r#"{{"id": "a", {PORT}}}, {{"id": "g", "task_type": "graph", "task_identifier": {inner}, "default_error_node": true}}"#
    );
    assert_eq!(error_links(&load(&format!(r#"{{"nodes": [{nodes}]}}"#)).unwrap()), ["a->g:n"]);
}
