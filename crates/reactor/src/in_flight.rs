//! [`InFlight`]: what the reactor knows of an attempt that has not ended.

use std::time::Duration;

use pushflow_graph::{ActorId, Retries};
use pushflow_model::{AttemptId, Data, TryNumber};

/// An attempt that has not ended.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) actor: ActorId,
    /// Which execution of the actor it is.
    pub(super) tried: TryNumber,
    /// When the reactor asked for the attempt, or decided to retry the one before it.
    pub(super) opened: Duration,
    /// The data that reached the actor.
    pub(super) got: Data,
    /// The data below the result when the actor hands it on.
    pub(super) base: MergeBase,
    /// The state of its retries, if its actor has any.
    pub(super) retry: Option<Box<RetryState>>,
    pub(super) stage: AttemptStage,
}

/// One execution of an actor, as failures and executions name it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExecutionId {
    pub(super) actor: ActorId,
    /// The attempt; `None` for an execution without one.
    pub(super) attempt: Option<AttemptId>,
    pub(super) tried: TryNumber,
}

/// How far an attempt has come, and what becomes due for it ([`super::deadlines::Deadlines`] has the moment).
#[derive(Debug)]
pub(super) enum AttemptStage {
    /// It waits for the delay of its retry. When that is over, the attempt is submitted with these inputs.
    Delayed { inputs: Data },
    /// It was submitted, and waits for a worker. Nothing is due.
    Queued,
    /// It runs. Its time limit becomes due, if it has one.
    Running(Running),
    /// It was interrupted, and ends soon. The patience with it becomes due.
    Interrupted {
        /// What is known of its execution, if it runs.
        running: Option<Running>,
        /// The time limit that it had exceeded when it was interrupted, if that was the reason.
        exceeded: Option<Duration>,
    },
}

/// Since when an attempt runs, and in which process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// The time of the reactor at which its start was reported.
    pub since: Duration,
    /// The process.
    pub pid: u32,
}

impl InFlight {
    /// Since when the attempt runs; `None` if it waits.
    pub(super) fn running(&self) -> Option<Running> {
        match self.stage {
            AttemptStage::Delayed { .. } | AttemptStage::Queued => None,
            AttemptStage::Running(running) => Some(running),
            AttemptStage::Interrupted { running, .. } => running,
        }
    }

    /// The attempt, as failures and executions name it.
    pub(super) fn execution(&self, attempt: AttemptId) -> ExecutionId {
        ExecutionId { actor: self.actor, attempt: Some(attempt), tried: self.tried }
    }

    /// The time limit that the attempt has exceeded, and what is known of its execution.
    pub(super) fn exceeded(&self) -> Option<(Duration, Option<Running>)> {
        match self.stage {
            AttemptStage::Interrupted { exceeded: Some(limit), running } => Some((limit, running)),
            _ => None,
        }
    }
}

/// How far an attempt has come, for [`super::Reactor::attempts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptStatus {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its actor.
    pub actor: ActorId,
    /// Which execution of the actor it is.
    pub tried: TryNumber,
    /// When the reactor asked for the attempt, or decided to retry the one before it.
    pub opened: Duration,
    /// Since when it runs, and where; `None` while it waits.
    pub running: Option<Running>,
    /// Whether it waits for the delay of its retry, and was not submitted yet.
    pub delayed: bool,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

impl InFlight {
    pub(super) fn status(&self, attempt: AttemptId) -> AttemptStatus {
        let interrupted = matches!(self.stage, AttemptStage::Interrupted { .. });
        let delayed = matches!(self.stage, AttemptStage::Delayed { .. });
        let InFlight { actor, tried, .. } = *self;
        AttemptStatus { attempt, actor, tried, opened: self.opened, running: self.running(), delayed, interrupted }
    }
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
    /// How many retries there were.
    pub(super) made: u32,
    /// The inputs of each retry.
    pub(super) inputs: Data,
}
