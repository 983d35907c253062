//! The facts that a file does not state: required links, start and end nodes, and the order of actors and links.

use std::time::Instant;

use pushflow_graph::{Arrival, Graph, Mapping, Origin};

use crate::{link, link_between, load, ports, refused, sources, targets};

/// The attributes of a link without any; those below make other kinds of links.
const PLAIN: &str = "";
const CONDITIONAL: &str = r#""conditions": [{"source_output": "x", "value": 1}]"#;
const REQUIRED: &str = r#""required": true"#;
const OPTIONAL: &str = r#""required": false"#;

fn graph(ids: &str, links: &[(&str, &str, &str)]) -> Graph {
    let links: Vec<String> =
        links.iter().map(|(source, target, attributes)| link(source, target, attributes)).collect();
    load(&ports(ids, &links.join(","))).unwrap()
}

fn is_required(graph: &Graph, source: &str, target: &str) -> bool {
    match link_between(graph, source, target).arrival {
        Arrival::Required => true,
        Arrival::Optional { .. } => false,
        other => panic!("{other:?} between two nodes"),
    }
}

#[test]
fn a_link_without_an_optional_link_upstream_is_required() {
    let graph = graph("a b c", &[("a", "b", PLAIN), ("b", "c", PLAIN)]);
    assert!(is_required(&graph, "a", "b") && is_required(&graph, "b", "c"));
}

#[test]
fn a_link_with_conditions_and_all_links_after_it_are_optional() {
    let links = [("a", "b", PLAIN), ("b", "c", CONDITIONAL), ("c", "d", PLAIN), ("d", "e", PLAIN), ("b", "e", PLAIN)];
    let graph = graph("a b c d e", &links);
    assert!(is_required(&graph, "a", "b") && is_required(&graph, "b", "e"));
    assert!(!is_required(&graph, "b", "c") && !is_required(&graph, "c", "d") && !is_required(&graph, "d", "e"));
}

#[test]
fn a_link_that_says_required_is_what_it_says() {
    let conditional_but_required = format!("{REQUIRED}, {CONDITIONAL}");
    let links = [("a", "b", OPTIONAL), ("b", "c", REQUIRED), ("c", "d", PLAIN), ("d", "e", &conditional_but_required)];
    let graph = graph("a b c d e", &links);
    assert!(!is_required(&graph, "a", "b"));
    assert!(is_required(&graph, "b", "c"), "its own word counts more than the link before it");
    assert!(!is_required(&graph, "c", "d"), "the optional link is still upstream");
    assert!(is_required(&graph, "d", "e"));
}

#[test]
fn in_a_loop_the_entry_is_required_and_the_links_inside_are_not() {
    let links = [("in", "a", PLAIN), ("a", "b", PLAIN), ("b", "a", CONDITIONAL), ("b", "out", CONDITIONAL)];
    let graph = graph("in a b out", &links);
    assert!(is_required(&graph, "in", "a"));
    assert!(!is_required(&graph, "a", "b") && !is_required(&graph, "b", "a") && !is_required(&graph, "b", "out"));
}

#[test]
fn a_loop_without_a_condition_does_not_make_itself_optional() {
    let links = [("in", "a", PLAIN), ("a", "b", PLAIN), ("b", "a", PLAIN), ("b", "out", PLAIN), ("a", "a", PLAIN)];
    let graph = graph("in a b out", &links);
    for (source, target, _) in links {
        assert!(is_required(&graph, source, target), "{source} -> {target}");
    }
}

/// The rule as ewoks writes it down. It ends only for graphs without a cycle.
fn required_by_the_book(links: &[(usize, usize, &str)], link: (usize, usize, &str)) -> bool {
    match link.2 {
        REQUIRED => true,
        OPTIONAL | CONDITIONAL => false,
        _ => {
            let mut upstream = vec![link.0];
            while let Some(node) = upstream.pop() {
                for above in links.iter().filter(|above| above.1 == node) {
                    if !required_by_the_book(links, *above) {
                        return false;
                    }
                    upstream.push(above.0);
                }
            }
            true
        }
    }
}

#[test]
fn every_graph_of_four_nodes_without_a_loop_has_the_required_links_of_the_original() {
    let names = ["a", "b", "c", "d"];
    let ends = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];
    let kinds = [None, Some(PLAIN), Some(CONDITIONAL), Some(REQUIRED), Some(OPTIONAL)];
    for choice in 0..kinds.len().pow(ends.len() as u32) {
        let kind = |position: usize| kinds[choice / kinds.len().pow(position as u32) % kinds.len()];
        let links: Vec<(usize, usize, &str)> = ends
            .iter()
            .enumerate()
            .filter_map(|(position, (source, target))| Some((*source, *target, kind(position)?)))
            .collect();
        let named: Vec<_> =
            links.iter().map(|(source, target, kind)| (names[*source], names[*target], *kind)).collect();
        let graph = graph("a b c d", &named);
        for link in &links {
            let found = is_required(&graph, names[link.0], names[link.1]);
            assert_eq!(found, required_by_the_book(&links, *link), "{link:?} of {links:?}");
        }
    }
}

#[test]
fn a_run_begins_at_nodes_without_incoming_links_and_ends_at_nodes_without_outgoing_ones() {
    let graph =
        graph("b a mid d c", &[("a", "mid", PLAIN), ("b", "mid", PLAIN), ("mid", "c", PLAIN), ("mid", "d", PLAIN)]);
    assert_eq!(targets(&graph, "Start"), ["b", "a"]);
    assert_eq!(sources(&graph, "Stop"), ["d", "c"]);
    let into_start_node = link_between(&graph, "Start", "a");
    assert_eq!((into_start_node.arrival, &into_start_node.mapping), (Arrival::Start, &Mapping::All));
    let out_of_end_node = link_between(&graph, "c", "Stop");
    assert_eq!((out_of_end_node.arrival, &out_of_end_node.mapping), (Arrival::Direct, &Mapping::All));
    assert_eq!(graph.start(), graph.find("Start"));
    assert_eq!(graph.stop(), graph.find("Stop"));
    assert_eq!(graph.validate(), Ok(()));
}

fn forced(id: &str, attributes: &str) -> String {
    format!(r#"{{"id": "{id}", "task_type": "ppfport", "force_start_node": true{attributes}}}"#)
}

#[test]
fn a_run_begins_at_a_forced_start_node_too() {
    let text = format!(
        r#"{{"nodes": [{{"id": "a", "task_type": "ppfport"}}, {}], "links": [{}]}}"#,
        forced("b", ""),
        link("a", "b", "")
    );
    assert_eq!(targets(&load(&text).unwrap(), "Start"), ["a", "b"]);
}

#[test]
fn a_graph_without_a_start_node_is_refused() {
    let text = ports("a b", &[link("a", "b", CONDITIONAL), link("b", "a", CONDITIONAL)].join(","));
    let expected = "graph: there is no start node, since a link enters every node and none of them is of task type \
                    \"class\", without required links and with all required inputs in \"default_inputs\"; set \
                    \"force_start_node\" to true on the node to begin with";
    assert_eq!(refused(&text), expected);
}

/// The end nodes of a single node with links to itself that have these conditions on one output.
fn ends_of_loop(else_value: &str, values: &[&str]) -> Result<Vec<String>, String> {
    let other = r#"{"id": "b", "task_type": "ppfport"}"#;
    let link_to = |target: &str, value: &&str| {
        link("a", target, &format!(r#""conditions": [{{"source_output": "x", "value": {value}}}]"#))
    };
    let mut links: Vec<String> = values.iter().zip(["a", "b"]).map(|(value, target)| link_to(target, value)).collect();
    links.push(link("b", "a", ""));
    let nodes = forced("a", &format!(r#", "conditions_else_value": {else_value}"#));
    let text = format!(r#"{{"nodes": [{nodes}, {other}], "links": [{}]}}"#, links.join(","));
    let graph = load(&text).map_err(|error| error.to_string())?;
    Ok(sources(&graph, "Stop").into_iter().map(str::to_owned).collect())
}

#[test]
fn without_a_pure_end_node_a_run_ends_where_conditions_may_all_fail() {
    assert_eq!(ends_of_loop("null", &["1"]).unwrap(), ["a"]);
    assert_eq!(ends_of_loop(r#""rest""#, &[r#""x""#, "null"]).unwrap(), ["a"]);
}

#[test]
fn conditions_on_true_and_false_may_still_all_fail() {
    assert_eq!(ends_of_loop("null", &["true", "false"]).unwrap(), ["a"]);
    assert_eq!(ends_of_loop("null", &["1", "null"]).unwrap(), ["a"]);
}

#[test]
fn a_loop_without_conditions_loads() {
    let links = [link("a", "b", ""), link("b", "c", ""), link("c", "b", ""), link("c", "d", "")].join(", ");
    let graph = load(&ports("a b c d", &links)).unwrap();
    assert!(is_required(&graph, "a", "b") && is_required(&graph, "c", "b"));
    assert_eq!(crate::sources(&graph, "Stop"), ["d"]);
}

#[test]
fn a_graph_that_never_ends_is_refused() {
    let expected = "demo.json, line 1 column 1: graph: there is no end node, since every node always triggers another one; give the link \
                    that closes the loop a condition";
    assert_eq!(ends_of_loop("null", &[r#""x""#, "null"]).unwrap_err(), expected);
    assert_eq!(ends_of_loop("2.0", &["2", "7"]).unwrap_err(), expected);
    assert_eq!(ends_of_loop("null", &[]).unwrap(), ["a"], "a node that triggers nothing is an end");
}

#[test]
fn a_node_triggers_its_targets_in_the_order_of_the_file_and_the_stop_actor_last() {
    let nodes = format!(r#"{}, {{"id": "b", "task_type": "ppfport"}}"#, forced("a", ""));
    let links = [("b", "a", CONDITIONAL), ("a", "b", CONDITIONAL), ("a", "a", CONDITIONAL), ("a", "b", PLAIN)]
        .map(|(source, target, attributes)| link(source, target, attributes));
    let graph = load(&format!(r#"{{"nodes": [{nodes}], "links": [{}]}}"#, links.join(","))).unwrap();
    assert_eq!(targets(&graph, "a"), ["b", "a", "Stop"]);
}

#[test]
fn links_into_a_node_are_ordered_by_their_source_nodes() {
    let graph = graph("a b c", &[("b", "c", PLAIN), ("a", "c", PLAIN)]);
    assert_eq!(sources(&graph, "c"), ["a", "b"]);
}

#[test]
fn nodes_may_have_the_names_of_the_start_and_stop_actors() {
    let graph = graph("Stop Start Start_", &[("Stop", "Start", PLAIN), ("Start", "Start_", PLAIN)]);
    let name = |id| graph.actor(id).name.as_str();
    assert_eq!(graph.start().map(name), Some("Start__"));
    assert_eq!(graph.stop().map(name), Some("Stop_"));
    assert_eq!(targets(&graph, "Start__"), ["Stop"]);
}

#[test]
fn an_empty_graph_is_a_start_and_a_stop_actor_without_a_link() {
    for text in ["{}", r#"{"graph": {"id": "empty"}, "nodes": [], "links": []}"#] {
        let graph = load(text).unwrap();
        assert_eq!((graph.actor_count(), graph.link_count()), (2, 0));
        assert_eq!(graph.origin(), Origin::Ewoks);
        assert_eq!(graph.validate(), Ok(()));
    }
}

#[test]
fn a_chain_of_a_hundred_thousand_nodes_is_read() {
    let ids: Vec<String> = (0..100_000).map(|number| format!("n{number}")).collect();
    let mut links: Vec<String> = ids.windows(2).map(|pair| link(&pair[0], &pair[1], "")).collect();
    links.push(link("n99999", "n50000", CONDITIONAL));
    let text = ports(&ids.join(" "), &links.join(","));
    let begin = Instant::now();
    let graph =
        load(&text.replacen(r#""n99998", "task_type""#, r#""n99998", "label": "last", "task_type""#, 1)).unwrap();
    assert_eq!(graph.actor_count(), 100_002);
    assert!(is_required(&graph, "n49999", "n50000") && !is_required(&graph, "n50000", "n50001"));
    assert!(begin.elapsed().as_secs() < 60, "reading takes more than linear time");
}
