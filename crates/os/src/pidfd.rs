//! [`PidFd`]: a process by a file descriptor, which never names another process that got its pid later.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// A process, as `pidfd_open(2)` names it. Becomes readable when the process ends.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// The process that has this pid now.
    ///
    /// # Errors
    /// When there is none, or the kernel refuses.
    pub fn open(pid: Pid) -> io::Result<PidFd> {
        // SAFETY: pidfd_open takes two numbers and returns a new descriptor.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
        if fd == -1 {
            return Err(io::Error::last_os_error());
        }
        let fd = i32::try_from(fd).map_err(io::Error::other)?;
        // SAFETY: the descriptor is new and nobody else's.
        Ok(PidFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sends a signal to this process and no other.
    ///
    /// # Errors
    /// `ESRCH` when the process has ended and been reaped, `EPERM` when it belongs to another user.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        // SAFETY: the siginfo pointer may be null; nothing else is a pointer.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal as libc::c_int,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        if sent == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Whether it has ended, reaped or not.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn has_ended(&self) -> io::Result<bool> {
        loop {
            match poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A pidfd that was received from another process.
    pub fn from_received(fd: OwnedFd) -> PidFd {
        PidFd(fd)
    }

    /// The descriptor, to be sent to another process.
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
