//! Reaping children: whichever ends next.

use std::io;

use nix::unistd::Pid;

use crate::files::check;

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

/// Reaps a child that has ended: waits for one if `block`, else `None` if there is none now.
///
/// # Errors
/// `ECHILD` when there are no children at all.
pub fn reap_any(block: bool) -> io::Result<Option<Reaped>> {
    let options = if block { 0 } else { libc::WNOHANG };
    loop {
        let mut status = 0;
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: both pointers are to memory of ours of the right type that lives until the call returns.
        let returned = check(unsafe { libc::wait4(-1, &raw mut status, options, usage.as_mut_ptr()) });
        match returned {
            Ok(0) => return Ok(None),
            Ok(pid) => {
                // SAFETY: it was zeroed, and every bit pattern of its integers is valid.
                let peak = unsafe { usage.assume_init() }.ru_maxrss;
                let status = if libc::WIFSIGNALED(status) {
                    Status::Killed(libc::WTERMSIG(status))
                } else {
                    Status::Exited(libc::WEXITSTATUS(status))
                };
                return Ok(Some(Reaped { pid: Pid::from_raw(pid), status, peak_memory_kib: peak.unsigned_abs() }));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
