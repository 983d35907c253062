//! [`DelayedAttempts`]: retries that wait for their delay before they are submitted.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pushflow_graph::ActorId;
use pushflow_model::AttemptId;
use pushflow_pool::Attempt;

use crate::deadlines::Deadlines;

/// Attempts, each with the moment at which the run submits it.
#[derive(Default)]
pub(crate) struct DelayedAttempts {
    attempts: HashMap<AttemptId, (ActorId, Attempt)>,
    times: Deadlines,
}

impl DelayedAttempts {
    /// Adds an attempt that is due when `delay` has passed from now on.
    pub(crate) fn add(&mut self, (actor, attempt): (ActorId, Attempt), delay: Duration) {
        let now = Instant::now();
        // A delay that the clock can't express is longer than any run.
        let at = now.checked_add(delay).unwrap_or(now + FOREVER);
        self.times.set(attempt.id, at);
        self.attempts.insert(attempt.id, (actor, attempt));
    }

    /// Removes an attempt. Returns whether it waited here.
    pub(crate) fn remove(&mut self, attempt: AttemptId) -> bool {
        self.times.remove(attempt);
        self.attempts.remove(&attempt).is_some()
    }

    /// When the first attempt is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.times.next()
    }

    /// Takes out the attempts that are due at `now`, in the order of their moments.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<(ActorId, Attempt)> {
        self.times.take_due(now).into_iter().filter_map(|attempt| self.attempts.remove(&attempt)).collect()
    }
}

/// Longer than any run.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
