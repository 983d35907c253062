//! Forks of the calling process, and how a forked process ends.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid};

use crate::environment::require_one_thread;
use crate::files::flush_c_streams;

/// The process in which a fork returns.
#[derive(Clone, Copy, Debug)]
pub enum Fork {
    /// The caller, with the pid of the child.
    Parent(Pid),
    /// The child.
    Child,
}

/// Forks the calling process (`fork(2)`).
///
/// # Errors
/// When the process has more than one thread, or the kernel refuses. The child of a process with several threads could
/// only call `exec`: other threads may hold locks, which no thread of the child releases.
pub fn fork() -> io::Result<Fork> {
    require_one_thread("a fork")?;
    // SAFETY: the process has one thread, so that no lock is held by a thread that the child does not have.
    match unsafe { nix::unistd::fork()? } {
        ForkResult::Parent { child } => Ok(Fork::Parent(child)),
        ForkResult::Child => Ok(Fork::Child),
    }
}

/// Forks the calling process without a signal at the end of the child (`clone(2)` without SIGCHLD).
///
/// A `wait` for any child neither waits for this child nor reaps it, unless the caller passes `__WALL`.
///
/// The C library does not know of the fork: in the child it takes the thread id of the caller for that of the main
/// thread, until the child itself calls [`fork`].
///
/// # Errors
/// Those of [`fork`].
pub fn fork_without_sigchld() -> io::Result<Fork> {
    clone(0)
}

/// Like [`fork_without_sigchld`], but the parent of the new process is the parent of the caller (`CLONE_PARENT`). That
/// parent gets the same signal at the end of the new process as at the end of the caller.
///
/// # Errors
/// Those of [`fork`].
pub fn fork_with_clone_parent() -> io::Result<Fork> {
    clone(libc::CLONE_PARENT)
}

fn clone(flags: libc::c_int) -> io::Result<Fork> {
    require_one_thread("a fork")?;
    // SAFETY: as in `fork`. A null pointer for the stack lets the child continue on its copy of this stack. The kernel
    // does not use the other pointers with these flags.
    let returned = unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(flags), 0, 0, 0, 0) };
    match Errno::result(returned)? {
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(Pid::from_raw(i32::try_from(pid).map_err(io::Error::other)?))),
    }
}

/// Ends a forked process (`_exit(2)`) without the exit handlers and output buffers of the program that it was forked
/// from.
pub fn exit_immediately(code: i32) -> ! {
    // SAFETY: _exit takes a number, does not return, and runs no code of the program.
    unsafe { libc::_exit(code) }
}

/// Runs a function in a forked process and ends the process, with the exit code that the function returns, or 101 if
/// the function panics.
///
/// The process never returns into the code of its parent.
pub fn run_and_exit(main: impl FnOnce() -> i32) -> ! {
    exit_immediately(catch_unwind(AssertUnwindSafe(main)).unwrap_or(101))
}

/// Makes `exit` in this forked process skip the exit handlers that its parent had registered.
///
/// Handlers that this process registers itself still run. Then the output buffers of the C library are flushed, and the
/// process ends.
///
/// # Errors
/// When the process has no memory left.
pub fn skip_inherited_exit_handlers() -> io::Result<()> {
    unsafe extern "C" {
        /// Registers a handler that gets the exit code: a function of glibc.
        fn on_exit(handler: extern "C" fn(libc::c_int, *mut libc::c_void), argument: *mut libc::c_void) -> libc::c_int;
    }
    extern "C" fn leave(code: libc::c_int, _: *mut libc::c_void) {
        flush_c_streams();
        exit_immediately(code)
    }
    // SAFETY: the declaration is that of glibc. The handler is a function of the program, which is there until the
    // process ends, and ignores its argument. Handlers run in the reverse order of their registration: this one runs
    // before those of the parent, and does not return.
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
        // The test harness has another thread.
        let error = fork().unwrap_err();
        assert!(error.to_string().contains("one thread"), "{error}");
    }
}
