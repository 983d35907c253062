//! [`OutLink`]: a link as a run takes it, and how what travels on it reaches its target ([`Delivery`]).

use pushflow_graph::{ActorId, LinkId};

/// One link out of an actor.
#[derive(Debug)]
pub(super) struct OutLink {
    pub(super) link: LinkId,
    pub(super) target: ActorId,
    pub(super) delivery: Delivery,
    /// Whether it is always taken and hands on everything, so that nobody need look at the link itself.
    pub(super) plain: bool,
}

/// What becomes of what arrives on a link: a [`pushflow_graph::Arrival`], with the place where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It runs the target at once.
    Direct,
    /// It is merged with what the target keeps there.
    Kept(InputSlot),
    /// It reaches the stop actor, from this one.
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
