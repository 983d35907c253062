//! [`Interrupter`]: how another thread interrupts a running attempt, whatever the attempt waits for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use pushflow_green::{Cancellation, Wakes};

use crate::launch::Child;

/// Interrupts one attempt: wakes its waits inside this process, and sends SIGINT to the process that works for it.
///
/// Each attempt has one of its own. A clone interrupts the same attempt.
///
/// ```
/// use std::time::Duration;
/// use pushflow_guardian::{Interrupted, Interrupter};
///
/// let interrupter = Interrupter::new();
/// let other = interrupter.clone();
/// std::thread::spawn(move || other.interrupt());
/// assert_eq!(interrupter.sleep(Duration::from_secs(3600)), Err(Interrupted));
/// ```
#[derive(Clone, Default)]
pub struct Interrupter(Arc<InterrupterState>);

#[derive(Default)]
struct InterrupterState {
    cancellation: Cancellation,
    /// Locked while a signal is sent and while the target changes: after the drop of a [`RegisteredChild`] its process
    /// gets no signal.
    target: Mutex<InterruptTarget>,
}

#[derive(Default)]
struct InterruptTarget {
    child: Option<Arc<dyn Child>>,
    /// A signal that was requested while no process was registered. The next process that is registered gets it.
    missed: Option<Signal>,
}

/// A wait ended because the attempt was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the attempt was interrupted")]
pub struct Interrupted;

impl Interrupter {
    /// The interrupter of a new attempt.
    pub fn new() -> Self {
        Self::default()
    }

    /// Interrupts the attempt, now or as soon as it waits. A second call does nothing.
    pub fn interrupt(&self) {
        let target = self.target();
        if self.is_interrupted() {
            return;
        }
        self.0.cancellation.cancel();
        if let Some(child) = &target.child {
            deliver(child.as_ref(), Signal::SIGINT);
        }
    }

    /// Kills the process that works for the attempt, now or as soon as it is registered. For an attempt that an
    /// interrupt has not ended.
    pub fn kill(&self) {
        self.insist(Signal::SIGKILL);
    }

    /// Sends SIGTERM to the process that works for the attempt, now or as soon as it is registered.
    pub fn terminate(&self) {
        self.insist(Signal::SIGTERM);
    }

    /// Sends a signal now, or keeps it for the next process. A kept SIGKILL is not replaced.
    fn insist(&self, signal: Signal) {
        let mut target = self.target();
        match &target.child {
            Some(child) => deliver(child.as_ref(), signal),
            None if target.missed != Some(Signal::SIGKILL) => target.missed = Some(signal),
            None => {}
        }
    }

    /// Whether the attempt was interrupted.
    pub fn is_interrupted(&self) -> bool {
        self.0.cancellation.is_cancelled()
    }

    /// The cancellation that a Rust task sees. To cancel it alone sends no signal.
    pub fn cancellation(&self) -> &Cancellation {
        &self.0.cancellation
    }

    /// Sleeps, and wakes at once when the attempt is interrupted.
    ///
    /// # Errors
    /// When the attempt was interrupted, before or during the sleep.
    pub fn sleep(&self, duration: Duration) -> Result<(), Interrupted> {
        if self.0.cancellation.wait_timeout(duration) { Err(Interrupted) } else { Ok(()) }
    }

    /// Registers the process that works for this attempt. Until the result is dropped, an interrupt sends it SIGINT.
    ///
    /// If the attempt was interrupted before, the process gets SIGINT at once. An attempt has one such process at a
    /// time.
    pub fn register(&self, child: Arc<dyn Child>) -> RegisteredChild<'_> {
        let mut target = self.target();
        debug_assert!(target.child.is_none(), "an attempt waits for one process at a time");
        if self.is_interrupted() {
            deliver(child.as_ref(), Signal::SIGINT);
        }
        if let Some(missed) = target.missed.take() {
            deliver(child.as_ref(), missed);
        }
        target.child = Some(child);
        RegisteredChild(self)
    }

    fn target(&self) -> MutexGuard<'_, InterruptTarget> {
        self.0.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wakes for Interrupter {
    fn wake(&self) {
        self.interrupt();
    }
}

/// Sends a signal to a process. An error is only logged: the process has just ended, or belongs to another user, and
/// the grace of the caller ends the wait for either.
fn deliver(child: &dyn Child, signal: Signal) {
    if let Err(error) = child.signal(signal) {
        tracing::debug!(pid = child.pid(), %error, signal = signal.as_str(), "could not signal");
    }
}

/// The registration of a process. Until it is dropped, an interrupt reaches the process.
#[must_use = "interrupts reach the process only until this is dropped"]
pub struct RegisteredChild<'a>(&'a Interrupter);

impl Drop for RegisteredChild<'_> {
    fn drop(&mut self) {
        self.0.target().child = None;
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use pushflow_model::Exit;

    use super::*;

    #[derive(Default)]
    struct CountsSignals(AtomicUsize);

    impl Child for CountsSignals {
        fn pid(&self) -> u32 {
            0
        }
        fn signal(&self, _: Signal) -> io::Result<()> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        fn wait(&self, _: Option<Duration>) -> io::Result<Option<Exit>> {
            Ok(None)
        }
    }

    fn signals_of(script: impl FnOnce(&Interrupter, Arc<CountsSignals>)) -> usize {
        let child = Arc::new(CountsSignals::default());
        script(&Interrupter::new(), child.clone());
        child.0.load(Ordering::SeqCst)
    }

    #[test]
    fn a_registered_process_gets_exactly_one_signal() {
        let signals = signals_of(|interrupter, child| {
            let _guard = interrupter.register(child);
            interrupter.interrupt();
            interrupter.interrupt();
        });
        assert_eq!(signals, 1);
    }

    #[test]
    fn an_interrupt_before_the_process_is_registered_is_delivered_at_once() {
        let signals = signals_of(|interrupter, child| {
            interrupter.interrupt();
            drop(interrupter.register(child));
        });
        assert_eq!(signals, 1);
    }

    #[test]
    fn what_was_to_be_ended_before_it_was_registered_is_ended_at_once() {
        let signals = signals_of(|interrupter, child| {
            interrupter.kill();
            interrupter.terminate();
            drop(interrupter.register(child));
        });
        assert_eq!(signals, 1);
    }

    #[test]
    fn nothing_is_delivered_after_the_guard_is_gone() {
        let signals = signals_of(|interrupter, child| {
            drop(interrupter.register(child));
            interrupter.interrupt();
            assert!(interrupter.is_interrupted());
        });
        assert_eq!(signals, 0);
    }

    #[test]
    fn a_sleep_that_nobody_interrupts_ends_by_itself() {
        assert_eq!(Interrupter::new().sleep(Duration::from_millis(1)), Ok(()));
    }
}
