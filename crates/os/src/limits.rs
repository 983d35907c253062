//! The resource limits of this process (`getrlimit(2)`), and errors that name the limit that was reached.

use std::fmt::Display;
use std::io;
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// Replaces an error that stands for a limit by a sentence that names the limit. Other errors stay.
///
/// `EAGAIN` is taken for the limit of processes: the errors are those of making processes, threads and files.
pub fn name_limit(error: io::Error) -> io::Error {
    let sentence = match error.raw_os_error() {
        Some(libc::EAGAIN) => "there may be no more processes (ulimit -u, or pids.max of the control group)",
        Some(libc::EMFILE) => "there may be no more open files (ulimit -n)",
        Some(libc::ENFILE) => "there may be no more open files on this machine (fs.file-max)",
        Some(libc::ETOOMANYREFS) => "there may be no more open files on their way to other processes (ulimit -n)",
        _ => return error,
    };
    io::Error::new(error.kind(), sentence)
}

/// Puts the system call and its arguments before the text of an error. The kind of the error stays.
///
/// The errors that [`name_limit`] replaces stay unchanged, since it recognises them by their numbers. System calls that
/// a process makes between a fork and `exec` don't use this function: only the number of their error can be reported. Nor
/// may an error from here reach code that tells passing errors from lasting ones by their numbers
/// (`pushflow_guardian::launch`): it has none.
pub(crate) fn name_call<E: Into<io::Error>>(call: impl Display) -> impl FnOnce(E) -> io::Error {
    move |error| {
        let error = error.into();
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EMFILE | libc::ENFILE | libc::ETOOMANYREFS) => error,
            _ => io::Error::new(error.kind(), format!("{call}: {error}")),
        }
    }
}

/// An error unless a file of this process may have `length` bytes (`RLIMIT_FSIZE`, which applies to memory files too).
///
/// The caller asks before it makes a file longer. Otherwise the kernel sends SIGXFSZ, which ends the process without a
/// message.
///
/// # Errors
/// `FileTooLarge`, in a sentence that names the limit.
pub fn require_file_length(length: u64) -> io::Result<()> {
    let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE)?;
    if length <= limit {
        return Ok(());
    }
    let sentence = format!("no file may be longer than {limit} bytes (ulimit -f), and one of {length} bytes is needed");
    Err(io::Error::new(io::ErrorKind::FileTooLarge, sentence))
}

/// The soft and the hard limit before [`raise_limit`].
static ORIGINAL_LIMIT: OnceLock<(rlim_t, rlim_t)> = OnceLock::new();

/// Raises the limit of open files (`RLIMIT_NOFILE`) of this process, and of those that it forks, to the hard limit.
///
/// Nothing changes if the kernel refuses: a hard limit above `fs.nr_open` can't be set.
pub fn raise_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok()
    {
        ORIGINAL_LIMIT.get_or_init(|| (soft, hard));
    }
}

/// Restores the limit of open files that this process, or the one that it was forked from, had before [`raise_limit`].
/// Open files stay open.
///
/// # Errors
/// When the kernel refuses.
pub fn restore_limit() -> io::Result<()> {
    match ORIGINAL_LIMIT.get() {
        Some(&(soft, hard)) => Ok(setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_named_unless_the_error_is_a_limit() {
        let named = name_call("mmap of 4096 bytes")(io::Error::from_raw_os_error(libc::ENOMEM));
        assert_eq!(named.to_string(), "mmap of 4096 bytes: Cannot allocate memory (os error 12)");
        assert_eq!(named.kind(), io::ErrorKind::OutOfMemory);
        let limit = name_call("pipe")(io::Error::from_raw_os_error(libc::EMFILE));
        assert_eq!(limit.raw_os_error(), Some(libc::EMFILE));
    }

    #[test]
    fn limits_are_named_and_other_errors_stay() {
        let error = name_limit(io::Error::from_raw_os_error(libc::EAGAIN));
        assert_eq!(error.to_string(), "there may be no more processes (ulimit -u, or pids.max of the control group)");
        let error = name_limit(io::Error::from_raw_os_error(libc::EMFILE));
        assert_eq!(error.to_string(), "there may be no more open files (ulimit -n)");
        let error = name_limit(io::Error::from_raw_os_error(libc::ENOMEM));
        assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
    }
}
