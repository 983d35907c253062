//! Ends that race: two branches of one run that both reach the stop actor.
//!
//! For two actors that are linked to the stop actor, the last actor that every way to both goes through decides. A router
//! sends data one way only, and one that comes after the other always delivers later; anything else triggers both
//! branches, and the one that takes longer wins.

use std::collections::HashSet;

use super::reach::Reach;
use super::warning::{Warning, WarningKind};
use crate::{ActorId, ActorKind, Graph};

pub(super) fn warn_of_races(graph: &Graph, reach: &Reach, warnings: &mut Vec<Warning>) {
    let Some(stop) = graph.stop() else { return };
    let mut ends: Vec<ActorId> = graph
        .incoming(stop)
        .into_iter()
        .filter(|(link, source)| !graph.link(*link).on_error && reach.reaches(*source))
        .map(|(_, source)| source)
        .collect();
    ends.dedup();
    for pair in ends.windows(2) {
        if let Some(parting) = parting(reach, pair[0], pair[1]).filter(|&parting| triggers_both(graph, parting)) {
            let name = |id: ActorId| &graph.actor(id).name;
            let message = format!(
                "{:?} and {:?} both lead to the stop actor, and {:?} triggers both branches: the later one's result \
                 counts, whichever that is; join them, or ask for outputs = \"ends\"",
                name(pair[0]),
                name(pair[1]),
                name(parting)
            );
            warnings.push(Warning { kind: WarningKind::RacingEnds, actor: Some(stop), message });
        }
    }
}

/// The last actor that every way to both goes through; none if that is one of them, or if links lead to none of them.
fn parting(reach: &Reach, one: ActorId, other: ActorId) -> Option<ActorId> {
    let gates = |actor: ActorId| std::iter::successors(reach.gate(actor), |&gate| reach.gate(gate));
    let before: HashSet<ActorId> = gates(one).collect();
    if before.contains(&other) {
        return None;
    }
    gates(other).find(|gate| *gate == one || before.contains(gate)).filter(|gate| *gate != one)
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
