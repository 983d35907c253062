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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retries {
    /// The number of tries after the task itself failed: an exception, an `Err`, a panic, an exit code.
    pub errors: u32,
    /// The number of tries after the process that ran the task had ended.
    pub crashes: u32,
    /// The number of tries after an attempt took longer than it may.
    pub timeouts: u32,
    /// The pause before each try.
    pub delay: Duration,
}

impl Retries {
    /// This many tries after each kind of failure, without a pause.
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

    /// Takes one try from the budget for this kind of failure. Returns whether a try was left.
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
