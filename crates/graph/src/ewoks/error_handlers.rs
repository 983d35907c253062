//! Default error handlers: a node with `default_error_node` gets an error link from every node without a handler
//! (`docs/parity.md` P156).

use std::collections::{HashMap, HashSet};

use pushflow_model::Map;

use super::error::LoadResult;
use super::fields::Fields;
use super::location::Location;
use super::raw::{RawLink, RawNode};

/// A default error handler.
struct Handler {
    node: usize,
    attributes: Map,
    location: Location,
}

/// Adds the links to the default error handlers of one graph. If no node needs a handler, the handlers that no other
/// link leads to are dropped, with the nodes that only they lead to.
///
/// A node needs no default handler if it has an error link, if it is a default handler, or if a default handler leads
/// to it.
pub(super) fn connect(nodes: &mut Vec<RawNode>, links: &mut Vec<RawLink>) -> LoadResult<()> {
    let handlers = take_handlers(nodes)?;
    if handlers.is_empty() {
        return Ok(());
    }
    let without = nodes_without_handler(nodes, links, &handlers)?;
    if without.is_empty() {
        return drop_unused(nodes, links, &handlers);
    }
    for source in without {
        for handler in &handlers {
            links.push(RawLink {
                source: nodes[source].id.clone(),
                target: nodes[handler.node].id.clone(),
                attributes: handler.attributes.clone(),
                location: handler.location.clone(),
            });
        }
    }
    Ok(())
}

/// The handlers. Their attributes about errors are removed, so that their nodes are plain nodes for the graph around.
fn take_handlers(nodes: &mut [RawNode]) -> LoadResult<Vec<Handler>> {
    let mut handlers = Vec::new();
    let asked = nodes.iter_mut().enumerate().filter(|(_, node)| node.attributes.contains_key("default_error_node"));
    for (position, node) in asked {
        let fields = Fields::of_map(&node.attributes, node.location.clone());
        let is_handler = fields.boolean("default_error_node")? == Some(true);
        let own = fields.object("default_error_attributes")?;
        let (mut attributes, location) = (own.attributes().clone(), own.location.clone());
        node.attributes.shift_remove("default_error_node");
        if !is_handler {
            continue;
        }
        node.attributes.shift_remove("default_error_attributes");
        attributes.insert("on_error".to_owned(), true.into());
        if !attributes.contains_key("map_all_data") && !attributes.contains_key("data_mapping") {
            attributes.insert("map_all_data".to_owned(), true.into());
        }
        handlers.push(Handler { node: position, attributes, location });
    }
    Ok(handlers)
}

/// The positions of the nodes that need a default handler.
fn nodes_without_handler(nodes: &[RawNode], links: &[RawLink], handlers: &[Handler]) -> LoadResult<Vec<usize>> {
    let positions = positions(nodes);
    let mut handled: HashSet<usize> = handlers.iter().map(|handler| handler.node).collect();
    let mut targets = vec![Vec::new(); nodes.len()];
    for link in links {
        let (source, target) = (positions[&link.source], positions[&link.target]);
        targets[source].push(target);
        if Fields::of_map(&link.attributes, link.location.clone()).boolean("on_error")? == Some(true) {
            handled.insert(source);
        }
    }
    let mut pending: Vec<usize> = handlers.iter().map(|handler| handler.node).collect();
    let mut downstream = HashSet::new();
    while let Some(node) = pending.pop() {
        pending.extend(targets[node].iter().copied().filter(|target| downstream.insert(*target)));
    }
    Ok((0..nodes.len()).filter(|node| !handled.contains(node) && !downstream.contains(node)).collect())
}

/// Drops the handlers that no link leads to, with the nodes that only dropped nodes lead to.
fn drop_unused(nodes: &mut Vec<RawNode>, links: &mut Vec<RawLink>, handlers: &[Handler]) -> LoadResult<()> {
    let positions = positions(nodes);
    let ends = |link: &RawLink| (positions[&link.source], positions[&link.target]);
    let mut entering = vec![0_usize; nodes.len()];
    let mut targets = vec![Vec::new(); nodes.len()];
    for (source, target) in links.iter().map(ends).filter(|(source, target)| source != target) {
        entering[target] += 1;
        targets[source].push(target);
    }
    let mut dropped: HashSet<usize> = HashSet::new();
    let mut pending: Vec<usize> =
        handlers.iter().map(|handler| handler.node).filter(|&node| entering[node] == 0).collect();
    while let Some(node) = pending.pop() {
        if !dropped.insert(node) {
            continue;
        }
        for &target in &targets[node] {
            entering[target] -= 1;
            if entering[target] == 0 {
                pending.push(target);
            }
        }
    }
    links.retain(|link| {
        let (source, target) = (positions[&link.source], positions[&link.target]);
        !dropped.contains(&source) && !dropped.contains(&target)
    });
    let numbered = std::mem::take(nodes).into_iter().enumerate();
    *nodes = numbered.filter(|(position, _)| !dropped.contains(position)).map(|(_, node)| node).collect();
    Ok(())
}

fn positions(nodes: &[RawNode]) -> HashMap<String, usize> {
    nodes.iter().enumerate().map(|(position, node)| (node.id.clone(), position)).collect()
}
