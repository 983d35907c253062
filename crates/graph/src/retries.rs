//! [`Retries`]: how often the scheduler tries a failed task again.

use std::time::Duration;

use pushflow_model::ErrorKind;

/// How often the scheduler tries a failed task again, with the same inputs, before its actor has failed.
///
/// Each kind of failure has a budget of its own, so that a killed worker costs none of the tries that a flaky service
/// needs. The scheduler never tries again what would fail in the same way: a task that is not found or does not run on
/// its pool, inputs that do not fit, a result of a wrong type, a stop.
///
/// ```
/// use std::time::Duration;
/// use pushflow_graph::Retries;
///
/// let twice = Retries::default().with_errors(2).with_delay(Duration::from_secs(1));
/// assert_eq!((twice.errors, twice.crashes), (2, 0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Retries {
    /// The number of tries after the task itself failed: an exception, an `Err`, a panic, an exit code.
    pub errors: u32,
    /// The number of tries after the process that ran the task had ended.
    pub crashes: u32,
    /// The number of tries after an attempt took longer than it may.
    pub timeouts: u32,
    /// The pause before the first of the tries.
    pub delay: Duration,
    /// How many times as long each further pause is as the one before it; at least 1, the default.
    pub backoff: f64,
    /// The part of each pause that is left to chance, from 0, the default, to 1. A pause of 10 s with a jitter of 0.2
    /// takes between 8 and 10 s, so that tasks that failed together do not all try again together.
    pub jitter: f64,
}

impl Default for Retries {
    fn default() -> Self {
        Retries { errors: 0, crashes: 0, timeouts: 0, delay: Duration::ZERO, backoff: 1.0, jitter: 0.0 }
    }
}

impl Retries {
    /// This many tries after each kind of failure, without a pause.
    pub fn of_each(count: u32) -> Self {
        Retries { errors: count, crashes: count, timeouts: count, ..Retries::default() }
    }

    /// The same, with this many tries after failures of the task itself.
    #[must_use]
    pub fn with_errors(self, errors: u32) -> Self {
        Retries { errors, ..self }
    }

    /// The same, with this many tries after the process that ran the task had ended.
    #[must_use]
    pub fn with_crashes(self, crashes: u32) -> Self {
        Retries { crashes, ..self }
    }

    /// The same, with this many tries after an attempt took longer than it may.
    #[must_use]
    pub fn with_timeouts(self, timeouts: u32) -> Self {
        Retries { timeouts, ..self }
    }

    /// The same, with this pause before the first of the tries, and before each if there is no back-off.
    #[must_use]
    pub fn with_delay(self, delay: Duration) -> Self {
        Retries { delay, ..self }
    }

    /// The same, where each pause is so many times as long as the one before it.
    #[must_use]
    pub fn with_backoff(self, backoff: f64) -> Self {
        Retries { backoff, ..self }
    }

    /// The same, where this part of each pause is left to chance.
    #[must_use]
    pub fn with_jitter(self, jitter: f64) -> Self {
        Retries { jitter, ..self }
    }

    /// Which of the back-off and the jitter is out of its range, and what is wrong with it; `None` if none is.
    pub(crate) fn mistake(&self) -> Option<(&'static str, String)> {
        let Retries { backoff, jitter, .. } = self;
        if !(backoff.is_finite() && *backoff >= 1.0) {
            return Some(("backoff", format!("\"backoff\" must be a number from 1 on, not {backoff}")));
        }
        let fits = (0.0..=1.0).contains(jitter);
        (!fits).then(|| ("jitter", format!("\"jitter\" must be a number from 0 to 1, not {jitter}")))
    }

    /// The pause before a try, after so many tries before it. `chance` is a random number from 0 to 1.
    ///
    /// ```
    /// use std::time::Duration;
    /// use pushflow_graph::Retries;
    ///
    /// let retries = Retries::of_each(5).with_delay(Duration::from_secs(10)).with_backoff(2.0).with_jitter(0.2);
    /// assert_eq!([0, 1, 2].map(|before| retries.pause(before, 0.0).as_secs()), [10, 20, 40]);
    /// assert_eq!(retries.pause(0, 1.0).as_secs(), 8);
    /// ```
    pub fn pause(&self, before: u32, chance: f64) -> Duration {
        if self.delay.is_zero() {
            return Duration::ZERO;
        }
        let longer = self.backoff.powf(f64::from(before));
        let seconds = self.delay.as_secs_f64() * longer * (1.0 - self.jitter * chance);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// How many tries are left after the kind of failure that has most of them.
    pub fn most(&self) -> u32 {
        self.errors.max(self.crashes).max(self.timeouts)
    }

    /// How many tries are left after this kind of failure.
    pub fn left(mut self, failure: ErrorKind) -> u32 {
        self.budget(failure).map_or(0, |budget| *budget)
    }

    fn budget(&mut self, failure: ErrorKind) -> Option<&mut u32> {
        match failure {
            ErrorKind::Raised | ErrorKind::Panicked => Some(&mut self.errors),
            ErrorKind::WorkerLost => Some(&mut self.crashes),
            ErrorKind::TimedOut => Some(&mut self.timeouts),
            _ => None,
        }
    }

    /// Takes one try from the budget for this kind of failure. Returns whether a try was left.
    pub fn take(&mut self, failure: ErrorKind) -> bool {
        let Some(budget) = self.budget(failure) else { return false };
        let left = budget.checked_sub(1);
        *budget = left.unwrap_or(0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_fail_has_its_own_budget_and_some_have_none() {
        let mut retries = Retries { errors: 2, crashes: 1, ..Retries::default() };
        let taken = [
            ErrorKind::Raised,
            ErrorKind::WorkerLost,
            ErrorKind::WorkerLost,
            ErrorKind::Panicked,
            ErrorKind::Raised,
            ErrorKind::TimedOut,
            ErrorKind::NotFound,
        ]
        .map(|failure| retries.take(failure));
        assert_eq!(taken, [true, true, false, true, false, false, false]);
        assert!(!Retries::of_each(9).take(ErrorKind::Stopped));
    }

    #[test]
    fn a_pause_without_delay_is_none_and_one_beyond_the_clock_lasts_for_ever() {
        assert_eq!(Retries::default().with_backoff(1e300).pause(9, 0.5), Duration::ZERO);
        assert_eq!(
            Retries::default().with_delay(Duration::from_secs(1)).with_backoff(1e9).pause(99, 0.5),
            Duration::MAX
        );
    }
}
