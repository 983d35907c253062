//! [`WakeReason`]: the files that the guardian waits for.

use nix::unistd::Pid;

use super::client::{ClientId, ProcessKey};

/// Which file has ended a wait of the guardian.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WakeReason {
    /// The socket of this client.
    Client(ClientId),
    /// The pidfd of the scheduler.
    SchedulerEnded,
    /// The signalfd for SIGCHLD.
    ChildEnded,
    /// The socket of the keeper of this process.
    Keeper(ProcessKey),
    /// A pipe of this process, to be emptied.
    Drain(ProcessKey),
    /// The socket of the warm interpreter with this pid.
    Warm(Pid),
    /// The socket on which the keeper for this order will report.
    Order(ProcessKey),
    /// The socket on which the keeper of a spare of the warm interpreter with this pid will report.
    Spare(Pid),
}
