//! [`long_enough`]: time limits for programs that have to begin within them.

use std::time::Duration;

/// From one that an idle machine keeps easily to one that any machine keeps.
const LIMITS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];

/// Tries a limit, and a longer one where that was over before what it is for had begun: then the answer is `None`, which
/// says nothing of the program but that the machine is busy.
///
/// # Panics
/// When it has not begun within the longest.
pub fn long_enough<R>(attempt: impl FnMut(Duration) -> Option<R>) -> R {
    LIMITS.into_iter().find_map(attempt).expect("it begins within the longest limit")
}

/// A limit as an argument of the command line.
pub fn argument(limit: Duration) -> String {
    format!("{}s", limit.as_secs())
}
