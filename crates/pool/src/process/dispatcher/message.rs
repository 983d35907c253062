//! What the dispatcher is told and what it asks for.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use pushflow_model::{AttemptId, Data, Exit, TaskError};

use crate::attempt::{Attempt, PoolEvent, Stream};

/// How many workers in a row may end before they are ready.
pub(crate) const MAX_FAILED_STARTS: u32 = 3;

/// Names a worker of the pool; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WorkerId(pub(crate) u64);

/// What the dispatcher is told once.
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
    /// How many workers may end before they begin an attempt that they were given.
    pub(crate) max_losses_before_start: u8,
}

impl Rules {
    /// Why a worker that takes longer than it may to start has failed.
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

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// Attempts to run.
    Submit(Vec<Attempt>),
    /// An attempt is to end.
    Interrupt(AttemptId),
    /// Every attempt that runs is to end; what waits is run nevertheless.
    InterruptRunning,
    /// No more attempts will come.
    Close,
    /// The process that has the pool exits, or drops the pool; with `terminate`, what runs gets SIGTERM, and its grace.
    Exit { terminate: bool },
    /// What runs gets SIGTERM, and whatever time it takes then.
    Terminate,
    /// What still runs is to be ended.
    Abort,
    /// The worker's process runs.
    Started { worker: WorkerId, pid: u32 },
    /// The worker could not be started, or is not one; it is to be ended.
    Refused { worker: WorkerId, reason: String, fatal: bool },
    /// Nothing can be sent to the worker any more, for this reason; it is to be ended.
    Unreachable { worker: WorkerId, reason: String },
    /// The worker waits for attempts; it may be heard before its keeper, and after its end.
    Ready { worker: WorkerId, pid: u32 },
    /// The worker's attempt succeeded; with `marked`, a marker ends what it printed.
    Finished { worker: WorkerId, attempt: AttemptId, result: Data, marked: bool },
    /// The worker's attempt failed; `marked` as above.
    Failed { worker: WorkerId, attempt: AttemptId, error: TaskError, marked: bool },
    /// The attempt was never sent, since its inputs can't be.
    NotSent { worker: WorkerId, attempt: AttemptId, error: TaskError },
    /// Nothing more comes over the worker's channel.
    ChannelClosed { worker: WorkerId, garbage: Option<String> },
    /// The worker had not begun these, and has forgotten them.
    GivenBack { worker: WorkerId, attempts: Vec<AttemptId> },
    /// The worker printed something, during this attempt; before its first if there is none.
    Output { worker: WorkerId, stream: Stream, attempt: Option<AttemptId>, bytes: Vec<u8> },
    /// What the worker printed during this attempt has been read to its end.
    OutputEnd { worker: WorkerId, stream: Stream, attempt: AttemptId },
    /// What the dead worker had printed has been read.
    OutputDrained { worker: WorkerId },
    /// The worker's process has ended; `begun` is the last attempt that it began.
    Exited { worker: WorkerId, exit: Exit, peak_memory_kib: u64, begun: Option<AttemptId> },
    /// Processes of another user that the worker started can't be ended.
    Unkillable { pids: Vec<u32> },
    /// The worker, or a process that works for it, was stopped by this signal.
    Stopped { worker: WorkerId, pid: u32, signal: i32 },
    /// What was stopped goes on.
    Continued { worker: WorkerId, pid: u32 },
    /// Nothing of the worker is left.
    Reaped { worker: WorkerId },
    /// The guardian was killed, and with it every worker.
    GuardianLost { pid: u32 },
    /// Nothing but that time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Action {
    /// Start a worker.
    Start(WorkerId),
    /// Give it these attempts, to be run in this order.
    Run { worker: WorkerId, attempts: Vec<Attempt> },
    /// Ask it to give back those of these that it has not begun.
    AskBack { worker: WorkerId, attempts: Vec<AttemptId> },
    /// Ask it to interrupt the attempt.
    Interrupt { worker: WorkerId, attempt: AttemptId },
    /// Close its channel, so that it leaves.
    Dismiss(WorkerId),
    /// Send a signal to its process group.
    Signal(WorkerId, Signal),
    /// End its tree.
    End(WorkerId),
    /// Read what it has printed, without waiting for more.
    DrainOutput(WorkerId),
    /// Tell the pool's owner.
    Report(PoolEvent),
}
