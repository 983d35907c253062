//! Waiting for children: whichever ends, stops or goes on next.

use std::io;

use nix::errno::Errno;
use nix::unistd::Pid;

/// A child that has ended and has been reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// Its pid, which another process may get from now on.
    pub pid: Pid,
    /// How it ended.
    pub status: Status,
    /// The most memory that it, or a descendant it had waited for, had resident, in KiB.
    pub peak_memory_kib: u64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It exited with this code.
    Exited(i32),
    /// It was killed by the signal of this number, which may be a real-time signal.
    Killed(i32),
}

/// What has happened to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has ended and has been reaped.
    Ended(Reaped),
    /// It was stopped by the signal of this number.
    Stopped {
        /// Its pid.
        pid: Pid,
        /// The signal's number.
        signal: i32,
    },
    /// It was stopped, and goes on.
    Continued {
        /// Its pid.
        pid: Pid,
    },
}

/// A child that has ended, and has been reaped, or was stopped; `None` if there is none now.
///
/// # Errors
/// `ECHILD` when there are no children at all.
pub fn change_now() -> io::Result<Option<Change>> {
    next_change(libc::WNOHANG | libc::WUNTRACED)
}

/// Waits until a child ends, stops or goes on; one that has ended is reaped.
///
/// # Errors
/// `ECHILD` when there are no children at all.
pub fn wait_for_change() -> io::Result<Change> {
    loop {
        if let Some(change) = next_change(libc::WUNTRACED | libc::WCONTINUED)? {
            return Ok(change);
        }
    }
}

fn next_change(options: libc::c_int) -> io::Result<Option<Change>> {
    loop {
        let mut status = 0;
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: both pointers are to memory of ours of the right type that lives until the call returns.
        let returned = unsafe { libc::wait4(-1, &raw mut status, options, usage.as_mut_ptr()) };
        match Errno::result(returned) {
            Ok(0) => return Ok(None),
            Ok(pid) => {
                // SAFETY: it was zeroed, and every bit pattern of its integers is valid.
                let peak = unsafe { usage.assume_init() }.ru_maxrss;
                return Ok(Some(change(Pid::from_raw(pid), status, peak.unsigned_abs())));
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn change(pid: Pid, status: libc::c_int, peak_memory_kib: u64) -> Change {
    if libc::WIFSTOPPED(status) {
        return Change::Stopped { pid, signal: libc::WSTOPSIG(status) };
    }
    if libc::WIFCONTINUED(status) {
        return Change::Continued { pid };
    }
    let status = match libc::WIFSIGNALED(status) {
        true => Status::Killed(libc::WTERMSIG(status)),
        false => Status::Exited(libc::WEXITSTATUS(status)),
    };
    Change::Ended(Reaped { pid, status, peak_memory_kib })
}
