//! Racing ends: two branches of one run that both reach the stop actor.
//!
//! The check takes two actors that are linked to the stop actor, and looks at their nearest common dominator: the last
//! actor on every path to each of them. If that is a router, only one of the two runs. If it is one of the two, the
//! other one always delivers later. In all other cases both branches run, and the result of the slower one counts.

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

/// The nearest common dominator of two actors; `None` if it is one of the two, or if no links lead to one of them.
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

/// Whether an actor takes several of its links at each trigger, whatever the data.
fn triggers_both(graph: &Graph, actor: ActorId) -> bool {
    let decides = matches!(graph.actor(actor).kind, ActorKind::Router(_) | ActorKind::Custom(_));
    let always = |link| {
        let link = graph.link(link);
        link.conditions.is_empty() && !link.on_error
    };
    !decides && graph.outgoing(actor).into_iter().filter(|(link, _)| always(*link)).count() > 1
}
