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

/// Which execution of its actor an attempt is. It displays itself as `round 5, try 2 of 3`, without what goes without
/// saying: the first round, and the only try.
///
/// ```
/// use pushflow_model::TryNumber;
///
/// assert_eq!(TryNumber { round: 5, number: 2, of: 3 }.to_string(), "round 5, try 2 of 3");
/// assert_eq!(TryNumber::ONLY.to_string(), "");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TryNumber {
    /// How many times the actor was executed in the run, this execution included.
    pub round: u64,
    /// Which of the tries of this execution it is, counted from 1.
    pub number: u32,
    /// How many tries there may be: after a failure as many as are left for that kind of failure.
    pub of: u32,
}

impl TryNumber {
    /// The only try of the first round.
    pub const ONLY: TryNumber = TryNumber { round: 1, number: 1, of: 1 };

    /// The same in parentheses behind a space, for the place behind a name; empty where there is nothing to say.
    pub fn in_parentheses(&self) -> String {
        match self.to_string() {
            nothing if nothing.is_empty() => nothing,
            text => format!(" ({text})"),
        }
    }
}

impl fmt::Display for TryNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TryNumber { round, number, of } = self;
        let (is_later_round, is_one_of_many) = (*round > 1, *of > 1);
        if is_later_round {
            write!(f, "round {round}")?;
        }
        if is_later_round && is_one_of_many {
            f.write_str(", ")?;
        }
        if is_one_of_many { write!(f, "try {number} of {of}") } else { Ok(()) }
    }
}
