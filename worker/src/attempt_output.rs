//! [`AttemptOutput`]: which attempt printed what, and the files that attempts print to.
//!
//! Files 1 and 2 of a worker are pipes that the scheduler reads. The worker writes a marker into both pipes before it
//! replies for an attempt that has failed, or whose output the scheduler has not read and reported completely (see
//! [`marker`]). It writes through copies of its own, since a task may have closed files 1 and 2 or replaced them.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{dup2_stderr, dup2_stdout};
use pushflow_model::AttemptId;
use pushflow_os::{SharedWords, files};
use pushflow_protocol::{CURRENT_ATTEMPT, UNREPORTED_OUTPUT, marker};

/// The worker's own ends of the pipes that its tasks print to.
pub(crate) struct AttemptOutput {
    pipes: [File; 2],
    /// The token of this pool's markers.
    token: String,
    shared: Arc<SharedWords>,
}

impl AttemptOutput {
    /// For the files that this process prints to now.
    ///
    /// # Errors
    /// When there are no file descriptors left.
    pub(crate) fn new(token: String, shared: Arc<SharedWords>) -> io::Result<AttemptOutput> {
        let pipes = [
            File::from(io::stdout().as_fd().try_clone_to_owned()?),
            File::from(io::stderr().as_fd().try_clone_to_owned()?),
        ];
        Ok(AttemptOutput { pipes, token, shared })
    }

    /// The attempt begins: output from here on is its own.
    pub(crate) fn begin(&self, attempt: AttemptId) {
        self.shared.word(CURRENT_ATTEMPT).store(attempt.0, Ordering::Release);
    }

    /// Flushes all buffers, and undoes what the task did to files 1 and 2.
    fn flush(&self) {
        let [stdout, stderr] = &self.pipes;
        // The buffers must be flushed whole, so a write to a full pipe must wait. A program that a task ran may have made
        // the pipe non-blocking, which holds for every process that has it.
        self.pipes.iter().for_each(make_blocking);
        flush();
        // If this fails, the next attempt prints to nowhere, as any program does whose output was closed.
        dup2_stdout(stdout).ok();
        dup2_stderr(stderr).ok();
    }

    /// Writes the markers if the scheduler has not yet reported all output of this attempt. Returns whether it wrote
    /// them. [`marker`] says why the pipes are checked before the shared words.
    pub(crate) fn end_if_in_transit(&mut self, attempt: AttemptId) -> bool {
        self.flush();
        let unread = self.pipes.iter().any(|pipe| files::bytes_readable(pipe).is_ok_and(|count| count > 0));
        let in_transit =
            unread || UNREPORTED_OUTPUT.iter().any(|&word| self.shared.word(word).load(Ordering::Acquire) != 0);
        in_transit && self.mark_end(attempt)
    }

    /// Writes the markers. Returns whether that was possible.
    pub(crate) fn end(&mut self, attempt: AttemptId) -> bool {
        self.flush();
        self.mark_end(attempt)
    }

    fn mark_end(&mut self, attempt: AttemptId) -> bool {
        let marker = marker::end_of_attempt(&self.token, attempt);
        // Both are written, also when the first fails.
        self.pipes.iter_mut().map(|pipe| write_marker(pipe, &marker)).fold(true, |all, marked| all & marked)
    }
}

/// Flushes the buffers of Rust and of C. A task that has closed its standard output loses what is still in them.
fn flush() {
    io::stdout().flush().ok();
    files::flush_c_streams();
}

/// Makes writes to this pipe block while it is full, also after a task has changed that.
fn make_blocking(pipe: &File) {
    // If this fails, so does the write that follows.
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::empty())).ok();
}

/// Writes a marker, wholly or not at all, and returns whether it did. It fails when the scheduler has ended; then no
/// process needs the marker.
fn write_marker(pipe: &mut File, marker: &[u8]) -> bool {
    loop {
        match pipe.write_all(marker) {
            Ok(()) => return true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => make_blocking(pipe),
            Err(_) => return false,
        }
    }
}
