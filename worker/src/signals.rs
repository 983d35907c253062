//! Signals that somebody sends to a worker: SIGINT and SIGTERM.
//!
//! SIGINT interrupts the attempt that runs; an idle worker ignores it (`parity.md` P106). SIGTERM is passed on to the process
//! that works for the attempt, a command or an interpreter, which then ends in its own way; where there is none, it ends
//! the worker, as it ends any process that does not handle it.

use std::io::{self, PipeReader, Read};

use nix::sys::signal::{Signal, raise};
use pushflow_os::{SignalWatch, signal_pipe};

use crate::job_queue::JobQueue;

/// The signals, from now on heard by whoever holds this.
pub(crate) struct Signals {
    pipe: PipeReader,
    _interrupt: SignalWatch,
    terminate: SignalWatch,
}

impl Signals {
    /// # Errors
    /// When there are no file descriptors left.
    pub(crate) fn watch() -> io::Result<Signals> {
        let pipe = signal_pipe()?.ok_or_else(|| io::Error::other("signals are heard by somebody else"))?;
        let (interrupt, terminate) = (SignalWatch::start(Signal::SIGINT)?, SignalWatch::start(Signal::SIGTERM)?);
        Ok(Signals { pipe, _interrupt: interrupt, terminate })
    }

    /// The life of the thread that hears them.
    pub(crate) fn run(mut self, jobs: &JobQueue) {
        let mut number = [0];
        while self.pipe.read_exact(&mut number).is_ok() {
            match Signal::try_from(i32::from(number[0])) {
                Ok(Signal::SIGINT) => jobs.interrupt_running(),
                Ok(Signal::SIGTERM) if jobs.terminate_running() => {}
                Ok(Signal::SIGTERM) => {
                    drop(self.terminate);
                    raise(Signal::SIGTERM).ok();
                    return;
                }
                _ => {}
            }
        }
    }
}
