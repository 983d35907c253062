//! What the guardian waits for.

use nix::unistd::Pid;

use super::client::{ClientId, Key};

/// What a wait was for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    Client(ClientId),
    SchedulerEnded,
    ChildEnded,
    Keeper(Key),
    Drain(Key),
    Warm(Pid),
    Order(Key),
    Spare(Pid),
}
