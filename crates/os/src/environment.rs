//! Changes of the environment of the calling process, which are sound only while the process has one thread.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::files::read_folder;

/// The number of threads of the calling process.
///
/// # Errors
/// When `/proc` can't be read.
pub fn thread_count() -> io::Result<usize> {
    Ok(read_folder("/proc/self/task")?.count())
}

/// An error unless the calling process has one thread. `what` is the subject of its sentence.
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
    // SAFETY: this is the only thread of the process, so that no other thread reads the environment meanwhile. Only
    // this thread could start another one, and it does not before it returns.
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

/// Sets several variables of this process's environment, and removes those whose value is `None`.
///
/// Changes that no environment can hold are skipped: an empty name, a name with `=` in it, a zero byte.
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
