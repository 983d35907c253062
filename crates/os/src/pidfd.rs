//! [`PidFd`]: a file descriptor for a process. Unlike a pid, it never refers to a later process with the same pid.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

/// A descriptor for a process (`pidfd_open(2)`), which becomes readable when the process ends.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Opens the process that has this pid now.
    ///
    /// # Errors
    /// `ESRCH` when there is no such process; others when the process has no file descriptor left, or the kernel
    /// refuses.
    pub fn open(pid: Pid) -> io::Result<PidFd> {
        // The kernel answers EINVAL too for a pid that is not positive.
        let pid = rustix::process::Pid::from_raw(pid.as_raw().max(0)).ok_or(Errno::INVAL)?;
        Ok(PidFd(pidfd_open(pid, PidfdFlags::empty())?))
    }

    /// Sends a signal to the process.
    ///
    /// # Errors
    /// `ESRCH` when the process has ended and been reaped, `EPERM` when it belongs to another user.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let signal = rustix::process::Signal::from_named_raw(signal as i32).ok_or(Errno::INVAL)?;
        Ok(pidfd_send_signal(&self.0, signal)?)
    }

    /// Whether the process has ended, reaped or not.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn has_ended(&self) -> io::Result<bool> {
        let now = Timespec::default();
        let ready = retry_on_intr(|| poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&now)))?;
        Ok(ready > 0)
    }

    /// Takes a pidfd that another process has sent.
    pub fn from_received(fd: OwnedFd) -> PidFd {
        PidFd(fd)
    }

    /// Returns the descriptor, for sending it to another process.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_reaped_process_is_not_signalled_through_its_pidfd() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = PidFd::open(Pid::from_raw(child.id() as i32)).unwrap();
        assert!(!process.has_ended().unwrap());
        process.signal(Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(process.has_ended().unwrap());
        assert_eq!(process.signal(Signal::SIGKILL).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }
}
