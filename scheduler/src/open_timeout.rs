//! [`with_timeout`]: a time limit for the opening of pools, which comes before the run's own loop.

use std::io;
use std::time::Duration;

use pushflow_green::Cancellation;

/// Calls `open`, and cancels `opening` when `limit` has passed. In the end it cancels `opening` in any case, which ends
/// the timer's thread.
///
/// # Errors
/// When no thread can be started for the timer.
pub(crate) fn with_timeout<T>(
    limit: Option<Duration>,
    opening: &Cancellation,
    open: impl FnOnce() -> T,
) -> io::Result<T> {
    std::thread::scope(|scope| {
        let _ends_timer = Cancelled(opening);
        if let Some(limit) = limit {
            let wait = move || {
                opening.wait_timeout(limit);
                opening.cancel();
            };
            std::thread::Builder::new().name("pushflow-opening".into()).spawn_scoped(scope, wait)?;
        }
        Ok(open())
    })
}

/// Cancels when it is dropped, also by a panic of `open`.
struct Cancelled<'a>(&'a Cancellation);

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
