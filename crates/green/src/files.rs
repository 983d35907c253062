//! [`wait_readable`] and [`wait_ready`]: a green task waits for pipes, sockets and pidfds while other tasks run.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::EpollFlags;

use crate::scheduler::Scheduler;

/// The event for which a task waits at a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The file can be read, or is at its end.
    Read,
    /// The file can be written, or no reader is left.
    Write,
}

impl Direction {
    fn poll_flags(self) -> PollFlags {
        match self {
            Direction::Read => PollFlags::POLLIN,
            Direction::Write => PollFlags::POLLOUT,
        }
    }

    pub(crate) fn epoll_flags(self) -> EpollFlags {
        match self {
            Direction::Read => EpollFlags::EPOLLIN,
            Direction::Write => EpollFlags::EPOLLOUT,
        }
    }
}

/// Waits until at least one of the files is readable or at its end, or until the deadline; returns for each file whether
/// it is.
///
/// # Errors
/// When the kernel can't wait for one of the files.
pub fn wait_readable(files: &[BorrowedFd<'_>], deadline: Option<Instant>) -> io::Result<Vec<bool>> {
    wait(files, Direction::Read, deadline)
}

/// Waits until a file is ready, or until the deadline; returns whether it is ready.
///
/// # Errors
/// When the kernel can't wait for the file.
pub fn wait_ready(file: BorrowedFd<'_>, direction: Direction, deadline: Option<Instant>) -> io::Result<bool> {
    Ok(wait(&[file], direction, deadline)? == [true])
}

fn wait(files: &[BorrowedFd<'_>], direction: Direction, deadline: Option<Instant>) -> io::Result<Vec<bool>> {
    let Some((scheduler, key)) = Scheduler::current() else { return poll_until(files, direction, deadline) };
    loop {
        let ready = poll_until(files, direction, Some(Instant::now()))?;
        if ready.contains(&true) || deadline.is_some_and(|at| at <= Instant::now()) {
            return Ok(ready);
        }
        let _watched = scheduler.watch(key, files, direction)?;
        scheduler.park(key, deadline);
    }
}

/// Waits in `poll`, which blocks the thread.
fn poll_until(files: &[BorrowedFd<'_>], direction: Direction, deadline: Option<Instant>) -> io::Result<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> = files.iter().map(|file| PollFd::new(*file, direction.poll_flags())).collect();
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        match poll(&mut polled, left.map_or(PollTimeout::NONE, timeout)) {
            Ok(0) if left.is_none_or(|left| !left.is_zero()) => {}
            Ok(_) => return Ok(polled.iter().map(|file| file.any().unwrap_or(true)).collect()),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The time in milliseconds, rounded up: rounded down, the last millisecond would be spent in calls that return at once.
fn timeout(left: Duration) -> PollTimeout {
    if left.is_zero() {
        return PollTimeout::ZERO;
    }
    PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
}
