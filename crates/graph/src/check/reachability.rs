//! Which actors a run can reach, and which joins wait for a link that can never deliver.

use petgraph::algo::dominators::{Dominators, simple_fast};
use petgraph::graph::NodeIndex;

use super::warning::{Warning, WarningKind};
use crate::{ActorId, ActorKind, Graph};

/// The greatest number of links for which dominators are computed: the time can grow with the square of the number.
const MAX_LINKS: usize = 50_000;

/// The actors that a run can reach, along any link and through any error handler.
#[derive(Debug)]
pub(super) struct Reachability {
    reached: Vec<bool>,
    /// The dominators on paths along links; `None` in a graph without a start actor, or with more than [`MAX_LINKS`].
    dominators: Option<Dominators<NodeIndex>>,
}

impl Reachability {
    pub(super) fn of(graph: &Graph) -> Self {
        let scope_of = graph.scope_of_each();
        let scopes: Vec<_> = graph.scopes().map(|(_, scope)| scope).collect();
        let mut notified = vec![false; scopes.len()];
        let mut reached = vec![false; graph.actor_count()];
        let mut next: Vec<ActorId> = graph.start().into_iter().collect();
        while let Some(actor) = next.pop() {
            if std::mem::replace(&mut reached[actor.index()], true) {
                continue;
            }
            next.extend(graph.outgoing(actor).into_iter().map(|(_, target)| target));
            let mut scope = Some(scope_of[actor.index()]).filter(|_| !graph.contains_errors(actor));
            while let Some(here) = scope.filter(|here| !std::mem::replace(&mut notified[here.index()], true)) {
                next.extend(&scopes[here.index()].handlers);
                scope = scopes[here.index()].parent;
            }
        }
        let start = graph.start().filter(|_| graph.link_count() <= MAX_LINKS);
        let dominators = start.map(|start| simple_fast(&graph.graph, NodeIndex::new(start.index())));
        Reachability { reached, dominators }
    }

    pub(super) fn reaches(&self, actor: ActorId) -> bool {
        self.reached[actor.index()]
    }

    /// The last actor before this one that every path of links to it goes through; `None` if no path leads to it.
    pub(super) fn immediate_dominator(&self, actor: ActorId) -> Option<ActorId> {
        let immediate_dominator = self.dominators.as_ref()?.immediate_dominator(NodeIndex::new(actor.index()))?;
        Some(ActorId { index: immediate_dominator.index() as u32, graph: actor.graph })
    }
}

/// Warns of joins with a link from an actor that no run reaches, or that only the join itself leads to.
pub(super) fn warn_of_joins(graph: &Graph, reachability: &Reachability, warnings: &mut Vec<Warning>) {
    let joins = graph.actors().filter(|(id, actor)| matches!(actor.kind, ActorKind::Join) && reachability.reaches(*id));
    for (join, actor) in joins {
        for (_, source) in graph.incoming(join) {
            let name = &graph.actor(source).name;
            let why = if !reachability.reaches(source) {
                format!("{name:?}, which nothing leads to")
            } else if is_dominated_by(reachability, source, join) {
                format!("{name:?}, which runs only after the join has fired")
            } else {
                continue;
            };
            let message = format!("join {:?} can never fire: it waits for {why}; take that link away", actor.name);
            warnings.push(Warning { kind: WarningKind::JoinNeverFires, actor: Some(join), message });
        }
    }
}

/// Whether every path to an actor goes through the join.
fn is_dominated_by(reachability: &Reachability, actor: ActorId, join: ActorId) -> bool {
    std::iter::successors(Some(actor), |&here| reachability.immediate_dominator(here))
        .any(|immediate_dominator| immediate_dominator == join)
}
