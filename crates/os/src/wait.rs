//! Waiting for any child that ends, stops or continues.

use std::io;

use nix::errno::Errno;
use nix::unistd::Pid;

/// A child that has ended and has been reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// Its pid, which the kernel may give to another process from now on.
    pub pid: Pid,
    /// The way it ended.
    pub status: Status,
    /// The largest resident memory of the child, or of a descendant that it had waited for, in KiB.
    pub peak_memory_kib: u64,
}

/// The way a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The process exited with this code.
    Exited(i32),
    /// The signal with this number, which may be a real-time signal, killed the process.
    Killed(i32),
}

/// A change of the state of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The child has ended and has been reaped.
    Ended(Reaped),
    /// A signal has stopped the child.
    Stopped {
        /// Its pid.
        pid: Pid,
        /// The signal's number.
        signal: i32,
    },
    /// The child was stopped, and continues.
    Continued {
        /// Its pid.
        pid: Pid,
    },
}

/// A child that has ended or was stopped, without waiting for one: `None` if there is none now. One that has ended is
/// reaped.
///
/// # Errors
/// `ECHILD` when the process has no children.
pub fn change_now() -> io::Result<Option<Change>> {
    next_change(libc::WNOHANG | libc::WUNTRACED)
}

/// Waits until a child ends, stops or continues. One that has ended is reaped.
///
/// # Errors
/// `ECHILD` when the process has no children.
pub fn wait_for_change() -> io::Result<Change> {
    loop {
        if let Some(change) = next_change(libc::WUNTRACED | libc::WCONTINUED)? {
            return Ok(change);
        }
    }
}

/// Calls `wait4(2)`: the functions of `nix` and `rustix` that wait return no use of resources, and those of `nix` fail
/// for a child that a real-time signal killed.
fn next_change(options: libc::c_int) -> io::Result<Option<Change>> {
    loop {
        let mut status = 0;
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: both pointers are to variables of the right type that live until the call returns.
        let returned = unsafe { libc::wait4(-1, &raw mut status, options, usage.as_mut_ptr()) };
        match Errno::result(returned) {
            Ok(0) => return Ok(None),
            Ok(pid) => {
                // SAFETY: it was zeroed, and any bits are valid integers.
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
