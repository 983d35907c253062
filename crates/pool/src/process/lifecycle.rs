//! What whoever opens or closes a pool waits for: that a worker is ready, and that the thread that runs the pool has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pushflow_green::{Cancellation, Monitor};
use pushflow_model::NO_CHILDREN;

use super::dispatcher::MAX_FAILED_STARTS;
use crate::error::OpenError;

/// How much longer than its tries the opening of a pool may take, for a guardian that is slow.
const OPEN_SLACK: Duration = Duration::from_secs(10);

/// How far the runner has come; whoever waits for it lets other green tasks run.
pub(super) type Lifecycle = Monitor<LifecycleState>;

/// A pool that is closed from the beginning may be over before it is looked at whether it was open.
#[derive(Debug, Default)]
pub(super) struct LifecycleState {
    /// Whether a worker has been ready, or why none will be.
    pub(super) opened: Option<Result<(), String>>,
    /// The runner has ended.
    pub(super) ended: bool,
}

/// Waits for the runner's word that a worker is ready, as many tries as there are, each with its time; longer takes only a
/// guardian that is stopped. Hears that the pool is given up.
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

/// Waits until the runner has ended: whether it has by the deadline.
pub(super) fn wait_until_ended(lifecycle: &Lifecycle, deadline: Option<Instant>) -> bool {
    lifecycle.wait(deadline, |state| state.ended.then_some(())).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_is_over_before_anybody_looks_was_open_or_not_for_its_own_reason() {
        let opened = |opened| {
            let lifecycle = Arc::new(Monitor::new(LifecycleState { opened, ended: true }));
            wait_until_open(&lifecycle, Duration::ZERO, &Cancellation::new())
        };
        assert!(opened(Some(Ok(()))).is_ok());
        assert!(matches!(opened(Some(Err(NO_CHILDREN.to_owned()))), Err(OpenError::Daemonic)));
        assert_eq!(opened(None).unwrap_err().to_string(), "the pool ended while it was opened");
    }
}
