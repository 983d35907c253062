//! [`AttemptOutput`]: which attempt printed what, and the files that attempts print to.
//!
//! Files 1 and 2 are pipes that the scheduler reads. Before the answer of an attempt of whose output something is still on
//! its way, the worker writes a marker into both, through copies of its own: a task may have closed theirs or put
//! something else there.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{dup2_stderr, dup2_stdout};
use pushflow_os::{SharedWords, files};
use pushflow_protocol::{AttemptId, CURRENT_ATTEMPT, UNREPORTED_OUTPUT, marker};

/// The worker's own ends of the pipes that its tasks print to.
pub(crate) struct AttemptOutput {
    pipes: [File; 2],
    token: String,
    shared: Arc<SharedWords>,
}

impl AttemptOutput {
    pub(crate) fn new(token: String, shared: Arc<SharedWords>) -> io::Result<AttemptOutput> {
        let pipes = [
            File::from(io::stdout().as_fd().try_clone_to_owned()?),
            File::from(io::stderr().as_fd().try_clone_to_owned()?),
        ];
        Ok(AttemptOutput { pipes, token, shared })
    }

    /// From here on what is printed belongs to this attempt.
    pub(crate) fn begin(&self, attempt: AttemptId) {
        self.shared.word(CURRENT_ATTEMPT).store(attempt.0, Ordering::Release);
    }

    /// Writes out what was printed, and undoes what a task did to the files that it prints to.
    fn flush(&self) {
        let [stdout, stderr] = &self.pipes;
        // Who prints to a full pipe waits: a program that a task ran may have had it otherwise, for all of us.
        self.pipes.iter().for_each(wait_for_room);
        flush();
        // Without them the next attempt prints to nowhere, as a program does whose output was closed.
        dup2_stdout(stdout).ok();
        dup2_stderr(stderr).ok();
    }

    /// Marks the end of what this attempt printed if some of it is on its way: whether it was so, and could be marked. See
    /// [`marker`], also for the order.
    pub(crate) fn end_if_in_transit(&mut self, attempt: AttemptId) -> bool {
        self.flush();
        let unread = self.pipes.iter().any(|pipe| files::bytes_readable(pipe).is_ok_and(|count| count > 0));
        let in_transit =
            unread || UNREPORTED_OUTPUT.iter().any(|&word| self.shared.word(word).load(Ordering::Acquire) != 0);
        in_transit && self.mark_end(attempt)
    }

    /// Marks the end of what this attempt printed: whether that was possible.
    pub(crate) fn end(&mut self, attempt: AttemptId) -> bool {
        self.flush();
        self.mark_end(attempt)
    }

    fn mark_end(&mut self, attempt: AttemptId) -> bool {
        let marker = marker::end_of_attempt(&self.token, attempt);
        // Into both, whatever becomes of the first.
        self.pipes.iter_mut().map(|pipe| write_marker(pipe, &marker)).fold(true, |all, marked| all & marked)
    }
}

/// A task may have closed its standard output: what it could not print is its own loss.
fn flush() {
    io::stdout().flush().ok();
    files::flush_c_streams();
}

/// What is written to this pipe waits for room in it, whatever a task has asked for.
fn wait_for_room(pipe: &File) {
    // A task may have closed it, too, which is seen by what is written next.
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::empty())).ok();
}

/// Whether it was written, which it is whole or not at all. Without a scheduler nobody reads it, and nobody needs it.
fn write_marker(pipe: &mut File, marker: &[u8]) -> bool {
    loop {
        match pipe.write_all(marker) {
            Ok(()) => return true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_for_room(pipe),
            Err(_) => return false,
        }
    }
}
