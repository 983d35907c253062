//! What ties a green task to the attempt that it runs: its number, its cancellation, its tracing span.

use std::thread;
use std::time::{Duration, Instant};

use tracing::Span;

use crate::cancellation::{Cancellation, Cancelled};
use crate::scheduler::Scheduler;
use crate::task::{is_green, park};

/// Declares that the calling green task runs an attempt from now on: the watchdog reports the task by `label`, and waits
/// of the task end when the attempt is cancelled. Does nothing outside of a green task.
pub fn begin_attempt(label: u64, cancellation: &Cancellation) {
    if let Some((scheduler, key)) = Scheduler::current() {
        scheduler.begin_attempt(key, label, cancellation.flag());
    }
}

/// Whether the attempt of the calling green task was asked to end.
pub(crate) fn is_cancelled() -> bool {
    Scheduler::current().is_some_and(|(scheduler, key)| scheduler.is_cancelled(key))
}

/// Sleeps; a green task wakes at once when its attempt is asked to end. Timers have a resolution of a millisecond.
///
/// # Errors
/// When the attempt was asked to end, before or during the sleep; never outside of a green task.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(pushflow_green::sleep(Duration::from_millis(1)), Ok(()));
/// ```
pub fn sleep(duration: Duration) -> Result<(), Cancelled> {
    if !is_green() {
        thread::sleep(duration);
        return Ok(());
    }
    let deadline = Instant::now().checked_add(duration);
    loop {
        if is_cancelled() {
            return Err(Cancelled);
        }
        if deadline.is_some_and(|at| at <= Instant::now()) {
            return Ok(());
        }
        park(deadline);
    }
}

/// Runs a closure in a span. A green task leaves the span while it waits, so that no other task runs in it.
pub fn in_span<R>(span: Span, run: impl FnOnce() -> R) -> R {
    let Some((scheduler, key)) = Scheduler::current() else { return span.in_scope(run) };
    scheduler.set_span(key, Some(span.clone()));
    let result = span.in_scope(run);
    scheduler.set_span(key, None);
    result
}
