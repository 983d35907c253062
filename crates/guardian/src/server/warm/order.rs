//! A process that a warm interpreter is asked for, and one that it makes in advance.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

use nix::unistd::Pid;
use pushflow_os::SeqPacket;

use super::super::client::ProcessKey;
use crate::messages::{ProcessSource, StartRequest, WORKER_PID};

/// A process to be made.
pub(crate) struct Order {
    pub(crate) id: ProcessKey,
    pub(crate) request: StartRequest,
    pub(crate) files: Vec<OwnedFd>,
    /// Where its keeper says its pid, and reports.
    pub(crate) reports: SeqPacket,
    /// The warm interpreter.
    pub(crate) program: Pid,
    pub(super) due: Instant,
}

/// A process that is made before it is ordered.
pub(super) struct Spare {
    pub(super) reports: SeqPacket,
    /// Its keeper, once that has said so.
    pub(super) keeper: Option<Pid>,
    pub(super) due: Instant,
}

impl Order {
    /// Sends a process that was made what it is to be, and the worker's files.
    pub(crate) fn hand_over(&self) -> io::Result<()> {
        let ProcessSource::Warm(warm) = &self.request.source else { return Err(io::ErrorKind::InvalidInput.into()) };
        let worker = self.request.environment.iter().rfind(|(name, _)| name == WORKER_PID);
        let worker = worker.and_then(|(_, pid)| pid.as_deref()).unwrap_or(OsStr::new(""));
        let files: Vec<BorrowedFd<'_>> = self.files.iter().map(AsFd::as_fd).collect();
        self.reports.send(&texts(&[warm.name.as_bytes(), worker.as_bytes()]), &files, false)
    }
}

/// Texts in a message, each ended by a zero byte.
pub(super) fn texts(texts: &[&[u8]]) -> Vec<u8> {
    texts.iter().flat_map(|text| text.iter().copied().chain([0])).collect()
}
