//! Derives the end nodes: the nodes whose results are results of the run.
//!
//! A node whose conditions test for true and for false may be an end node too, in graphs where no node is without links
//! behind it: existing graphs rely on that, though the documents of ewoks say that the two values cover a boolean.

use std::collections::HashSet;

use pushflow_model::Value;

use super::conditions::ConditionValues;
use super::error::LoadResult;
use super::location::Location;
use super::read::{LinkEntry, NodeEntry};
use crate::ewoks_equal;

/// The positions of the end nodes: the nodes that no link leaves, error links apart. If there is none, the nodes
/// whose conditions may all fail.
pub(super) fn end_nodes(
    nodes: &[NodeEntry],
    links: &[LinkEntry],
    named: &ConditionValues<'_>,
    graph: &Location,
) -> LoadResult<Vec<usize>> {
    let left: HashSet<usize> = links.iter().filter(|link| !link.is_on_error()).map(|link| link.source).collect();
    let pure = positions_where(nodes, |position, _| !left.contains(&position));
    if !pure.is_empty() || nodes.is_empty() {
        return Ok(pure);
    }
    let ends = positions_where(nodes, |position, node| may_end_run(node, named.by_output(position)));
    if ends.is_empty() {
        let message = "there is no end node, since every node always triggers another one; give the link that closes \
                       the loop a condition";
        return Err(graph.invalid(message));
    }
    Ok(ends)
}

/// The positions of the chosen nodes.
pub(super) fn positions_where(nodes: &[NodeEntry], chosen: impl Fn(usize, &NodeEntry) -> bool) -> Vec<usize> {
    nodes.iter().enumerate().filter(|(position, node)| chosen(*position, node)).map(|(position, _)| position).collect()
}

/// Whether one output of the node may have a value for which all conditions on this output fail.
///
/// As in ewoks, the else value covers all values that no condition names. True and false together cover nothing, so
/// that a node with conditions on both may end a run.
fn may_end_run<'a>(node: &NodeEntry, mut named: impl Iterator<Item = &'a [&'a Value]>) -> bool {
    let names = |values: &[&Value], wanted: &Value| values.iter().any(|value| ewoks_equal(value, wanted));
    named.any(|values| names(values, &true.into()) || names(values, &false.into()) || !names(values, &node.else_value))
}
