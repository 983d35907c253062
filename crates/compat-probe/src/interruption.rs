//! [`Interruption`]: SIGINT or SIGTERM in the middle; nothing is left running then.
//!
//! A thread hears the signals. The first one ends a pipe, which every wait of the probe looks at too: whoever waits for a
//! process kills it and comes back. So what is known so far can be told, and the exit code says which signal it was.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use nix::sys::signal::Signal;
use pushflow_os::{SignalWatch, signal_pipe};

/// Whether the probe was interrupted.
pub(crate) struct Interruption {
    stopped: PipeReader,
    signal: Arc<AtomicU8>,
    _watches: [SignalWatch; 2],
}

impl Interruption {
    /// Hears the signals from now on.
    ///
    /// # Errors
    /// When there are no file descriptors or threads left.
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

    /// A file that is at its end once the probe was interrupted.
    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.stopped.as_fd()
    }
}

/// The thread's life: it ends with the first signal.
fn receive_signal(mut signals: PipeReader, running: PipeWriter, received: &AtomicU8) {
    let mut number = [0];
    if signals.read_exact(&mut number).is_ok() {
        received.store(number[0], Ordering::Release);
    }
    drop(running);
    // Where the pipe of signals ends, later ones would have no reader.
    std::mem::forget(signals);
}
