//! [`Order`]: a process that a warm interpreter was asked for; [`Spare`]: one that it forks in advance.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

use nix::unistd::Pid;
use pushflow_os::SeqPacket;

use super::super::client::ProcessKey;
use crate::messages::{ProcessSource, StartRequest, WORKER_PID};

/// A process that a warm interpreter was asked for.
pub(crate) struct Order {
    /// The process.
    pub(crate) id: ProcessKey,
    /// The request of the client, from which the process can be started by `exec` instead.
    pub(crate) request: StartRequest,
    pub(crate) files: Vec<OwnedFd>,
    /// The socket on which the keeper sends its pid, and then reports.
    pub(crate) reports: SeqPacket,
    /// The pid of the warm interpreter.
    pub(crate) program: Pid,
    /// The time at which the order is overdue.
    pub(super) due: Instant,
}

/// A process that a warm interpreter forks before it is ordered.
pub(super) struct Spare {
    /// The socket on which the keeper sends its pid, and then reports.
    pub(super) reports: SeqPacket,
    /// The pid of its keeper; `None` until the keeper has sent it.
    pub(super) keeper: Option<Pid>,
    /// The time at which the pid of the keeper is overdue.
    pub(super) due: Instant,
}

impl Order {
    /// Sends the forked process its name, the pid of its worker, and its files.
    pub(crate) fn hand_over(&self) -> io::Result<()> {
        let ProcessSource::Warm(warm) = &self.request.source else { return Err(io::ErrorKind::InvalidInput.into()) };
        let worker = self.request.environment.iter().rfind(|(name, _)| name == WORKER_PID);
        let worker = worker.and_then(|(_, pid)| pid.as_deref()).unwrap_or(OsStr::new(""));
        let files: Vec<BorrowedFd<'_>> = self.files.iter().map(AsFd::as_fd).collect();
        self.reports.send(&texts(&[warm.name.as_bytes(), worker.as_bytes()]), &files, false)
    }
}

/// A message of texts, each of which ends with a zero byte.
pub(super) fn texts(texts: &[&[u8]]) -> Vec<u8> {
    texts.iter().flat_map(|text| text.iter().copied().chain([0])).collect()
}
