//! Cycles that never end, because all their links are always taken.

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{EdgeReference, NodeIndex};
use petgraph::visit::{EdgeFiltered, EdgeRef};

use super::warning::{Warning, WarningKind};
use crate::{ActorId, ActorKind, Graph, Link};

/// The greatest number of actors of a cycle that a message names.
const MAX_NAMED: usize = 10;

pub(super) fn warn_of_cycles(graph: &Graph, warnings: &mut Vec<Warning>) {
    let is_always_taken = |edge: EdgeReference<'_, Link>| {
        let kind = |node: NodeIndex| &graph.graph[node].kind;
        let decides = matches!(kind(edge.source()), ActorKind::Router(_) | ActorKind::Custom(_));
        let waits = matches!(kind(edge.target()), ActorKind::Join);
        !decides && !waits && !edge.weight().on_error && edge.weight().conditions.is_empty()
    };
    let always = EdgeFiltered::from_fn(&graph.graph, is_always_taken);
    let feeds_itself =
        |node: NodeIndex| graph.graph.edges(node).any(|edge| edge.target() == node && is_always_taken(edge));
    let mut cycles: Vec<Vec<ActorId>> = kosaraju_scc(&always)
        .into_iter()
        .filter(|part| part.len() > 1 || feeds_itself(part[0]))
        .map(|part| part.into_iter().map(|node| graph.id(node.index())).collect())
        .collect();
    cycles.iter_mut().for_each(|cycle| cycle.sort_unstable());
    cycles.sort_unstable();
    for cycle in cycles {
        let mut names: Vec<String> =
            cycle.iter().take(MAX_NAMED).map(|&actor| format!("{:?}", graph.actor(actor).name)).collect();
        if cycle.len() > MAX_NAMED {
            names.push(format!("{} more", cycle.len() - MAX_NAMED));
        }
        let message = format!(
            "the cycle of {} never ends: lead one of its links through a router, or give it a condition",
            names.join(", ")
        );
        warnings.push(Warning { kind: WarningKind::UnconditionalCycle, actor: cycle.first().copied(), message });
    }
}
