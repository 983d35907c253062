//! [`Pool`]: the interface of every pool, with the attempts that it runs and the events that it reports.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pushflow_green::Cancellation;
use pushflow_model::{AttemptId, Data, Exit, TaskError, TaskSpec};

use crate::error::OpenError;

/// One execution of a task.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Unique among the attempts of the pool.
    pub id: AttemptId,
    /// The name of the actor whose task it is.
    pub actor: Arc<str>,
    /// The task.
    pub task: Arc<TaskSpec>,
    /// The arguments.
    pub inputs: Data,
}

/// The outcome of an attempt: the result of its task, or how it failed.
pub type TaskResult = Result<Data, TaskError>;

/// A standard stream of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// An event of a pool, about one of its attempts or workers.
///
/// Every attempt that was submitted ends in exactly one `Finished` or `Failed`.
#[derive(Clone, Debug)]
pub enum PoolEvent {
    /// An attempt runs. The event may come a millisecond late, together with the next one.
    Started {
        /// The attempt.
        attempt: AttemptId,
        /// The process in which it runs; on the thread and green pools, the scheduler's own.
        pid: u32,
    },
    /// An attempt whose start was reported had not started when its worker died or gave it back. It waits again, and
    /// its start is reported again.
    Requeued {
        /// The attempt.
        attempt: AttemptId,
    },
    /// A worker printed something while it ran an attempt.
    Output {
        /// The attempt; `None` before the worker's first attempt.
        attempt: Option<AttemptId>,
        /// The stream on which it was printed.
        stream: Stream,
        /// The printed bytes, not necessarily whole lines or valid text.
        bytes: Vec<u8>,
    },
    /// A signal stopped a process that works for an attempt (SIGSTOP, say). The attempt does nothing until the process
    /// is continued. An interrupt ends the attempt nevertheless: its last step ends stopped processes too.
    ProcessStopped {
        /// The attempt.
        attempt: AttemptId,
        /// The process.
        pid: u32,
        /// The signal's number.
        signal: i32,
    },
    /// A stopped process that works for an attempt goes on.
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
        /// How it failed.
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
        /// How it ended.
        exit: Exit,
    },
    /// An attempt holds the one thread of the green pool for long, so that no other attempt can run. Reported once per
    /// attempt, while it holds the thread.
    Blocked {
        /// The attempt.
        attempt: AttemptId,
        /// How long it has held the thread, at least.
        held: Duration,
    },
    /// The pool can't run attempts any more: the submitted ones have failed, and later ones will.
    Broken {
        /// The cause.
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

/// Receives the events of a pool. It is called on threads of the pool, with several events at a time, in their order.
pub type EventSink = Arc<dyn Fn(Vec<PoolEvent>) + Send + Sync>;

/// A place where attempts run.
///
/// A pool reports to the [`EventSink`] with which it was opened. A dropped pool ends its running attempts.
pub trait Pool: Send {
    /// Submits attempts, which start in this order as workers become free.
    fn submit(&self, attempts: Vec<Attempt>);

    /// Starts the Python interpreter before the first Python task, on pools that have one interpreter for all tasks and
    /// do not start it when they are opened.
    ///
    /// # Errors
    /// When the interpreter can't be used.
    fn start_python(&self, _opening: &Cancellation) -> Result<(), OpenError> {
        Ok(())
    }

    /// Asks an attempt to end. An attempt that has not started fails at once. A running attempt is interrupted; after
    /// the grace its worker is killed, where the pool can do that. Nothing happens if the attempt has ended.
    fn interrupt(&self, attempt: AttemptId);

    /// Gives up an attempt that did not end within the patience after its interrupt. Nothing more is reported about the
    /// attempt. If a thread is stuck in it, another thread takes that thread's place.
    fn give_up(&self, attempt: AttemptId);

    /// Interrupts every running attempt, also those whose start has not been reported yet. Waiting attempts are run
    /// nevertheless.
    fn interrupt_running(&self);

    /// Takes no more attempts, waits for the submitted ones until the deadline, then ends those that still run. Returns
    /// whether all have ended by the deadline.
    fn close(&mut self, deadline: Option<Instant>) -> bool;

    /// How long after an interrupt the end of the attempt may take to be reported. An attempt that takes longer can't
    /// be ended by this pool.
    fn patience(&self) -> Duration;

    /// How many workers there are now.
    fn workers(&self) -> usize;
}
