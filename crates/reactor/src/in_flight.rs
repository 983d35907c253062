//! [`InFlight`]: what the reactor needs when an attempt ends.

use std::time::Duration;

use pushflow_graph::{ActorId, Retries};
use pushflow_model::Data;

/// An attempt that was submitted and has not ended.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) actor: ActorId,
    pub(super) submitted: Duration,
    /// The data that reached the actor.
    pub(super) got: Data,
    /// The data below the result when the actor hands it on.
    pub(super) base: MergeBase,
    /// The state of its retries, if its actor has any.
    pub(super) retry: Option<Box<RetryState>>,
}

/// The data that a result is merged over before the actor hands it on.
#[derive(Debug)]
pub(super) enum MergeBase {
    /// None: the result goes on alone.
    Nothing,
    /// The data that reached the actor, which is also what the task received.
    Got,
    /// The inputs of the task, where they differ from the data that reached the actor.
    Other(Data),
}

/// The retries of one execution of an actor.
#[derive(Debug)]
pub(super) struct RetryState {
    /// The retries that are left.
    pub(super) left: Retries,
    /// The inputs of each retry.
    pub(super) inputs: Data,
}
