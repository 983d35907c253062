//! [`InFlight`]: an attempt that was submitted and has not ended, with what its end needs.

use std::time::Duration;

use pushflow_graph::{ActorId, Retries};
use pushflow_value::Data;

/// An attempt that was submitted and has not ended.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) actor: ActorId,
    pub(super) submitted: Duration,
    /// What reached the actor.
    pub(super) got: Data,
    /// What the result is laid on before it is handed on.
    pub(super) base: MergeBase,
    /// With what it is tried again, if it may be.
    pub(super) retry: Option<Box<RetryState>>,
}

/// What a result is laid on before it is handed on.
#[derive(Debug)]
pub(super) enum MergeBase {
    /// It goes on alone.
    Nothing,
    /// What reached the actor, which is what the task got.
    Got,
    /// What the task got, where that is something else.
    Other(Data),
}

/// With what an attempt is tried again.
#[derive(Debug)]
pub(super) struct RetryState {
    /// What is left of the actor's retries, for this execution of it.
    pub(super) left: Retries,
    /// What the task gets.
    pub(super) inputs: Data,
}
