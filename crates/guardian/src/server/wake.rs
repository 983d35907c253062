//! What the guardian waits for.

use nix::unistd::Pid;

use super::client::{ClientId, ProcessKey};

/// What a wait was for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WakeReason {
    Client(ClientId),
    SchedulerEnded,
    ChildEnded,
    Keeper(ProcessKey),
    Drain(ProcessKey),
    Warm(Pid),
    Order(ProcessKey),
    Spare(Pid),
}
