//! [`OutLink`]: a link as a run takes it, and how its data reaches the target ([`Delivery`]).

use pushflow_graph::{ActorId, LinkId};

/// One link out of an actor.
#[derive(Debug)]
pub(super) struct OutLink {
    pub(super) link: LinkId,
    pub(super) target: ActorId,
    pub(super) delivery: Delivery,
    /// Whether the link has no condition and no mapping, so that the run need not look it up in the graph.
    pub(super) plain: bool,
}

/// How the data of a link reaches its target: a [`pushflow_graph::Arrival`] with the slot that keeps the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// The data runs the target at once.
    Direct,
    /// The target keeps the data in this slot.
    Kept(InputSlot),
    /// The target is the stop actor, and this actor is the source.
    End(ActorId),
}

/// Where an actor keeps what arrives on one of its links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputSlot {
    /// With the run's own inputs.
    Start,
    /// As the latest of the required link of this number.
    Required(u32),
    /// As the latest of the cached optional link of this number.
    Cached(u32),
    /// As one of the arrivals on optional links that are not cached.
    Loose,
    /// Until a round takes it, as an arrival on the join's link of this number.
    Joined(u32),
}
