//! [`Signals`]: what a worker does on SIGINT and SIGTERM.
//!
//! SIGINT interrupts the attempt that runs; an idle worker ignores it (`docs/parity.md` P106). SIGTERM is passed on to
//! the process of the attempt, a command or an interpreter, which ends in its own way. If there is no such process,
//! SIGTERM ends the worker, as it ends any process that does not handle it.

use std::io::{self, PipeReader, Read};

use nix::sys::signal::{Signal, raise};
use pushflow_os::{SignalWatch, signal_pipe};

use crate::job_queue::JobQueue;

/// The two signals, which are caught as long as this exists.
pub(crate) struct Signals {
    pipe: PipeReader,
    _interrupt: SignalWatch,
    terminate: SignalWatch,
}

impl Signals {
    /// Catches the two signals from now on.
    ///
    /// # Errors
    /// When there are no file descriptors left.
    pub(crate) fn watch() -> io::Result<Signals> {
        let pipe = signal_pipe()?
            .ok_or_else(|| io::Error::other("the signals of this process are watched by something else"))?;
        let (interrupt, terminate) = (SignalWatch::start(Signal::SIGINT)?, SignalWatch::start(Signal::SIGTERM)?);
        Ok(Signals { pipe, _interrupt: interrupt, terminate })
    }

    /// Runs the thread that acts on the signals.
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
