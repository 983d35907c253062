//! [`Retries`]: how often a task that failed is tried again.

use std::time::Duration;

use pushflow_protocol::ErrorKind;

/// How often a task that failed is tried again, with the same inputs, before its actor has failed.
///
/// Each way to fail has a budget of its own, so that a worker that is killed costs none of the tries that a flaky service
/// needs. What would fail the same way again is never tried again: a task that is not found or does not run on its pool,
/// inputs that do not fit, a result that can't be one, a stop.
///
/// ```
/// use std::time::Duration;
/// use pushflow_graph::Retries;
///
/// let twice = Retries::default().with_errors(2).with_delay(Duration::from_secs(1));
/// assert_eq!((twice.errors, twice.crashes), (2, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retries {
    /// How often after the task itself failed: an exception, an `Err`, a panic, an exit code.
    pub errors: u32,
    /// How often after the process that ran it had ended.
    pub crashes: u32,
    /// How often after it took longer than its attempts may.
    pub timeouts: u32,
    /// How long to wait before each.
    pub delay: Duration,
}

impl Retries {
    /// As often after each kind of failure, at once.
    pub fn of_each(count: u32) -> Self {
        Retries { errors: count, crashes: count, timeouts: count, delay: Duration::ZERO }
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

    /// The same, with this pause before each try.
    #[must_use]
    pub fn with_delay(self, delay: Duration) -> Self {
        Retries { delay, ..self }
    }

    /// Takes one try for a failure of that kind from its budget: whether there was one.
    pub fn take(&mut self, failure: ErrorKind) -> bool {
        let budget = match failure {
            ErrorKind::Raised | ErrorKind::Panicked => &mut self.errors,
            ErrorKind::WorkerLost => &mut self.crashes,
            ErrorKind::TimedOut => &mut self.timeouts,
            _ => return false,
        };
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
}
