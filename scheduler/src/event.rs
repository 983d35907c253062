//! [`WorkflowEvent`]: what happens in a run, for whoever wants to know.

use std::fmt;
use std::time::Duration;

use pushflow_graph::ActorId;
use pushflow_pool::Stream;
use pushflow_protocol::{AttemptId, Exit, TaskError};

use crate::reactor::EndingKind;

/// Names a run, on this machine and in this hour at least: the process's pid and a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId {
    pub(crate) pid: u32,
    pub(crate) count: u64,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.pid, self.count)
    }
}

/// Something that happened in a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkflowEvent {
    /// Which run.
    pub run: RunId,
    /// When, since the run began.
    pub at: Duration,
    /// What.
    pub kind: EventKind,
}

/// What happened.
///
/// Every attempt that was submitted ends in one `AttemptFinished` or `AttemptFailed`; the last event of a run is
/// `RunEnded`. Payloads are not in here, only their sizes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// The run began.
    RunStarted {
        /// The workflow's name.
        workflow: String,
    },
    /// A worker process waits for attempts.
    WorkerStarted {
        /// Its pid.
        pid: u32,
    },
    /// A worker process has ended.
    WorkerEnded {
        /// Its pid.
        pid: u32,
        /// How.
        exit: Exit,
    },
    /// An actor asked for an attempt, which waits for a worker now.
    AttemptSubmitted {
        /// The actor.
        actor: ActorId,
        /// The attempt.
        attempt: AttemptId,
    },
    /// An attempt runs. Told again in the odd case that its worker died before it had begun it.
    AttemptStarted {
        /// The actor.
        actor: ActorId,
        /// The attempt.
        attempt: AttemptId,
        /// The process it runs in.
        pid: u32,
    },
    /// An attempt printed something.
    Output {
        /// The actor and attempt; `None` for what a worker printed outside of any.
        attempt: Option<(ActorId, AttemptId)>,
        /// Where to.
        stream: Stream,
        /// What: not necessarily whole lines or valid text.
        bytes: Vec<u8>,
    },
    /// A process that works for an attempt was stopped by a signal (SIGSTOP, say): the attempt does nothing until that is
    /// continued or ended; a deadline or a stop ends it.
    ProcessStopped {
        /// The actor.
        actor: ActorId,
        /// The attempt.
        attempt: AttemptId,
        /// The process.
        pid: u32,
        /// The signal's name, such as `SIGSTOP`.
        signal: String,
    },
    /// A process that was stopped goes on.
    ProcessContinued {
        /// The actor.
        actor: ActorId,
        /// The attempt.
        attempt: AttemptId,
        /// The process.
        pid: u32,
    },
    /// An attempt succeeded.
    AttemptFinished {
        /// The actor.
        actor: ActorId,
        /// The attempt.
        attempt: AttemptId,
    },
    /// An attempt failed.
    AttemptFailed {
        /// The actor.
        actor: ActorId,
        /// The attempt.
        attempt: AttemptId,
        /// How.
        error: TaskError,
    },
    /// An error handler or a status actor set the status of the run.
    Status {
        /// To what.
        status: String,
    },
    /// The run was asked to stop.
    Stopping {
        /// Why.
        reason: String,
    },
    /// An attempt has held the one thread of the pool `gevent` for long, so that no other could run; told once per
    /// attempt, while it still does.
    AttemptBlocked {
        /// The actor.
        actor: ActorId,
        /// The attempt.
        attempt: AttemptId,
        /// For how long, at least.
        held: Duration,
    },
    /// The pool can't go on.
    PoolBroken {
        /// Why.
        reason: String,
    },
    /// This many events were not delivered to a lossy observer, since it was too slow.
    Dropped {
        /// How many.
        events: u64,
    },
    /// The run is over.
    RunEnded {
        /// How.
        ending: EndingKind,
    },
}
