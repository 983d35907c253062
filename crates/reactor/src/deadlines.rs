//! [`Deadlines`]: which attempt is due when. Nothing here owns a clock or waits.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use pushflow_model::AttemptId;

/// Attempts, each with the moment at which it is due.
///
/// Each change costs the logarithm of the number of attempts. An attempt that was removed takes no memory.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    by_time: BTreeSet<(Duration, AttemptId)>,
    by_attempt: HashMap<AttemptId, Duration>,
}

impl Deadlines {
    /// Sets when the attempt is due, in place of an earlier moment.
    pub(super) fn set(&mut self, attempt: AttemptId, at: Duration) {
        self.remove(attempt);
        self.by_attempt.insert(attempt, at);
        self.by_time.insert((at, attempt));
    }

    /// Removes the attempt.
    pub(super) fn remove(&mut self, attempt: AttemptId) {
        if !self.by_attempt.is_empty()
            && let Some(at) = self.by_attempt.remove(&attempt)
        {
            self.by_time.remove(&(at, attempt));
        }
    }

    /// When the first attempt is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.by_time.first().map(|&(at, _)| at)
    }

    /// Takes out the attempts that are due at `now`, in the order of their moments.
    pub(super) fn take_due(&mut self, now: Duration) -> Vec<AttemptId> {
        let mut due = Vec::new();
        while let Some(&(at, attempt)) = self.by_time.first()
            && at <= now
        {
            self.remove(attempt);
            due.push(attempt);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn the_first_that_is_due_comes_first_and_each_once() {
        let mut deadlines = Deadlines::default();
        for (attempt, at) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
            deadlines.set(AttemptId(attempt), second(at));
        }
        assert_eq!(deadlines.next(), Some(second(10)));
        assert_eq!(deadlines.take_due(second(9)), []);
        assert_eq!(deadlines.take_due(second(20)), [2, 4, 3].map(AttemptId));
        assert_eq!(deadlines.take_due(second(20)), []);
        assert_eq!(deadlines.next(), Some(second(30)));
    }

    #[test]
    fn a_deadline_that_is_set_again_counts_alone() {
        let mut deadlines = Deadlines::default();
        deadlines.set(AttemptId(1), Duration::ZERO);
        deadlines.set(AttemptId(1), second(5));
        assert_eq!(deadlines.take_due(Duration::ZERO), []);
        assert_eq!(deadlines.take_due(second(5)), [AttemptId(1)]);
    }

    #[test]
    fn what_has_ended_leaves_nothing_behind() {
        let mut deadlines = Deadlines::default();
        for attempt in 1..=100 {
            deadlines.set(AttemptId(attempt), second(attempt % 7));
        }
        (1..=50).for_each(|attempt| deadlines.remove(AttemptId(attempt)));
        deadlines.take_due(second(60));
        assert!(deadlines.by_time.is_empty() && deadlines.by_attempt.is_empty());
    }
}
