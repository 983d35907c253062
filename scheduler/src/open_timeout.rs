//! [`with_timeout`]: a time limit while pools are opened, before there is anything else to wait for.

use std::io;
use std::time::Duration;

use pushflow_pool::Cancellation;

/// Opens something, whose opening is cancelled when this much time has passed. Afterwards it is cancelled in any case, so
/// that nothing waits for it any more.
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

/// However the opening ends.
struct Cancelled<'a>(&'a Cancellation);

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
