//! Ends that race: two branches of one run that both reach the stop actor.
//!
//! For two actors that are linked to the stop actor, the last actor that every way to both goes through decides. A router
//! sends data one way only, and one that comes after the other always delivers later; anything else triggers both
//! branches, and the one that takes longer wins.

use std::collections::HashSet;

use super::reachability::Reachability;
use super::warning::{Warning, WarningKind};
use crate::{ActorId, ActorKind, Graph};

pub(super) fn warn_of_races(graph: &Graph, reachability: &Reachability, warnings: &mut Vec<Warning>) {
    let Some(stop) = graph.stop() else { return };
    let mut ends: Vec<ActorId> = graph
        .incoming(stop)
        .into_iter()
        .filter(|(link, source)| !graph.link(*link).on_error && reachability.reaches(*source))
        .map(|(_, source)| source)
        .collect();
    ends.dedup();
    for pair in ends.windows(2) {
        if let Some(common_dominator) = common_dominator(reachability, pair[0], pair[1])
            .filter(|&common_dominator| triggers_both(graph, common_dominator))
        {
            let name = |id: ActorId| &graph.actor(id).name;
            let message = format!(
                "{:?} and {:?} both lead to the stop actor, and {:?} triggers both branches: the later one's result \
                 counts, whichever that is; join them, or ask for outputs = \"ends\"",
                name(pair[0]),
                name(pair[1]),
                name(common_dominator)
            );
            warnings.push(Warning { kind: WarningKind::RacingEnds, actor: Some(stop), message });
        }
    }
}

/// The last actor that every way to both goes through; none if that is one of them, or if links lead to none of them.
fn common_dominator(reachability: &Reachability, one: ActorId, other: ActorId) -> Option<ActorId> {
    let dominators_of = |actor: ActorId| {
        std::iter::successors(reachability.immediate_dominator(actor), |&immediate_dominator| {
            reachability.immediate_dominator(immediate_dominator)
        })
    };
    let before: HashSet<ActorId> = dominators_of(one).collect();
    if before.contains(&other) {
        return None;
    }
    dominators_of(other)
        .find(|immediate_dominator| *immediate_dominator == one || before.contains(immediate_dominator))
        .filter(|immediate_dominator| *immediate_dominator != one)
}

/// Whether an actor triggers several of its links at once, as far as that does not depend on the data.
fn triggers_both(graph: &Graph, actor: ActorId) -> bool {
    let decides = matches!(graph.actor(actor).kind, ActorKind::Router(_) | ActorKind::Custom(_));
    let always = |link| {
        let link = graph.link(link);
        link.conditions.is_empty() && !link.on_error
    };
    !decides && graph.outgoing(actor).into_iter().filter(|(link, _)| always(*link)).count() > 1
}
