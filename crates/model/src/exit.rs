//! [`Exit`]: how a process ended.

use std::fmt;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

/// How a process ended, as `wait(2)` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// It was killed by the signal of this number.
    Signal(i32),
    /// It was killed with its keeper, which could not say so any more.
    Unknown,
}

impl fmt::Display for Exit {
    /// A predicate: `exited with code 3`, `was killed by signal 11 (SIGSEGV)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exited with code {code}"),
            Exit::Signal(number) => {
                write!(f, "was killed by signal {number} ({})", signal_name(*number))
            }
            Exit::Unknown => {
                f.write_str("was killed with its keeper, the process that watches it: from outside, or out of memory")
            }
        }
    }
}

/// The name of a signal by its number, such as `SIGSEGV`; `signal 50` for one without a name.
pub fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
}
