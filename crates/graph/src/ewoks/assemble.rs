//! The last step of loading: makes the actors and links of a [`Graph`] from nodes and links.

use super::conditions::{ConditionValues, conditions};
use super::error::{LoadError, LoadResult};
use super::location::Location;
use super::read::{Entries, LinkEntry, NodeEntry};
use super::start_nodes::StartNodes;
use super::{end_nodes, links, required};
use crate::graph::Origin;
use crate::{Actor, ActorId, ActorKind, Arrival, Graph, GraphError, Link, Task};

/// Makes the graph. Its actors are the start actor, the nodes in the order of the file, and the stop actor.
///
/// The links out of the start actor come first. For each node then come its links in the order of the file, and its
/// link to the stop actor (`docs/parity.md` P145).
pub(super) fn graph(entries: Entries, starts: &mut StartNodes<'_>) -> LoadResult<Graph> {
    let Entries { name, nodes, links, settings, location } = entries;
    let required = required::required(nodes.len(), &links);
    links::refuse_conflicting_inputs(&nodes, &links, &required)?;
    let named = ConditionValues::of(&links);
    let starts = starts.of(&nodes, &links, &location)?;
    let ends = end_nodes::end_nodes(&nodes, &links, &named, &location)?;
    let built_links: Vec<(&LinkEntry, Link)> =
        links.iter().zip(required).map(|(link, required)| (link, build_link(link, required, &nodes, &named))).collect();

    let mut graph = Graph { name, origin: Origin::Ewoks, settings, ..Graph::default() };
    add_all(&mut graph, &nodes, &starts, &ends, built_links).map_err(|error| refused(&location, &error))?;
    Ok(graph)
}

/// The error for a call that the graph refused.
fn refused(location: &Location, error: &GraphError) -> Box<LoadError> {
    location.invalid(error.to_string())
}

fn add_all(
    graph: &mut Graph,
    nodes: &[NodeEntry],
    starts: &[usize],
    ends: &[usize],
    links: Vec<(&LinkEntry, Link)>,
) -> Result<(), GraphError> {
    let start = graph.add_start(free_name("Start", nodes))?;
    let actors = nodes.iter().map(|node| add_node(graph, node)).collect::<Result<Vec<_>, _>>()?;
    let stop = graph.add_stop(free_name("Stop", nodes))?;
    for &position in starts {
        graph.connect(start, actors[position], Link { arrival: Arrival::Start, ..Link::direct() })?;
    }
    connect_nodes(graph, &actors, stop, links, ends)
}

/// A name for an actor that is no node: the usual name, with `_` after it as long as a node has that name.
fn free_name(usual: &str, nodes: &[NodeEntry]) -> String {
    let mut name = usual.to_owned();
    while nodes.iter().any(|node| node.id == name) {
        name.push('_');
    }
    name
}

fn add_node(graph: &mut Graph, node: &NodeEntry) -> Result<ActorId, GraphError> {
    let task = Task { work: node.work.clone(), defaults: node.defaults.clone(), passing: node.passing };
    let id = graph.add(Actor::new(node.id.as_str(), ActorKind::Task(task)))?;
    if let Some(label) = &node.label {
        graph.set_label(id, label.as_str())?;
    }
    if let Some(rounds) = node.settings.max_rounds {
        graph.limit_rounds(id, rounds)?;
    }
    if let Some(time) = node.settings.timeout {
        graph.limit_time(id, time)?;
    }
    if let Some(retries) = node.settings.retries {
        graph.retry(id, retries)?;
    }
    if let Some(pool) = node.settings.pool {
        graph.run_on(id, pool)?;
    }
    Ok(id)
}

fn build_link(link: &LinkEntry, required: bool, nodes: &[NodeEntry], named: &ConditionValues<'_>) -> Link {
    Link {
        port: None,
        conditions: conditions(link, &nodes[link.source], named),
        mapping: links::mapping(link),
        arrival: links::arrival(link, required),
        on_error: link.is_on_error(),
    }
}

/// Adds the links, which are ordered by source. The link to the stop actor follows the other links of an end node.
fn connect_nodes(
    graph: &mut Graph,
    actors: &[ActorId],
    stop: ActorId,
    links: Vec<(&LinkEntry, Link)>,
    ends: &[usize],
) -> Result<(), GraphError> {
    let mut links = links.into_iter().peekable();
    let mut ends = ends.iter().peekable();
    for (position, &actor) in actors.iter().enumerate() {
        while let Some((entry, link)) = links.next_if(|(entry, _)| entry.source == position) {
            graph.connect(actor, actors[entry.target], link)?;
        }
        if ends.next_if(|end| **end == position).is_some() {
            graph.connect(actor, stop, Link::direct())?;
        }
    }
    Ok(())
}
