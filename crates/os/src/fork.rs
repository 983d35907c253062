//! Forks of the calling process, and how a forked process ends.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid};

use crate::environment::require_one_thread;
use crate::files::flush_c_streams;

/// Which side of a [`fork`] this is.
#[derive(Clone, Copy, Debug)]
pub enum Fork {
    /// The caller, with the pid of its copy.
    Parent(Pid),
    /// The copy.
    Child,
}

/// Makes a copy of the calling process (`fork(2)`).
///
/// # Errors
/// When the process has more than one thread (a copy of it could only call `exec` or hang on another thread's lock), or
/// the kernel refuses.
pub fn fork() -> io::Result<Fork> {
    require_one_thread("a fork")?;
    // SAFETY: with one thread no lock is held by somebody who is missing in the copy.
    match unsafe { nix::unistd::fork()? } {
        ForkResult::Parent { child } => Ok(Fork::Parent(child)),
        ForkResult::Child => Ok(Fork::Child),
    }
}

/// Makes a copy of the calling process whose end is no news to the caller: no SIGCHLD, and `wait` for any child neither
/// waits for it nor reaps it (`clone(2)` without a signal). Whoever wants to reap it says `__WALL`.
///
/// The C library does not hear of it: in the copy it takes the main thread for one with the caller's thread id, until
/// the copy makes a copy of its own with [`fork`].
///
/// # Errors
/// Those of [`fork`].
pub fn fork_without_sigchld() -> io::Result<Fork> {
    clone(0)
}

/// Like [`fork_without_sigchld`], but the copy is not a child of the caller, it is one of the caller's parent, to which it is
/// what the caller is: noticed or not.
///
/// # Errors
/// Those of [`fork`].
pub fn fork_with_clone_parent() -> io::Result<Fork> {
    clone(libc::CLONE_PARENT)
}

fn clone(flags: libc::c_int) -> io::Result<Fork> {
    require_one_thread("a fork")?;
    // SAFETY: as in `fork`. Without a stack of its own the copy goes on on a copy of this one; the other pointers are
    // not used with these flags.
    let returned = unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(flags), 0, 0, 0, 0) };
    match Errno::result(returned)? {
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(Pid::from_raw(i32::try_from(pid).map_err(io::Error::other)?))),
    }
}

/// Leaves a forked copy at once, without the exit handlers and buffers of the program that it is a copy of.
pub fn exit_immediately(code: i32) -> ! {
    // SAFETY: _exit does not return and touches no memory of ours.
    unsafe { libc::_exit(code) }
}

/// The whole life of a forked copy: it leaves with the code that `life` returns, or 101 if it panics, and never goes on
/// with what its original was about to do.
pub fn run_and_exit(main: impl FnOnce() -> i32) -> ! {
    exit_immediately(catch_unwind(AssertUnwindSafe(main)).unwrap_or(101))
}

/// From now on `exit` in this forked copy writes out what C code has printed and leaves, without the exit handlers that
/// its original had registered; those that the copy registers itself still run.
///
/// # Errors
/// When there is no memory left.
pub fn skip_inherited_exit_handlers() -> io::Result<()> {
    unsafe extern "C" {
        /// Registers a handler that is told the exit code, in glibc.
        fn on_exit(handler: extern "C" fn(libc::c_int, *mut libc::c_void), argument: *mut libc::c_void) -> libc::c_int;
    }
    extern "C" fn leave(code: libc::c_int, _: *mut libc::c_void) {
        flush_c_streams();
        exit_immediately(code)
    }
    // SAFETY: the handler is a function that lives for ever, and it ignores its argument. Handlers run last in, first
    // out, so that this one, which does not return, comes before all that were there.
    match unsafe { on_exit(leave, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::OutOfMemory, "on_exit: no memory for another handler")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_more_threads_is_not_forked() {
        // The test harness has a thread of its own beside this one.
        let error = fork().unwrap_err();
        assert!(error.to_string().contains("one thread"), "{error}");
    }
}
