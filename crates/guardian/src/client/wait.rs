//! Waiting for a guardian: until it answers or has ended, and its end as a child of this process.

use std::ffi::{OsStr, OsString};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Waits until a file is readable or at its end; `false` when the time is over.
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

/// Reaps a guardian that has ended or is about to, and removes its folder if it was killed, or nobody can know: then nobody
/// else does.
pub(super) fn reap_and_clean_up(pid: Pid, run_directory: &OsStr) {
    if reap(pid) != Some(0) {
        std::fs::remove_dir_all(run_directory).ok();
    }
}

/// Does so whenever it ends, so that it is no zombie for as long as this program runs.
pub(super) fn reap_later(pid: Pid, run_directory: OsString) {
    let thread = std::thread::Builder::new().name("pushflow-reap".into());
    // Without a thread it is a zombie until the end of this program.
    thread.spawn(move || reap_and_clean_up(pid, &run_directory)).ok();
}

/// Waits for the end of a guardian, which is a child that a plain wait does not see if it is a copy of the zygote: its
/// exit code, if it had one and is known. It is not where this process ignores SIGCHLD.
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
