//! [`Interruption`]: whether SIGINT or SIGTERM has interrupted the probe.
//!
//! The thread `probe-signals` receives the signals. At the first signal it closes the writing end of a pipe. Each thread
//! that waits for a child polls the reading end as well; it then kills its child and returns. So no process is left, the
//! probe can report its results so far, and its exit code names the signal.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use nix::sys::signal::Signal;
use pushflow_os::{SignalWatch, signal_pipe};

/// The signal that interrupted the probe, if there was one.
pub(crate) struct Interruption {
    stopped: PipeReader,
    signal: Arc<AtomicU8>,
    _watches: [SignalWatch; 2],
}

impl Interruption {
    /// Watches for the signals from now on.
    ///
    /// # Errors
    /// When no pipe or thread can be made, or another part of this process receives the signals.
    pub(crate) fn watch() -> io::Result<Interruption> {
        let signals = signal_pipe()?.ok_or_else(|| io::Error::other("signals are heard by somebody else"))?;
        let (stopped, running) = io::pipe()?;
        let signal = Arc::<AtomicU8>::default();
        let received = signal.clone();
        let receive_signal = move || receive_signal(signals, running, &received);
        std::thread::Builder::new().name("probe-signals".into()).spawn(receive_signal)?;
        let watches = [SignalWatch::start(Signal::SIGINT)?, SignalWatch::start(Signal::SIGTERM)?];
        Ok(Interruption { stopped, signal, _watches: watches })
    }

    /// The number of the signal, if there was one.
    pub(crate) fn signal(&self) -> Option<u8> {
        Some(self.signal.load(Ordering::Acquire)).filter(|&number| number != 0)
    }

    /// A file that becomes readable (at its end) once the probe was interrupted.
    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.stopped.as_fd()
    }
}

/// Waits for the first signal, stores its number and closes `running`.
fn receive_signal(mut signals: PipeReader, running: PipeWriter, received: &AtomicU8) {
    let mut number = [0];
    if signals.read_exact(&mut number).is_ok() {
        received.store(number[0], Ordering::Release);
    }
    drop(running);
    // The reading end stays open: the handler of a later signal must not write to a pipe without a reader.
    std::mem::forget(signals);
}
