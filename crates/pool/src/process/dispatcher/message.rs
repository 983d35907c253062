//! What the dispatcher is told and what it asks for.

use std::time::Duration;

use nix::sys::signal::Signal;
use pushflow_protocol::{AttemptId, Exit, TaskError};
use pushflow_value::Data;

use crate::attempt::{Attempt, PoolEvent, Stream};

/// Names a worker of the pool; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::process) struct WorkerId(pub(in crate::process) u64);

/// What the dispatcher is told once.
#[derive(Clone, Debug)]
pub(in crate::process) struct Rules {
    pub(in crate::process) max_workers: usize,
    pub(in crate::process) scaling: bool,
    pub(in crate::process) interrupt_grace: Duration,
    pub(in crate::process) idle_timeout: Duration,
    pub(in crate::process) start_timeout: Duration,
}

/// What happened.
#[derive(Debug)]
pub(in crate::process) enum Event {
    /// Attempts to run.
    Submit(Vec<Attempt>),
    /// An attempt is to end.
    Interrupt(AttemptId),
    /// No more attempts will come.
    Close,
    /// What still runs is to be ended.
    Abort,
    /// The worker's process runs.
    Started { worker: WorkerId, pid: u32 },
    /// The worker could not be started, or is not one; it is to be ended.
    Refused { worker: WorkerId, reason: String, fatal: bool },
    /// The worker waits for attempts.
    Ready { worker: WorkerId },
    /// The worker's attempt succeeded.
    Finished { worker: WorkerId, attempt: AttemptId, result: Data, marked: bool },
    /// The worker's attempt failed.
    Failed { worker: WorkerId, attempt: AttemptId, error: TaskError },
    /// The attempt was never sent, since its inputs can't be.
    NotSent { worker: WorkerId, attempt: AttemptId, error: TaskError },
    /// Nothing more comes over the worker's channel.
    ChannelClosed { worker: WorkerId, garbage: Option<String> },
    /// The worker printed something, during the oldest attempt whose output has not ended yet.
    Output { worker: WorkerId, stream: Stream, bytes: Vec<u8> },
    /// What the worker printed during this attempt ends here.
    OutputEnd { worker: WorkerId, stream: Stream, attempt: AttemptId },
    /// What the dead worker had printed has been read.
    OutputDrained { worker: WorkerId },
    /// The worker's process has ended.
    Exited { worker: WorkerId, exit: Exit, peak_memory_kib: u64 },
    /// Processes of another user that the worker started can't be ended.
    Unkillable { pids: Vec<u32> },
    /// Nothing of the worker is left.
    Gone { worker: WorkerId },
    /// The guardian was killed, and with it every worker.
    GuardianLost { pid: u32 },
    /// Nothing but that time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug)]
pub(in crate::process) enum Action {
    /// Start a worker.
    Start(WorkerId),
    /// Give it an attempt.
    Run { worker: WorkerId, attempt: Attempt },
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
