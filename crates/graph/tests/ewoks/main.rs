//! Tests of the reader of ewoks graph files, through the public interface only.
//!
//! - `analysis`: required links, start and end nodes, order
//! - `attributes`: known and unknown attributes, and the messages about them
//! - `error_handlers`: error links and default error handlers
//! - `files`: finding and reading files
//! - `from_code`: the graph of a file, built by code
//! - `inputs`: inputs from outside the file
//! - `links`: mappings, conditions, parallel links
//! - `nodes`: tasks and default inputs
//! - `serialized`: values that JSON can't hold
//! - `settings`: the settings of pushflow
//! - `start_nodes`: start nodes that depend on the inputs of task classes
//! - `subgraphs`: graphs in graphs

mod analysis;
mod attributes;
mod error_handlers;
mod files;
mod from_code;
mod inputs;
mod links;
mod nodes;
mod serialized;
mod settings;
mod start_nodes;
mod subgraphs;

use std::path::Path;

use pushflow_graph::ewoks::{LoadError, load_str};
use pushflow_graph::{ActorKind, Graph, Link, Task};

/// Loads a text whose file would be `/graphs/demo.json`.
fn load(text: &str) -> Result<Graph, LoadError> {
    load_str(text, Path::new("/graphs"), "demo.json")
}

/// The message about a text that must be refused, without the file and the position.
fn refused(text: &str) -> String {
    let error = load(text).expect_err("the text was accepted");
    assert!(error.to_string().starts_with("demo.json, line "), "the file is named first: {error}");
    error.problem.to_string()
}

/// The line and column of the error in a text that must be refused.
fn refused_at(text: &str) -> (usize, usize) {
    let position = load(text).expect_err("the text was accepted").position.expect("the text has a place for it");
    (position.line, position.column)
}

/// The text of a graph with one node that has these attributes beside its id, "a".
fn one_node(attributes: &str) -> String {
    format!(r#"{{"nodes": [{{"id": "a", {attributes}}}]}}"#)
}

/// The text of a graph of ports with these ids (separated by spaces) and these links.
fn ports(ids: &str, links: &str) -> String {
    let nodes: Vec<String> =
        ids.split_whitespace().map(|id| format!(r#"{{"id": "{id}", "task_type": "ppfport"}}"#)).collect();
    format!(r#"{{"nodes": [{}], "links": [{links}]}}"#, nodes.join(", "))
}

/// The text of a graph with one link from "a" to "b" that has these attributes beside its ends.
fn one_link(attributes: &str) -> String {
    ports("a b", &link("a", "b", attributes))
}

/// The text of a link with these attributes beside its ends.
fn link(source: &str, target: &str, attributes: &str) -> String {
    let comma = if attributes.is_empty() { "" } else { ", " };
    format!(r#"{{"source": "{source}", "target": "{target}"{comma}{attributes}}}"#)
}

fn task<'a>(graph: &'a Graph, name: &str) -> &'a Task {
    match &graph.actor(graph.find(name).expect("the node is there")).kind {
        ActorKind::Task(task) => task,
        other => panic!("{name} is {other:?}"),
    }
}

/// The only link between two actors.
fn link_between<'a>(graph: &'a Graph, source: &str, target: &str) -> &'a Link {
    let ends = (graph.find(source), graph.find(target));
    let mut found = graph.links().filter(|(_, source, target, _)| (Some(*source), Some(*target)) == ends);
    let (.., link) = found.next().expect("the link is there");
    assert!(found.next().is_none(), "there are two links between {source} and {target}");
    link
}

/// The names of the actors that the links out of an actor lead to, in order.
fn targets<'a>(graph: &'a Graph, source: &str) -> Vec<&'a str> {
    let source = graph.find(source).expect("the source is there");
    graph.outgoing(source).into_iter().map(|(_, target)| graph.actor(target).name.as_str()).collect()
}

/// The names of the actors that the links into an actor come from, in order.
fn sources<'a>(graph: &'a Graph, target: &str) -> Vec<&'a str> {
    let target = graph.find(target).expect("the target is there");
    graph.incoming(target).into_iter().map(|(_, source)| graph.actor(source).name.as_str()).collect()
}
