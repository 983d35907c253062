//! [`ProcessClass`]: what a process is to the rule on who may have children.
//!
//! The rule is that of Python's libraries, as measured in the original: a daemonic process may start commands, threads,
//! and processes of the billiard family, but no others (`parity.md` P108, P109). Who asks the guardian for a process
//! says what it is to be, and the guardian is the one place that refuses.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a daemonic process that asks for a forbidden child is told: the original's own words.
pub const NO_CHILDREN: &str = "daemonic processes are not allowed to have children";

/// Which library of the original's a process belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Family {
    /// `concurrent.futures`.
    ConcurrentFutures,
    /// `multiprocessing`.
    Multiprocessing,
    /// `billiard`, whose processes even daemonic ones may start.
    Billiard,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::ConcurrentFutures => "concurrent.futures",
            Family::Multiprocessing => "multiprocessing",
            Family::Billiard => "billiard",
        })
    }
}

/// A process that the rule is about: a worker. Commands and interpreters have no class, and everybody may start them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessClass {
    /// Its family.
    pub family: Family,
    /// Whether it dies with its parent and may not have children.
    pub daemonic: bool,
}

impl ProcessClass {
    /// Whether a process of this class may start one of that family.
    ///
    /// ```
    /// use pushflow_model::{Family, ProcessClass};
    ///
    /// let daemonic = ProcessClass { family: Family::Multiprocessing, daemonic: true };
    /// assert!(!daemonic.may_start(Family::Multiprocessing));
    /// assert!(daemonic.may_start(Family::Billiard));
    /// ```
    pub fn may_start(self, family: Family) -> bool {
        !self.daemonic || family == Family::Billiard
    }
}
