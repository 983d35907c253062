//! Standard output, which holds the result of the command and nothing else.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

/// Prints a text on standard output; that it was closed is no error of the run.
///
/// # Errors
/// When the output can't be written (a full disk).
pub(crate) fn print(text: &str) -> io::Result<()> {
    print_on(&mut io::stdout().lock(), text)
}

/// Prints a text as [`print()`], there.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_on(output: &mut dyn Write, text: &str) -> io::Result<()> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Standard output, for the result alone, on every pool: what tasks in this process, and programs that work for them, print there from now
/// on goes to standard error.
///
/// # Errors
/// When the system can't give another file.
pub(crate) fn take_stdout() -> io::Result<File> {
    let own = io::stdout().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdout(io::stderr())?;
    Ok(own.into())
}
