//! Changing the environment of the running process, which is sound only while it has one thread.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::files::read_folder;

/// How many threads the calling process has.
///
/// # Errors
/// When `/proc` can't be read.
pub fn thread_count() -> io::Result<usize> {
    Ok(read_folder("/proc/self/task")?.count())
}

/// An error unless the calling process has one thread.
pub(crate) fn require_one_thread(what: &str) -> io::Result<()> {
    match thread_count()? {
        1 => Ok(()),
        threads => Err(io::Error::other(format!(
            "{what} needs a process with one thread, but this one has {threads}: do it first thing in main"
        ))),
    }
}

/// Sets a variable of this process's environment.
///
/// # Errors
/// When the process has more than one thread.
pub fn set(name: &str, value: impl AsRef<OsStr>) -> io::Result<()> {
    require_one_thread("setting an environment variable")?;
    // SAFETY: there is no other thread that could read the environment meanwhile, and none can start before we return.
    unsafe { std::env::set_var(name, value) };
    Ok(())
}

/// Removes a variable from this process's environment.
///
/// # Errors
/// When the process has more than one thread.
pub fn remove(name: &str) -> io::Result<()> {
    require_one_thread("removing an environment variable")?;
    // SAFETY: as in `set`.
    unsafe { std::env::remove_var(name) };
    Ok(())
}

/// Sets and removes (`None`) several variables of this process's environment; a name that can be none is passed over.
///
/// # Errors
/// When the process has more than one thread.
pub fn change<'a>(changes: impl IntoIterator<Item = (&'a OsStr, Option<&'a OsStr>)>) -> io::Result<()> {
    require_one_thread("changing the environment")?;
    for (name, value) in changes {
        let zero = |text: &OsStr| text.as_bytes().contains(&0);
        if name.is_empty() || name.as_bytes().contains(&b'=') || zero(name) || value.is_some_and(zero) {
            continue;
        }
        match value {
            // SAFETY: as in `set`.
            Some(value) if std::env::var_os(name).is_none_or(|now| now != value) => unsafe {
                std::env::set_var(name, value);
            },
            Some(_) => {}
            // SAFETY: as in `set`.
            None => unsafe { std::env::remove_var(name) },
        }
    }
    Ok(())
}
