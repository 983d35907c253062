//! [`Exit`]: how a process ended.

use std::fmt;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

/// How a process ended, as `wait(2)` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// The process exited with this code.
    Code(i32),
    /// The signal with this number killed the process.
    Signal(i32),
    /// The process was killed together with its keeper, so no exit status was reported.
    Unknown,
}

impl fmt::Display for Exit {
    /// Writes a predicate: `exited with code 3`, `was killed by signal 11 (SIGSEGV)`.
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

/// The name of a signal by its number, such as `SIGSEGV`; `signal 50` for a signal without a name.
pub fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named() {
        assert_eq!((signal_name(9).as_str(), signal_name(50).as_str()), ("SIGKILL", "signal 50"));
        assert_eq!(Exit::Signal(11).to_string(), "was killed by signal 11 (SIGSEGV)");
    }
}
