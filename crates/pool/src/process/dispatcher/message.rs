//! The messages of the dispatcher: its rules, the events that it handles, and the actions that it asks for.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use pushflow_model::{AttemptId, Data, Exit, TaskError};

use crate::attempt::{Attempt, PoolEvent, Stream};

/// How many workers in a row may end before they are ready.
pub(crate) const MAX_FAILED_STARTS: u32 = 3;

/// The number of a worker of the pool; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WorkerId(pub(crate) u64);

/// The options of a pool as the dispatcher needs them.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) max_workers: usize,
    pub(crate) scaling: bool,
    pub(crate) interrupt_grace: Duration,
    pub(crate) idle_timeout: Duration,
    /// How many attempts a worker may run before it is replaced.
    pub(crate) max_tasks: usize,
    pub(crate) start_timeout: Duration,
    /// The Python interpreter that a worker starts before it is ready.
    pub(crate) interpreter: Option<PathBuf>,
    pub(crate) wait_on_exit: bool,
    pub(crate) interrupt_on_exit: bool,
    /// How many workers may end before they start an attempt that was assigned to them.
    pub(crate) max_losses_before_start: u8,
}

impl Rules {
    /// The error of a worker that was not ready within `start_timeout`.
    pub(super) fn not_ready(&self) -> String {
        let seconds = self.start_timeout.as_secs_f64();
        match &self.interpreter {
            Some(interpreter) => {
                let interpreter = interpreter.display();
                format!("it, or its Python interpreter {interpreter}, was not ready within {seconds} s")
            }
            None => format!("it was not ready within {seconds} s"),
        }
    }
}

/// An event: a request of the pool's owner, or a report about a worker.
#[derive(Debug)]
pub(crate) enum Event {
    /// Attempts to run.
    Submit(Vec<Attempt>),
    /// An attempt is to end.
    Interrupt(AttemptId),
    /// Every running attempt is to end; waiting attempts are run nevertheless.
    InterruptRunning,
    /// No more attempts will come.
    Close,
    /// The process that has the pool exits, or drops the pool. With `terminate`, workers with running attempts get
    /// SIGTERM, and the attempts get their grace.
    Exit { terminate: bool },
    /// Every worker gets SIGTERM. Nothing is done if it does not end.
    Terminate,
    /// Every worker is to be ended.
    Abort,
    /// The worker's process runs.
    Started { worker: WorkerId, pid: u32 },
    /// The worker could not be started, or its process is no worker of this build; it is to be ended.
    Refused { worker: WorkerId, reason: String, fatal: bool },
    /// Nothing can be sent to the worker any more, for this reason; it is to be ended.
    Unreachable { worker: WorkerId, reason: String },
    /// The worker waits for attempts. This event may come before `Started`, and after `Exited`.
    Ready { worker: WorkerId, pid: u32 },
    /// The worker's attempt succeeded; with `marked`, a marker ends what it printed.
    Finished { worker: WorkerId, attempt: AttemptId, result: Data, marked: bool },
    /// The worker's attempt failed; `marked` as above.
    Failed { worker: WorkerId, attempt: AttemptId, error: TaskError, marked: bool },
    /// The attempt was never sent, since it can't be encoded.
    NotSent { worker: WorkerId, attempt: AttemptId, error: TaskError },
    /// No more messages come over the worker's channel; `garbage` says why, if they could not be read.
    ChannelClosed { worker: WorkerId, garbage: Option<String> },
    /// The worker had not started these attempts, and has forgotten them.
    GivenBack { worker: WorkerId, attempts: Vec<AttemptId> },
    /// The worker printed something, during this attempt; `None` before its first attempt.
    Output { worker: WorkerId, stream: Stream, attempt: Option<AttemptId>, bytes: Vec<u8> },
    /// The output of the worker during this attempt has been read to its end.
    OutputEnd { worker: WorkerId, stream: Stream, attempt: AttemptId },
    /// The output of the worker, which has exited, has been read to its end.
    OutputDrained { worker: WorkerId },
    /// The worker's process has exited; `begun` is the last attempt that it started.
    Exited { worker: WorkerId, exit: Exit, peak_memory_kib: u64, begun: Option<AttemptId> },
    /// Processes of another user that the worker started can't be ended.
    Unkillable { pids: Vec<u32> },
    /// The worker, or a process that works for it, was stopped by this signal.
    Stopped { worker: WorkerId, pid: u32, signal: i32 },
    /// A stopped process goes on.
    Continued { worker: WorkerId, pid: u32 },
    /// No process of the worker's tree is left.
    Reaped { worker: WorkerId },
    /// The guardian was killed, and with it every worker.
    GuardianLost { pid: u32 },
    /// Time has passed.
    Tick,
}

/// An action that the dispatcher asks for.
#[derive(Debug)]
pub(crate) enum Action {
    /// Start a worker.
    Start(WorkerId),
    /// Send these attempts to the worker, which runs them in this order.
    Run { worker: WorkerId, attempts: Vec<Attempt> },
    /// Ask the worker to give back those of these attempts that it has not started.
    AskBack { worker: WorkerId, attempts: Vec<AttemptId> },
    /// Ask the worker to interrupt the attempt.
    Interrupt { worker: WorkerId, attempt: AttemptId },
    /// Close the worker's channel, so that it leaves.
    Dismiss(WorkerId),
    /// Send a signal to the worker's process group.
    Signal(WorkerId, Signal),
    /// End the worker's process tree.
    End(WorkerId),
    /// Read the output that the worker left in its pipes, without waiting for more.
    DrainOutput(WorkerId),
    /// Report this to the pool's owner.
    Report(PoolEvent),
}
