//! [`Monitor`]: a value that threads and green tasks change, and for whose changes they wait.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use crate::lock::lock;
use crate::task::{Waker, park};

/// A value behind a lock, with the queue of those that wait for a change. A green task that waits lets others run.
///
/// The lock is held while a closure runs, so a closure must not wait, nor use the same monitor.
///
/// ```
/// use pushflow_green::Monitor;
///
/// let monitor = Monitor::new(0);
/// std::thread::scope(|scope| {
///     scope.spawn(|| monitor.change(|count| *count = 3));
///     let seen = monitor.wait(None, |count| (*count > 0).then_some(*count));
///     assert_eq!(seen, Some(3));
/// });
/// ```
#[derive(Debug, Default)]
pub struct Monitor<T> {
    guarded: Mutex<Guarded<T>>,
}

#[derive(Debug, Default)]
struct Guarded<T> {
    value: T,
    waiting: WaitQueue,
}

impl<T> Monitor<T> {
    /// A monitor of this value.
    pub fn new(value: T) -> Monitor<T> {
        Monitor { guarded: Mutex::new(Guarded { value, waiting: WaitQueue::default() }) }
    }

    /// Gives the value to `look` and wakes no waiter: `look` may only change what nobody waits for.
    pub fn look<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut lock(&self.guarded).value)
    }

    /// Gives the value to `change`, and wakes all waiters.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut guarded = lock(&self.guarded);
        let changed = change(&mut guarded.value);
        guarded.waiting.wake_all();
        changed
    }

    /// Waits until `look` returns a value, and returns that; `None` when the deadline comes first.
    ///
    /// `look` is called at once, after every change, and once more at the deadline.
    pub fn wait<R>(&self, deadline: Option<Instant>, mut look: impl FnMut(&mut T) -> Option<R>) -> Option<R> {
        wait_in(&self.guarded, |guarded| &mut guarded.waiting, deadline, |guarded| look(&mut guarded.value))
    }
}

/// The waiters in their order. The queue is kept behind the lock of the value for which they wait.
#[derive(Debug, Default)]
pub(crate) struct WaitQueue {
    next: u64,
    waiting: BTreeMap<u64, Waker>,
}

impl WaitQueue {
    fn add(&mut self, waker: Waker) -> u64 {
        self.next += 1;
        self.waiting.insert(self.next, waker);
        self.next
    }

    /// Wakes the first waiter of the queue.
    pub(crate) fn wake_one(&mut self) {
        if let Some((_, waker)) = self.waiting.pop_first() {
            waker.wake();
        }
    }

    /// Wakes all waiters.
    pub(crate) fn wake_all(&mut self) {
        std::mem::take(&mut self.waiting).into_values().for_each(|waker| waker.wake());
    }
}

/// Waits in one queue of a locked state until `look` returns a value.
///
/// A waiter that was woken calls `look` before it gives up at its deadline. So where one waiter is woken for one item,
/// that waiter takes the item, unless another one has taken it before.
pub(crate) fn wait_in<T, R>(
    mutex: &Mutex<T>,
    queue: impl Fn(&mut T) -> &mut WaitQueue,
    deadline: Option<Instant>,
    mut look: impl FnMut(&mut T) -> Option<R>,
) -> Option<R> {
    let mut place = None;
    loop {
        let mut state = lock(mutex);
        let found = look(&mut state);
        let waiting = queue(&mut state);
        if found.is_some() || deadline.is_some_and(|at| at <= Instant::now()) {
            place.map(|place| waiting.waiting.remove(&place));
            return found;
        }
        if place.is_none_or(|place| !waiting.waiting.contains_key(&place)) {
            place = Some(waiting.add(Waker::current()));
        }
        drop(state);
        park(deadline);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_looks_once_more_at_its_deadline_and_then_gives_up() {
        let monitor = Monitor::new(0);
        let past = Some(Instant::now());
        assert_eq!(monitor.wait(past, |count| Some(*count)), Some(0));
        assert_eq!(monitor.wait(past, |_| None::<()>), None);
        assert!(lock(&monitor.guarded).waiting.waiting.is_empty());
    }

    #[test]
    fn every_waiter_sees_a_change() {
        let monitor = Monitor::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| monitor.wait(None, |count| (*count == 7).then_some(())));
            }
            for count in 0..=7 {
                monitor.change(|value| *value = count);
            }
        });
        assert!(lock(&monitor.guarded).waiting.waiting.is_empty());
    }
}
