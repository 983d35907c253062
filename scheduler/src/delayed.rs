//! [`DelayedAttempts`]: attempts that wait for their time, since what they try again failed a moment ago.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pushflow_graph::ActorId;
use pushflow_pool::Attempt;
use pushflow_protocol::AttemptId;

use crate::deadlines::Deadlines;

/// Attempts, each with the moment at which it is to be submitted.
#[derive(Default)]
pub(crate) struct DelayedAttempts {
    attempts: HashMap<AttemptId, (ActorId, Attempt)>,
    times: Deadlines,
}

impl DelayedAttempts {
    /// The attempt is to be submitted when that much time has passed from now on.
    pub(crate) fn add(&mut self, (actor, attempt): (ActorId, Attempt), delay: Duration) {
        let now = Instant::now();
        // A delay that is too long for the clock is one that nobody will see the end of.
        let at = now.checked_add(delay).unwrap_or(now + FOREVER);
        self.times.set(attempt.id, at);
        self.attempts.insert(attempt.id, (actor, attempt));
    }

    /// Forgets an attempt: whether it waited.
    pub(crate) fn remove(&mut self, attempt: AttemptId) -> bool {
        self.times.remove(attempt);
        self.attempts.remove(&attempt).is_some()
    }

    /// When the first one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.times.next()
    }

    /// Takes out those that are due by now, the first ones first.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<(ActorId, Attempt)> {
        self.times.take_due(now).into_iter().filter_map(|attempt| self.attempts.remove(&attempt)).collect()
    }
}

/// Longer than any run.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
