//! Graphs in graphs: inline and in files, with the links and attributes that reach into them.

use std::fs;
use std::path::Path;

use pushflow_graph::ewoks::load_file;
use pushflow_graph::{Arrival, Graph, Mapping};

use crate::{link, link_between, load, refused, task};

const PORT: &str = r#""task_type": "ppfport""#;

/// The text of a graph of a port "a", a graph "g" with this text, a port "z", and these links.
fn around(inner: &str, links: &str) -> String {
    with_graph_node(inner, "", links)
}

/// The same text, with more attributes of the graph node.
fn with_graph_node(inner: &str, attributes: &str, links: &str) -> String {
    format!(
        r#"{{"nodes": [{{"id": "a", {PORT}}}, {{"id": "g", "task_type": "graph", "task_identifier": {inner}{attributes}}},
            {{"id": "z", {PORT}}}], "links": [{links}]}}"#
    )
}

/// A graph of two ports, "in" to "out", with these graph attributes.
fn inner(attributes: &str) -> String {
    format!(
        r#"{{"graph": {{"id": "inner"{attributes}}}, "nodes": [{{"id": "in", {PORT}}}, {{"id": "out", {PORT}}}],
            "links": [{{"source": "in", "target": "out", "map_all_data": true}}]}}"#
    )
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.actors().map(|(_, actor)| actor.name.as_str()).collect()
}

const INTO: &str = r#""sub_target": "in", "map_all_data": true"#;
const OUT_OF: &str = r#""sub_source": "out", "map_all_data": true"#;

fn both_ways() -> String {
    format!("{}, {}", link("a", "g", INTO), link("g", "z", OUT_OF))
}

#[test]
fn an_inline_graph_is_put_in_the_place_of_its_node() {
    let graph = load(&around(&inner(""), &both_ways())).unwrap();
    assert_eq!(names(&graph), ["Start", "a", "z", "g:in", "g:out", "Stop"]);
    for (source, target) in [("a", "g:in"), ("g:in", "g:out"), ("g:out", "z"), ("Start", "a"), ("z", "Stop")] {
        assert_eq!(link_between(&graph, source, target).mapping, Mapping::All);
    }
    assert_eq!(graph.link_count(), 5);
}

#[test]
fn a_graph_as_a_text_and_in_the_older_spelling_is_read() {
    let quoted = format!("{:?}", inner("").replace('\n', " "));
    assert_eq!(load(&around(&quoted, &both_ways())).unwrap().link_count(), 5);
    let old = around(&inner(""), &both_ways()).replace(r#""task_type": "graph", "task_identifier""#, r#""graph""#);
    assert_eq!(load(&old).unwrap().link_count(), 5);
}

#[test]
fn an_alias_stands_for_a_node_and_gives_its_links_attributes() {
    let aliases = r#", "input_nodes": [{"id": "entry", "node": "in", "link_attributes": {"required": false, "map_all_data": true}}],
                       "output_nodes": [{"id": "exit", "node": "out", "link_attributes": {"map_all_data": true}}]"#;
    let links = format!(
        "{}, {}",
        link("a", "g", r#""sub_target": "entry""#),
        link("g", "z", r#""sub_source": "exit", "map_all_data": false"#)
    );
    let graph = load(&around(&inner(aliases), &links)).unwrap();
    assert_eq!(link_between(&graph, "a", "g:in").arrival, Arrival::Optional { cached: false });
    assert_eq!(link_between(&graph, "a", "g:in").mapping, Mapping::All);
    assert_eq!(link_between(&graph, "g:out", "z").mapping, Mapping::Fields(Vec::new()), "the link's own word counts");
}

#[test]
fn several_aliases_of_one_id_make_one_link_several() {
    let aliases = r#", "input_nodes": [{"id": "entry", "node": "in"}, {"id": "entry", "node": "out"}]"#;
    let graph = load(&around(&inner(aliases), &link("a", "g", r#""sub_target": "entry""#))).unwrap();
    link_between(&graph, "a", "g:in");
    link_between(&graph, "a", "g:out");
}

#[test]
fn graphs_nest_and_aliases_are_followed_through_all_levels() {
    let innermost =
        inner(r#", "input_nodes": [{"id": "entry", "node": "in", "link_attributes": {"required": false}}]"#);
    let middle = format!(
        r#"{{"graph": {{"input_nodes": [{{"id": "way", "node": "i", "sub_node": "entry", "link_attributes": {{"cache_if_optional": true}}}}],
                        "output_nodes": [{{"id": "back", "node": ["i", "out"]}}]}},
            "nodes": [{{"id": "i", "task_type": "graph", "task_identifier": {innermost}}}]}}"#
    );
    let links = format!(
        "{}, {}, {}",
        link("a", "g", r#""sub_target": "way""#),
        link("g", "z", r#""sub_source": "back""#),
        link("a", "g", r#""sub_target": ["i", "out"]"#)
    );
    let graph = load(&around(&middle, &links)).unwrap();
    assert_eq!(names(&graph), ["Start", "a", "z", "g:i:in", "g:i:out", "Stop"]);
    assert_eq!(link_between(&graph, "a", "g:i:in").arrival, Arrival::Optional { cached: true });
    link_between(&graph, "g:i:out", "z");
    link_between(&graph, "a", "g:i:out");
}

#[test]
fn two_graphs_are_linked_with_each_other() {
    let nodes =
        ["g", "h"].map(|id| format!(r#"{{"id": "{id}", "task_type": "graph", "task_identifier": {}}}"#, inner("")));
    let links = link("g", "h", r#""sub_source": "out", "sub_target": "in""#);
    let graph = load(&format!(r#"{{"nodes": [{}], "links": [{links}]}}"#, nodes.join(", "))).unwrap();
    link_between(&graph, "g:out", "h:in");
    assert_eq!(graph.link_count(), 5);
}

#[test]
fn a_nested_id_names_a_node_of_a_graph_directly() {
    let graph = load(&around(&inner(""), r#"{"source": "a", "target": ["g", "in"]}"#)).unwrap();
    link_between(&graph, "a", "g:in");
    let flattened = format!(r#"{{"nodes": [{{"id": ["g", ["i", "n"]], {PORT}}}]}}"#);
    assert!(load(&flattened).unwrap().find("g:i:n").is_some());
}

#[test]
fn attributes_of_a_graph_node_replace_those_of_the_graphs_input_nodes() {
    let aliases = r#", "input_nodes": [{"id": "entry", "node": "in"}]"#;
    let inner = inner(aliases).replacen(
        PORT,
        &format!(r#"{PORT}, "default_inputs": [{{"name": "x", "value": 1}}, {{"name": "y", "value": 1}}]"#),
        1,
    );
    let attributes = r#", "default_inputs": [{"name": "x", "value": 2}], "force_start_node": true"#;
    let graph = load(&with_graph_node(&inner, attributes, &link("a", "g", INTO))).unwrap();
    let defaults = &task(&graph, "g:in").defaults;
    assert_eq!((defaults.len(), defaults.value("x").unwrap()), (1, Some(&2.into())), "the list is replaced as a whole");
    assert!(task(&graph, "g:out").defaults.is_empty(), "only input nodes get them");
    assert_eq!(crate::targets(&graph, "Start"), ["a", "z", "g:in"]);
}

#[test]
fn a_link_gives_attributes_to_the_node_that_it_leads_to() {
    let sub =
        r#""sub_target": "in", "sub_target_attributes": {"default_inputs": [{"name": "x", "value": 2}], "label": "L"}"#;
    let graph = load(&around(&inner(""), &link("a", "g", sub))).unwrap();
    assert_eq!(task(&graph, "g:in").defaults.value("x").unwrap(), Some(&2.into()));
    assert_eq!(graph.label(graph.find("g:in").unwrap()), "L");
}

#[test]
fn start_and_end_nodes_are_found_through_graphs() {
    let graph = load(&around(&inner(""), &link("g", "g", r#""sub_source": "out", "sub_target": "in""#))).unwrap();
    assert_eq!(crate::targets(&graph, "Start"), ["a", "z"]);
    let loose = load(&around(&inner(""), "")).unwrap();
    assert_eq!(crate::targets(&loose, "Start"), ["a", "z", "g:in"]);
    assert_eq!(crate::sources(&loose, "Stop"), ["a", "z", "g:out"]);
}

#[test]
fn a_link_must_say_which_node_of_a_graph_it_means_and_only_of_a_graph() {
    let cases = [
        (link("a", "g", ""), r#"link "a -> g": the target "g" is a graph; say which of its nodes with "sub_target""#),
        (link("g", "z", ""), r#"link "g -> z": the source "g" is a graph; say which of its nodes with "sub_source""#),
        (
            link("a", "g", r#""sub_target": "inn""#),
            r#"link "a -> g:inn": "target" names no node of the graph; did you mean "g:in"?"#,
        ),
        (
            link("a", "z", r#""sub_target": "in""#),
            r#"link "a -> z": the target "z" is no graph; leave "sub_target" out"#,
        ),
        (
            link("a", "g", r#""sub_source": "x", "sub_target": "in""#),
            r#"link "a -> g": the source "a" is no graph; leave "sub_source" out"#,
        ),
        (
            link("g", "z", r#""sub_source": "out", "sub_target_attributes": {"label": "x"}"#),
            r#"link "g -> z": the target "z" is no graph; leave "sub_target_attributes" out"#,
        ),
        (
            link("a", "g", r#""sub_target": "in", "sub_target_attributes": {"lable": "x"}"#),
            r#"link "a -> g": unknown attribute "lable"; did you mean "label"?"#,
        ),
        (link("a", "nowhere", ""), r#"link "a -> nowhere": "target" names no node of the graph"#),
    ];
    for (links, expected) in cases {
        assert_eq!(refused(&around(&inner(""), &links)), expected);
    }
}

#[test]
fn an_alias_must_name_a_node_and_only_of_a_graph_one_in_it() {
    let message = |node: &str| {
        let aliases = format!(
            r#"{{"graph": {{"input_nodes": [{{"id": "x", "node": {node}}}]}}, "nodes": [{{"id": "i",
            "task_type": "graph", "task_identifier": {}}}, {{"id": "n", {PORT}}}]}}"#,
            inner("")
        );
        refused(&aliases)
    };
    let place = r#"graph, item 1 of "input_nodes": "#;
    assert_eq!(message(r#""i""#), format!(r#"{place}node "i" is a graph; say which of its nodes with "sub_node""#));
    assert_eq!(message(r#""n", "sub_node": "x""#), format!(r#"{place}node "n" is no graph; leave "sub_node" out"#));
    assert_eq!(message("null"), format!(r#"{place}"node" is missing"#));
    let dangling = with_graph_node(
        &inner(r#", "input_nodes": [{"id": "x", "node": "nowhere"}]"#),
        r#", "force_start_node": true"#,
        "",
    );
    assert_eq!(refused(&dangling), r#"node "g": its input "x" names no node of the graph, "g:nowhere""#);
}

#[test]
fn a_graph_node_must_name_a_graph() {
    assert_eq!(
        refused(&around("7", "")),
        r#"node "g": "task_identifier" must be the name of a file or a graph, not an integer"#
    );
    assert_eq!(refused(&around("null", "")), r#"node "g": "task_identifier" is missing"#);
    let message = refused(&around(r#""nowhere.json""#, ""));
    assert!(
        message.starts_with(r#"node "g": the graph file "nowhere.json" can't be read: there is no such file"#),
        "{message}"
    );
    assert_eq!(refused(&around(r#"{"nodes": 1}"#, "")), r#"graph: "nodes" must be a list, not an integer"#);
    let taken = format!(
        r#"{{"nodes": [{{"id": "g", "task_type": "graph", "task_identifier": {}}}, {{"id": "g:in", {PORT}}}]}}"#,
        inner("")
    );
    let expected =
        r#"node "g:in": a node and one of a nested graph have this id; give the node or the graph another one"#;
    assert_eq!(refused(&taken), expected);
}

#[test]
fn graphs_that_nest_or_grow_without_end_are_refused() {
    let chain = (0..70).fold(inner(""), |text, _| format!(r#"{{"nodes":[{{"id":"g","graph":{text}}}]}}"#));
    assert!(refused(&chain).contains("nests deeper than 128 levels"));
    let folder = tempfile::tempdir().unwrap();
    let write = |name: String, text: String| fs::write(folder.path().join(name), text).unwrap();
    for level in 0..70 {
        write(format!("{level}.json"), format!(r#"{{"nodes": [{{"id": "g", "graph": "{}.json"}}]}}"#, level + 1));
    }
    let error = load_file(&folder.path().join("0.json")).unwrap_err().to_string();
    assert!(error.ends_with("the graph is nested in 64 others, and it may not nest deeper"), "{error}");
    let aliases = |list: &str, node: &str| {
        let alias = format!(r#"{{"id": "x", "node": "{node}"}}"#);
        format!(r#", "{list}": [{}]"#, vec![alias; 1001].join(", "))
    };
    let nodes = [("g", aliases("output_nodes", "out")), ("h", aliases("input_nodes", "in"))]
        .map(|(id, aliases)| format!(r#"{{"id": "{id}", "graph": {}}}"#, inner(&aliases)));
    let link = link("g", "h", r#""sub_source": "x", "sub_target": "x""#);
    let error = refused(&format!(r#"{{"nodes": [{}], "links": [{link}]}}"#, nodes.join(", ")));
    assert!(error.ends_with("with all the graphs in it the graph has more than 1000000 nodes and links"), "{error}");
}

#[test]
fn a_graph_file_is_looked_up_beside_the_file_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("parts")).unwrap();
    write("main.json", r#"{"nodes": [{"id": "g", "task_type": "graph", "task_identifier": "parts/outer"}]}"#);
    write("parts/outer.yaml", "nodes:\n- {id: h, task_type: graph, task_identifier: inner.json}\n");
    write("parts/inner.json", &inner(""));
    let graph = load_file(&folder.path().join("main.json")).unwrap();
    assert!(graph.find("g:h:in").is_some());
    write("parts/inner.json", "{\n \"nodes\": [{}]}");
    let error = load_file(&folder.path().join("main.json")).unwrap_err().to_string();
    assert!(error.ends_with("parts/inner.json, line 2 column 12: node number 1: \"id\" is missing"), "{error}");
    write("parts/inner.json", "{\n");
    let error = load_file(&folder.path().join("main.json")).unwrap_err().to_string();
    assert!(error.contains("parts/inner.json, line 2 column"), "{error}");
}

#[test]
fn graph_files_that_contain_each_other_are_refused_with_the_circle() {
    let folder = tempfile::tempdir().unwrap();
    let circle = |name: &str, next: &str| {
        let text = format!(r#"{{"nodes": [{{"id": "g", "task_type": "graph", "task_identifier": "{next}"}}]}}"#);
        fs::write(folder.path().join(name), text).unwrap();
    };
    circle("a.json", "b.json");
    circle("b.json", "c");
    circle("c.yaml", "./b.json");
    let message = |name: &str| load_file(&Path::new(folder.path()).join(name)).unwrap_err().problem.to_string();
    let expected = r#"node "g": the graph file "./b.json" contains itself: b.json -> c.yaml -> b.json"#;
    assert_eq!(message("a.json"), expected);
    circle("self.json", "self.json");
    let expected = r#"node "g": the graph file "self.json" contains itself: self.json -> self.json"#;
    assert_eq!(message("self.json"), expected);
}
