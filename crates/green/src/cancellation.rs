//! [`Cancellation`]: a request to end one attempt.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::monitor::Monitor;

/// A request to end one attempt, shared by who asks and who is asked; once made it stays.
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<Request>);

#[derive(Default)]
struct Request {
    /// Shared with the scheduler of a green task, which reads it alone.
    made: Arc<AtomicBool>,
    /// `made` changes behind its lock, so that no sleeper misses the change between its look and its wait.
    gate: Monitor<()>,
    /// Woken once, when the request is made: what waits for something else too.
    others: Mutex<Vec<Weak<dyn Wakes>>>,
}

/// What waits for something, and a cancellation too.
pub trait Wakes: Send + Sync {
    /// The request was made.
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

    /// Makes the request, and wakes all who wait for it; a second time does nothing.
    pub fn cancel(&self) {
        self.0.gate.change(|()| self.0.made.store(true, Ordering::Release));
        let others = std::mem::take(&mut *self.0.others.lock().unwrap_or_else(PoisonError::into_inner));
        others.iter().filter_map(Weak::upgrade).for_each(|other| other.wake());
    }

    /// Has this woken, once, when the request is made, if it is still there by then; at once if it was made.
    pub fn wakes<W: Wakes + 'static>(&self, other: &Arc<W>) {
        let mut others = self.0.others.lock().unwrap_or_else(PoisonError::into_inner);
        if others.len() == others.capacity() {
            // An attempt may open one pool after the other.
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

    /// Waits until the request is made, at most `limit`; says whether it was made. A green task lets
    /// others run meanwhile.
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        // A limit beyond all times is none.
        let deadline = Instant::now().checked_add(limit);
        self.0.gate.wait(deadline, |()| self.is_cancelled().then_some(())).is_some()
    }
}

/// The attempt was asked to end: what a task returns, by `?`, to follow that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the attempt was cancelled")]
pub struct Cancelled;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_no_more_takes_no_room() {
        let cancellation = Cancellation::new();
        let stays = Arc::new(Monitor::new(0));
        cancellation.wakes(&stays);
        for _ in 0..10_000 {
            cancellation.wakes(&Arc::new(Monitor::new(())));
        }
        let others = cancellation.0.others.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(others.len() < 100, "{} are kept", others.len());
        assert!(others.iter().any(|other| other.strong_count() > 0), "what waits is forgotten");
    }
}
