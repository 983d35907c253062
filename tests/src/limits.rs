//! [`long_enough`]: time limits that a program must outlast, but within which it must have begun its work.

use std::time::Duration;

/// The limits, in order. On an idle machine a program begins within the first, on any machine within the last.
const LIMITS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];

/// Calls `attempt` with a limit, and again with a longer limit as long as it returns `None`. `None` means that the limit
/// passed before the program had begun its work, because the machine is busy.
///
/// # Panics
/// When the program has not begun within the longest limit.
pub fn long_enough<R>(attempt: impl FnMut(Duration) -> Option<R>) -> R {
    LIMITS.into_iter().find_map(attempt).expect("it begins within the longest limit")
}

/// A limit as an argument of the command line.
pub fn argument(limit: Duration) -> String {
    format!("{}s", limit.as_secs())
}
