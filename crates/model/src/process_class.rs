//! [`ProcessClass`]: the class of a worker process, by which the guardian decides whether it may have children.
//!
//! The rule is that of Python's libraries, as measured in the original: a daemonic process may start commands, threads
//! and processes of the billiard family, but no others (`docs/parity.md` P108, P109). A request to the guardian for a
//! process names the class of that process. Only the guardian refuses such a request.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The error of a daemonic process that asks for a forbidden child, in the words of the original.
pub const NO_CHILDREN: &str = "daemonic processes are not allowed to have children";

/// The library of the original to which a process corresponds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Family {
    /// `concurrent.futures`.
    ConcurrentFutures,
    /// `multiprocessing`.
    Multiprocessing,
    /// `billiard`. Daemonic processes may start processes of this family too.
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

/// The class of a worker process. Commands and interpreters have no class: every process may start them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessClass {
    /// The family of the process.
    pub family: Family,
    /// Whether the process ends with its parent and may not have children, billiard's excepted.
    pub daemonic: bool,
}

impl ProcessClass {
    /// Whether a process of this class may start a process of `family`.
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
