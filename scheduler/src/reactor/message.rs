//! What the caller tells the reactor and what the reactor asks of the caller.

use std::time::Duration;

use pushflow_graph::ActorId;
use pushflow_protocol::{AttemptId, TaskError};
use pushflow_value::Data;

use super::ending::{ActorError, Ending};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The run begins: the start actor is triggered with the run's inputs.
    Begin,
    /// An attempt ended well.
    Finished {
        /// Which one.
        attempt: AttemptId,
        /// What its task returned.
        result: Data,
    },
    /// An attempt failed, its worker was lost, or its interruption took effect.
    Failed {
        /// Which one.
        attempt: AttemptId,
        /// How.
        error: TaskError,
    },
    /// The run's deadline passed.
    Deadline,
    /// Somebody wants the run to end when what runs now has ended: from here on tasks fail instead of being run, and take
    /// their error path.
    SoftStopAsked {
        /// Why, in the words of who asked.
        reason: String,
    },
    /// Somebody wants the run to end.
    StopAsked {
        /// Why, in the words of who asked.
        reason: String,
    },
    /// The answer to [`Action::Continue`].
    Continue,
}

/// Something that the caller is to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Run the task of an actor ([`pushflow_graph::Task::work`]), and report how it ended, once.
    Submit {
        /// What to call it in the report.
        attempt: AttemptId,
        /// Whose task.
        actor: ActorId,
        /// What the task gets.
        inputs: Data,
        /// How long to wait before; not zero only where the task is tried again.
        delay: Duration,
    },
    /// End an open attempt early; how it ended is reported as ever. At most once for each attempt.
    Interrupt {
        /// Which one.
        attempt: AttemptId,
    },
    /// More triggers are queued than one step handles: look for other events first, then send [`Event::Continue`].
    Continue,
    /// Nothing to do: an actor that needs no attempt did its part (all but tasks, and identities).
    Passed {
        /// Which one.
        actor: ActorId,
    },
    /// Nothing to do: an actor failed.
    Failed {
        /// Which one, and how.
        failure: Box<ActorError>,
        /// Whether something was triggered by it, or the task is tried again; if not, the [`Ending`] lists it again.
        handled: bool,
    },
    /// The status of the run is this text now; it has no other effect.
    Status(String),
    /// The run is over. The last action of each run, given once.
    Finish(Box<Ending>),
}

/// How much a run may hold at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Triggers handled in one step before the reactor asks to be continued; at least 1, by default 1024.
    pub triggers_per_step: usize,
    /// Queued triggers, open attempts and buffered arrivals together; by default 1,000,000. A run that has more, such
    /// as a cycle of forks that feeds itself twice, is ended as failed (`TooManyTriggers`) before it takes all memory.
    pub under_way: usize,
    /// Errors that the ending lists, the first ones; by default 1000. More are counted.
    pub errors: usize,
    /// How often one actor may run in one run, and so how often any cycle may go round; by default as often as it likes. A
    /// run in which one is to run more often is ended as failed (`TooManyRounds`). An actor may have a limit of its own
    /// ([`pushflow_graph::Graph::limit_rounds`]).
    pub max_rounds: Option<u64>,
    /// Executions whose outputs the ending lists where it lists all ([`super::Outputs::All`]), the last ones; by default
    /// 10,000. More are counted.
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

/// What a reactor has counted since its run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Triggers handled.
    pub triggers: u64,
    /// Attempts submitted.
    pub submitted: u64,
    /// Attempts that ended, well or not.
    pub ended: u64,
    /// Attempts submitted and not ended, at this moment.
    pub open: usize,
    /// Triggers that wait to be handled, at this moment.
    pub queued: usize,
    /// Arrivals that wait for the first execution of their actor or for the round of a join, at this moment.
    pub buffered: usize,
    /// Events that had no meaning: a second report for one attempt, a report for an attempt never submitted, a second
    /// [`Event::Begin`].
    pub ignored: u64,
}
