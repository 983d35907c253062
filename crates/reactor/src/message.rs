//! [`Event`]s, from the caller to the reactor, and [`Action`]s, from the reactor to the caller.

use std::time::Duration;

use pushflow_graph::ActorId;
use pushflow_model::{AttemptId, Data, TaskError};

use super::ending::{ActorError, Ending};

/// What has happened, for the reactor.
#[derive(Clone, Debug)]
pub enum Event {
    /// The run begins: the start actor is triggered with the run's inputs.
    Begin,
    /// An attempt succeeded.
    Finished {
        /// The attempt.
        attempt: AttemptId,
        /// The result of its task.
        result: Data,
    },
    /// An attempt failed, its worker was lost, or its interruption took effect.
    Failed {
        /// The attempt.
        attempt: AttemptId,
        /// How it failed.
        error: TaskError,
    },
    /// The run's deadline passed.
    Deadline,
    /// A user asked the run to end when its attempts in flight have ended: from here on, a task that would run fails
    /// instead and takes its error path.
    SoftStopAsked {
        /// The reason that the user gave.
        reason: String,
    },
    /// A user asked the run to end.
    StopAsked {
        /// The reason that the user gave.
        reason: String,
    },
    /// The answer to [`Action::Continue`].
    Continue,
}

/// What the caller is to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Run the task of an actor ([`pushflow_graph::Task::work`]), and report the end of that attempt once.
    Submit {
        /// The attempt, for the report.
        attempt: AttemptId,
        /// The actor.
        actor: ActorId,
        /// The inputs of the task.
        inputs: Data,
        /// How long to wait before the attempt is submitted; more than zero only for a retry.
        delay: Duration,
    },
    /// Interrupt an attempt in flight, and report its end as ever. Given at most once for each attempt.
    Interrupt {
        /// The attempt.
        attempt: AttemptId,
    },
    /// More triggers are queued than one step handles: hand over the events that have arrived, then
    /// [`Event::Continue`].
    Continue,
    /// For information: an actor that submits no attempt has handed its data on. Every actor but one whose task is an
    /// attempt.
    Passed {
        /// The actor.
        actor: ActorId,
    },
    /// For information: an actor failed.
    Failed {
        /// The actor, and how it failed.
        failure: Box<ActorError>,
        /// Whether the failure triggered a handler, or the task is tried again. If neither, [`Ending::errors`] lists
        /// it.
        handled: bool,
    },
    /// The status of the run is this text from now on. The status has no other effect.
    Status(String),
    /// The run is over: the last action of each run, given once.
    Finish(Box<Ending>),
}

/// How much a run may hold at once, and how often an actor may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Triggers handled in one step before the reactor asks to be continued; at least 1, by default 1024.
    pub triggers_per_step: usize,
    /// Queued triggers, attempts in flight and buffered arrivals together; by default 1,000,000. A run that has more,
    /// such as a cycle of forks that feeds itself twice, fails (`TooManyTriggers`) before it takes all memory.
    pub under_way: usize,
    /// How many errors the ending lists, the first ones; by default 1000. Further errors are only counted.
    pub errors: usize,
    /// How often one actor may run in one run, and so how often any cycle may go round; no limit by default. When an
    /// actor is triggered more often, the run fails (`TooManyRounds`). An actor may have a limit of its own
    /// ([`pushflow_graph::Graph::limit_rounds`]).
    pub max_rounds: Option<u64>,
    /// How many executions the ending lists with [`super::Outputs::All`], the last ones; by default 10,000. Earlier
    /// ones are only counted.
    pub outputs: usize,
}

impl Limits {
    /// The default limits.
    pub fn new() -> Limits {
        Limits::default()
    }

    /// Sets [`Limits::triggers_per_step`].
    #[must_use]
    pub fn triggers_per_step(mut self, triggers: usize) -> Limits {
        self.triggers_per_step = triggers;
        self
    }

    /// Sets [`Limits::under_way`].
    #[must_use]
    pub fn under_way(mut self, triggers: usize) -> Limits {
        self.under_way = triggers;
        self
    }

    /// Sets [`Limits::errors`].
    #[must_use]
    pub fn errors(mut self, errors: usize) -> Limits {
        self.errors = errors;
        self
    }

    /// Sets [`Limits::max_rounds`].
    #[must_use]
    pub fn max_rounds(mut self, rounds: u64) -> Limits {
        self.max_rounds = Some(rounds);
        self
    }

    /// Sets [`Limits::outputs`].
    #[must_use]
    pub fn outputs(mut self, executions: usize) -> Limits {
        self.outputs = executions;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits { triggers_per_step: 1024, under_way: 1_000_000, errors: 1000, max_rounds: None, outputs: 10_000 }
    }
}

/// The counts of a reactor since its run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Triggers handled.
    pub triggers: u64,
    /// Attempts submitted.
    pub submitted: u64,
    /// Attempts that ended, by success or failure.
    pub ended: u64,
    /// Attempts in flight, at this moment.
    pub open: usize,
    /// Triggers that wait to be handled, at this moment.
    pub queued: usize,
    /// Arrivals that wait for the first execution of their actor, or for a round of a join, at this moment.
    pub buffered: usize,
    /// Events that the reactor ignored: a second report for one attempt, a report for an attempt that was never
    /// submitted, a second [`Event::Begin`].
    pub ignored: u64,
}
