//! The two moments of a process pool that other threads wait for: a worker is ready, and the runner has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pushflow_green::{Cancellation, Monitor};
use pushflow_model::NO_CHILDREN;

use super::dispatcher::MAX_FAILED_STARTS;
use crate::error::OpenError;

/// How much longer than the starts of its workers the opening of a pool may take, for a slow guardian.
const OPEN_SLACK: Duration = Duration::from_secs(10);

/// The state behind a monitor: a green task that waits in it lets other green tasks run.
pub(super) type Lifecycle = Monitor<LifecycleState>;

/// The two moments are independent: a pool that is closed from the beginning may have ended before the thread that
/// opens it looks whether it was opened.
#[derive(Debug, Default)]
pub(super) struct LifecycleState {
    /// Set when a worker has been ready, or with the reason why none will be.
    pub(super) opened: Option<Result<(), String>>,
    /// The runner has ended.
    pub(super) ended: bool,
}

/// Waits until a worker is ready. The limit is the time of as many starts as may fail; only a stopped guardian takes
/// longer.
///
/// # Errors
/// When no worker could be started, the limit is over, or `opening` is cancelled.
pub(super) fn wait_until_open(
    lifecycle: &Arc<Lifecycle>,
    start_timeout: Duration,
    opening: &Cancellation,
) -> Result<(), OpenError> {
    opening.wakes(lifecycle);
    let limit = MAX_FAILED_STARTS * start_timeout + OPEN_SLACK;
    let opened = lifecycle.wait(Instant::now().checked_add(limit), |state| match state.opened.take() {
        Some(Ok(())) => Some(Ok(())),
        Some(Err(reason)) if reason == NO_CHILDREN => Some(Err(OpenError::Daemonic)),
        Some(Err(reason)) => Some(Err(OpenError::Worker(reason))),
        None if opening.is_cancelled() => Some(Err(OpenError::GivenUp)),
        None if state.ended => Some(Err(OpenError::Worker("the pool ended while it was opened".into()))),
        None => None,
    });
    opened.unwrap_or_else(|| Err(OpenError::Worker("the guardian does not answer".into())))
}

/// Waits until the runner has ended. Returns whether it has by the deadline.
pub(super) fn wait_until_ended(lifecycle: &Lifecycle, deadline: Option<Instant>) -> bool {
    lifecycle.wait(deadline, |state| state.ended.then_some(())).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_has_ended_before_its_opener_looks_was_opened_or_not_for_its_own_reason() {
        let opened = |opened| {
            let lifecycle = Arc::new(Monitor::new(LifecycleState { opened, ended: true }));
            wait_until_open(&lifecycle, Duration::ZERO, &Cancellation::new())
        };
        assert!(opened(Some(Ok(()))).is_ok());
        assert!(matches!(opened(Some(Err(NO_CHILDREN.to_owned()))), Err(OpenError::Daemonic)));
        assert_eq!(opened(None).unwrap_err().to_string(), "the pool ended while it was opened");
    }
}
