//! [`WorkflowEvent`]: what happens in a run, for its observers.

use std::fmt;
use std::time::Duration;

use pushflow_graph::ActorId;
use pushflow_model::{AttemptId, Exit, TaskError, TryNumber};
use pushflow_pool::Stream;
use pushflow_reactor::EndingKind;

/// Names a run, among all runs on all machines: a UUID of version 7 (RFC 9562), whose text sorts by the time at which the
/// run was prepared.
///
/// It displays itself as `019ad3a8-7f6e-7c31-9c0e-5d3f1b8a2e44`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(uuid::Uuid);

impl RunId {
    /// An id that no other run has.
    pub(crate) fn unique() -> RunId {
        RunId(uuid::Uuid::now_v7())
    }

    /// The number that the text writes in hexadecimal digits.
    pub fn as_u128(self) -> u128 {
        self.0.as_u128()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
    /// An attempt was submitted, and waits for a worker.
    AttemptSubmitted {
        /// The actor.
        actor: ActorId,
        /// The attempt.
        attempt: AttemptId,
        /// Which execution of the actor it is.
        tried: TryNumber,
    },
    /// An attempt runs. The event comes again if a worker dies before it has begun the attempt, and another worker
    /// starts it.
    AttemptStarted {
        /// The actor.
        actor: ActorId,
        /// The attempt.
        attempt: AttemptId,
        /// Which execution of the actor it is.
        tried: TryNumber,
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
        /// Which execution of the actor it is.
        tried: TryNumber,
    },
    /// An attempt failed.
    AttemptFailed {
        /// The actor.
        actor: ActorId,
        /// The attempt.
        attempt: AttemptId,
        /// Which execution of the actor it is.
        tried: TryNumber,
        /// Its error.
        error: TaskError,
    },
    /// A failed attempt is tried again. If the run ends during the delay, the next attempt has no event of its own.
    AttemptRetried {
        /// The actor.
        actor: ActorId,
        /// The attempt that failed.
        failed: AttemptId,
        /// The next one.
        attempt: AttemptId,
        /// Which execution of the actor the next one is.
        tried: TryNumber,
        /// How long the next one waits before it is submitted.
        delay: Duration,
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
        /// Which execution of the actor it is.
        tried: TryNumber,
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
