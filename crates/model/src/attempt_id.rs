//! [`AttemptId`]: the number of an attempt.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of one attempt, unique within its run. Attempts are counted from 1 in the order in which they were
/// submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptId(pub u64);

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
