//! [`Cancellation`]: a request to end one attempt.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::monitor::Monitor;

/// A request to end one attempt, shared by the side that asks and the side that is asked. A request that was made stays
/// made.
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<Request>);

#[derive(Default)]
struct Request {
    /// Shared with the scheduler of a green task, which reads it alone.
    made: Arc<AtomicBool>,
    /// `made` changes behind the lock of the gate, so that no waiter misses the change between its look and its wait.
    gate: Monitor<()>,
    /// Waiters for other events, which are woken once when the request is made.
    others: Mutex<Vec<Weak<dyn Wakes>>>,
}

/// A waiter for another event that a cancellation wakes too.
pub trait Wakes: Send + Sync {
    /// Wakes the waiter: the request was made.
    fn wake(&self);
}

impl<T: Send + 'static> Wakes for Monitor<T> {
    fn wake(&self) {
        self.change(|_| ());
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Request").field(&self.made).finish()
    }
}

impl Cancellation {
    /// A request that nobody has made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the request, and wakes all waiters. A second call does nothing.
    pub fn cancel(&self) {
        self.0.gate.change(|()| self.0.made.store(true, Ordering::Release));
        let others = std::mem::take(&mut *self.0.others.lock().unwrap_or_else(PoisonError::into_inner));
        others.iter().filter_map(Weak::upgrade).for_each(|other| other.wake());
    }

    /// Wakes `other` once when the request is made, unless it was dropped before; at once if the request was made
    /// already.
    pub fn wakes<W: Wakes + 'static>(&self, other: &Arc<W>) {
        let mut others = self.0.others.lock().unwrap_or_else(PoisonError::into_inner);
        if others.len() == others.capacity() {
            // An attempt may open many pools one after the other, each of which leaves a waiter here.
            others.retain(|other| other.strong_count() > 0);
        }
        let other: Weak<W> = Arc::downgrade(other);
        others.push(other);
        drop(others);
        if self.is_cancelled() {
            self.cancel();
        }
    }

    /// Whether the request was made; cheap enough for an inner loop.
    pub fn is_cancelled(&self) -> bool {
        self.0.made.load(Ordering::Acquire)
    }

    /// The flag that is set when the request is made.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        self.0.made.clone()
    }

    /// Waits until the request is made, at most `limit`; returns whether it was made. A green task lets others run
    /// meanwhile.
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        // A limit beyond the range of `Instant` is no limit.
        let deadline = Instant::now().checked_add(limit);
        self.0.gate.wait(deadline, |()| self.is_cancelled().then_some(())).is_some()
    }
}

/// The attempt was asked to end: the error that a task returns, by `?`, to comply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the attempt was cancelled")]
pub struct Cancelled;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_that_was_dropped_takes_no_memory() {
        let cancellation = Cancellation::new();
        let stays = Arc::new(Monitor::new(0));
        cancellation.wakes(&stays);
        for _ in 0..10_000 {
            cancellation.wakes(&Arc::new(Monitor::new(())));
        }
        let others = cancellation.0.others.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(others.len() < 100, "{} are kept", others.len());
        assert!(others.iter().any(|other| other.strong_count() > 0), "a waiter is forgotten");
    }
}
