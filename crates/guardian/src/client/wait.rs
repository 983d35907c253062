//! Waiting for a guardian: for its answer, and for its exit as a child of this process.

use std::ffi::{OsStr, OsString};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Waits until a file is readable or at its end, at most for `limit`. Returns whether it is.
pub(super) fn wait_readable(file: BorrowedFd<'_>, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(file, PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(_) if left.is_zero() => return false,
            Ok(ready) if ready > 0 => return true,
            _ => {}
        }
    }
}

/// Waits for the exit of a guardian. Removes its run directory unless the guardian exited with 0: only then has the
/// guardian removed it.
pub(super) fn reap_and_clean_up(pid: Pid, run_directory: &OsStr) {
    if reap(pid) != Some(0) {
        std::fs::remove_dir_all(run_directory).ok();
    }
}

/// Does the same on a thread of its own, so that a guardian that ends later does not remain a zombie.
pub(super) fn reap_later(pid: Pid, run_directory: OsString) {
    let thread = std::thread::Builder::new().name("pushflow-reap".into());
    // Where there can be no thread, the guardian remains a zombie until this program ends.
    thread.spawn(move || reap_and_clean_up(pid, &run_directory)).ok();
}

/// Waits for the exit of a guardian and reaps it. Returns its exit code, or `None` if a signal killed it or this
/// process ignores SIGCHLD.
///
/// `__WALL`, since a wait without it does not see a guardian that is a fork of the zygote.
pub(super) fn reap(pid: Pid) -> Option<i32> {
    loop {
        match waitpid(pid, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Exited(_, code)) => return Some(code),
            Err(Errno::EINTR) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    #[expect(clippy::zombie_processes, reason = "that it is waited for is what is tested")]
    fn a_guardian_that_ends_late_is_reaped_nevertheless() {
        let mut late = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(late.id()).unwrap());
        reap_later(pid, "/no/such/folder".into());
        drop(late.stdin.take());
        let process = Path::new("/proc").join(pid.to_string());
        let deadline = Instant::now() + Duration::from_secs(30);
        while process.exists() {
            assert!(Instant::now() < deadline, "it is a zombie");
            std::thread::yield_now();
        }
    }
}
