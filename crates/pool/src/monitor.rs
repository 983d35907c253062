//! [`Monitor`]: something that threads change, and wait for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A value behind a lock, with everybody who waits until it has changed.
///
/// The lock is held only while a closure looks at the value, so a closure must not wait, nor use the same monitor.
#[derive(Debug, Default)]
pub(crate) struct Monitor<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Monitor<T> {
    /// Looks at the value, or changes what nobody waits for.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut self.lock())
    }

    /// Changes the value, and wakes all who wait.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    /// Waits until `look` finds something in the value, and gives that; `None` when the deadline comes first.
    ///
    /// It looks at once, after every change, and once more at the deadline.
    pub(crate) fn wait<R>(&self, deadline: Option<Instant>, mut look: impl FnMut(&mut T) -> Option<R>) -> Option<R> {
        let mut value = self.lock();
        loop {
            let found = look(&mut value);
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            value = match left {
                _ if found.is_some() => return found,
                Some(left) if left.is_zero() => return None,
                Some(left) => self.changed.wait_timeout(value, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(value).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
