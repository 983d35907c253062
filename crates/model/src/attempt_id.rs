//! The numbers by which the parts of pushflow name things to each other.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Names one attempt of one run; counted from 1 in the order in which the attempts were submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptId(pub u64);

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
