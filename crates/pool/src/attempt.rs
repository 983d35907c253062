//! [`Pool`]: where attempts run, what it is given and what it tells.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pushflow_green::Cancellation;
use pushflow_model::{AttemptId, Data, Exit, TaskError, TaskSpec};

use crate::error::OpenError;

/// One execution of a task, to be run.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Unique among the attempts of the pool.
    pub id: AttemptId,
    /// The name of the actor that asked for it.
    pub actor: Arc<str>,
    /// What to run.
    pub task: Arc<TaskSpec>,
    /// The arguments.
    pub inputs: Data,
}

/// What an attempt came to.
pub type TaskResult = Result<Data, TaskError>;

/// Which standard stream of a task something was printed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a pool tells about its attempts and workers.
///
/// Every attempt that was submitted ends in exactly one `Finished` or `Failed`.
#[derive(Clone, Debug)]
pub enum PoolEvent {
    /// An attempt runs. May be told a millisecond late, with what came next.
    Started {
        /// The attempt.
        attempt: AttemptId,
        /// The process it runs in; the scheduler's own on the thread and green pools.
        pid: u32,
    },
    /// An attempt of which it was told that it runs had not begun when its worker died or gave it back: it waits again,
    /// and `Started` is told again.
    Requeued {
        /// The attempt.
        attempt: AttemptId,
    },
    /// A worker printed something while it ran an attempt.
    Output {
        /// The attempt; `None` for what a worker printed before its first.
        attempt: Option<AttemptId>,
        /// Where to.
        stream: Stream,
        /// What, not necessarily whole lines or valid text.
        bytes: Vec<u8>,
    },
    /// A process that works for an attempt was stopped by a signal (SIGSTOP, say): the attempt does nothing until that is
    /// continued, or the attempt is interrupted, whose last step ends stopped processes too.
    ProcessStopped {
        /// The attempt.
        attempt: AttemptId,
        /// The process.
        pid: u32,
        /// The signal's number.
        signal: i32,
    },
    /// A process that was stopped goes on.
    ProcessContinued {
        /// The attempt.
        attempt: AttemptId,
        /// The process.
        pid: u32,
    },
    /// An attempt succeeded.
    Finished {
        /// The attempt.
        attempt: AttemptId,
        /// Its result.
        result: Data,
    },
    /// An attempt failed.
    Failed {
        /// The attempt.
        attempt: AttemptId,
        /// How.
        error: TaskError,
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
    /// An attempt has held the one thread of the green pool for long, so that no other could run; told once per attempt,
    /// while it still does.
    Blocked {
        /// The attempt.
        attempt: AttemptId,
        /// For how long, at least.
        held: Duration,
    },
    /// The pool can't go on: attempts that were submitted have failed, and so will others.
    Broken {
        /// Why.
        reason: String,
    },
}

impl PoolEvent {
    /// The end of an attempt.
    pub(crate) fn ended(attempt: AttemptId, outcome: TaskResult) -> PoolEvent {
        match outcome {
            Ok(result) => PoolEvent::Finished { attempt, result },
            Err(error) => PoolEvent::Failed { attempt, error },
        }
    }
}

/// Where a pool tells what happens: called on threads of the pool, with several events at a time, in their order.
pub type EventSink = Arc<dyn Fn(Vec<PoolEvent>) + Send + Sync>;

/// A place where attempts run.
///
/// A pool tells what happens to the [`EventSink`] that it was opened with. Dropping a pool ends what still runs in it.
pub trait Pool: Send {
    /// Hands over attempts; they start in this order as workers become free.
    fn submit(&self, attempts: Vec<Attempt>);

    /// Has the interpreter ready before the first Python task, where it is one for the whole pool and none was ready when the
    /// pool was opened.
    ///
    /// # Errors
    /// When the interpreter can't be used.
    fn start_python(&self, _opening: &Cancellation) -> Result<(), OpenError> {
        Ok(())
    }

    /// Asks an attempt to end. One that has not started fails at once; one that runs is interrupted, and where that is
    /// possible its worker is killed after the grace period. Nothing happens if it has ended.
    fn interrupt(&self, attempt: AttemptId);

    /// Gives up an attempt that did not end within the patience after its interrupt: nothing more is told of it, and
    /// where a thread is stuck in it, another one takes that one's place.
    fn give_up(&self, attempt: AttemptId);

    /// Interrupts every attempt that runs, by the pool's own account: one of which it has not been told yet that it has
    /// started is among them. What waits is run nevertheless.
    fn interrupt_running(&self);

    /// Takes no more attempts, waits for what runs until the deadline, then ends it; `true` if nothing is left.
    fn close(&mut self, deadline: Option<Instant>) -> bool;

    /// How long after an interrupt an attempt may still take to be reported as ended; one that takes longer can't be
    /// ended by this pool.
    fn patience(&self) -> Duration;

    /// How many workers there are now.
    fn workers(&self) -> usize;
}
