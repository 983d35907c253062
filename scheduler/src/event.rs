//! [`WorkflowEvent`]: what happens in a run, for its observers.

use std::fmt;
use std::time::Duration;

use pushflow_graph::ActorId;
use pushflow_model::{AttemptId, Exit, TaskError};
use pushflow_pool::Stream;
use pushflow_reactor::EndingKind;

/// Names a run by the pid of its process and a count. It is unique on this machine until the system uses the pid again.
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
    /// The run.
    pub run: RunId,
    /// The time since the run began.
    pub at: Duration,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
///
/// Every attempt that was submitted ends in one `AttemptFinished` or `AttemptFailed`; the last event of a run is
/// `RunEnded`. Events hold neither inputs nor results.
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
        /// How it ended.
        exit: Exit,
    },
    /// An attempt was submitted, and waits for a worker, or for the delay of its retry.
    AttemptSubmitted {
        /// The actor.
        actor: ActorId,
        /// The attempt.
        attempt: AttemptId,
    },
    /// An attempt runs. The event comes again if a worker dies before it has begun the attempt, and another worker
    /// starts it.
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
        /// The actor and attempt; `None` for output that a worker printed outside of any attempt.
        attempt: Option<(ActorId, AttemptId)>,
        /// Standard output or standard error.
        stream: Stream,
        /// The output: not necessarily whole lines or valid text.
        bytes: Vec<u8>,
    },
    /// A signal, such as SIGSTOP, stopped a process that works for an attempt. The attempt does nothing until that
    /// process is continued or ended; a deadline or a stop of the run ends it.
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
    /// A stopped process was continued.
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
        /// Its error.
        error: TaskError,
    },
    /// An error handler or a status actor set the status of the run.
    Status {
        /// The status.
        status: String,
    },
    /// A user or a signal asked the run to stop.
    Stopping {
        /// The reason.
        reason: String,
    },
    /// An attempt has held the one thread of the pool `gevent` for longer than [`crate::PoolOptions::blocking_limit`],
    /// so that no other could run. The event comes once for each such attempt, while it still holds the thread.
    AttemptBlocked {
        /// The actor.
        actor: ActorId,
        /// The attempt.
        attempt: AttemptId,
        /// For how long, at least.
        held: Duration,
    },
    /// A pool can't go on.
    PoolBroken {
        /// The reason.
        reason: String,
    },
    /// A [`crate::Lossy`] observer was too slow for this many events, and did not receive them.
    Dropped {
        /// The number of events.
        events: u64,
    },
    /// The run is over.
    RunEnded {
        /// How it ended.
        ending: EndingKind,
    },
}
