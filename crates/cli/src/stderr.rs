//! Messages of the command on standard error.

use std::io::Write;

/// Writes one line to standard error. An error is ignored, since a closed standard error must not end the run.
pub(crate) fn write_line(text: &str) {
    let mut error = std::io::stderr().lock();
    error.write_all(format!("{text}\n").as_bytes()).ok();
}
