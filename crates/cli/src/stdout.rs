//! Standard output, which holds the result of the command and nothing else.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

/// Prints a text on standard output. A closed standard output is no error.
///
/// # Errors
/// When the output can't be written, since the disk is full for example.
pub(crate) fn print(text: &str) -> io::Result<()> {
    print_on(&mut io::stdout().lock(), text)
}

/// Prints a text on `output`, as [`print()`] does.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_on(output: &mut dyn Write, text: &str) -> io::Result<()> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Takes standard output for the result alone, on every pool: the output of tasks in this process, and of the programs
/// that they start, goes to standard error from now on.
///
/// # Errors
/// When no file descriptor can be made.
pub(crate) fn take_stdout() -> io::Result<File> {
    let own = io::stdout().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdout(io::stderr())?;
    Ok(own.into())
}
