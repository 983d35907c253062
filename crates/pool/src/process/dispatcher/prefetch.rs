//! [`PrefetchDepth`]: how many attempts a worker has at a time, from the mean duration of recent attempts.

use std::time::Duration;

/// The most attempts that a worker has at a time.
const MAX_DEPTH: usize = 64;
/// About how much work a worker may have at a time.
const BACKLOG: Duration = Duration::from_millis(2);
/// Attempts of at least this duration are not short: to assign several to a worker gains nothing.
const SHORT: Duration = Duration::from_millis(1);

/// The moving mean of the durations of attempts.
#[derive(Debug, Default)]
pub(super) struct PrefetchDepth {
    mean: Option<Duration>,
}

impl PrefetchDepth {
    /// Adds the time from the previous answer of a worker to this one. Of answers that arrive together, the first has
    /// the whole time, and the others have none.
    pub(super) fn record(&mut self, duration: Duration) {
        self.mean = Some(match self.mean {
            Some(mean) => (mean * 7 + duration) / 8,
            None => duration,
        });
    }

    /// How many attempts a worker may have: one, unless attempts are known to be short.
    pub(super) fn depth(&self) -> usize {
        match self.mean {
            Some(mean) if mean < SHORT => {
                let fitting = BACKLOG.as_nanos() / mean.as_nanos().max(1);
                usize::try_from(fitting).unwrap_or(MAX_DEPTH).clamp(1, MAX_DEPTH)
            }
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_until_attempts_are_known_to_be_short() {
        let mut prefetch = PrefetchDepth::default();
        assert_eq!(prefetch.depth(), 1);
        prefetch.record(Duration::from_micros(10));
        assert_eq!(prefetch.depth(), MAX_DEPTH);
        prefetch.record(Duration::from_secs(1));
        assert_eq!(prefetch.depth(), 1);
    }

    #[test]
    fn a_worker_has_about_two_milliseconds_of_work() {
        let mut prefetch = PrefetchDepth::default();
        prefetch.record(Duration::from_micros(500));
        assert_eq!(prefetch.depth(), 4);
    }
}
