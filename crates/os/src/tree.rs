//! Process trees as `/proc` shows them, and ending everything below one process.

use std::io;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::PidFd;

/// The children of a process, of all its threads; none if it has ended.
///
/// From `/proc/PID/task/*/children`: complete while the caller's view does not matter to the microsecond; whoever needs
/// certainty asks again until there is nothing left.
pub fn children(parent: Pid) -> Vec<Pid> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{parent}/task")) else { return Vec::new() };
    threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect::<Vec<_>>()
        })
        .collect()
}

/// The number of its threads in `/proc/PID/stat`, counted from the state (`proc_pid_stat(5)`).
const THREADS: usize = 17;

/// The parent of a process and its state letter (`Z` for a zombie), from `/proc/PID/stat`; `None` if it is gone. A process
/// of which only the main thread has ended is no zombie, though the kernel gives it that letter: it lives, as `S`.
pub fn parent_and_state(pid: Pid) -> Option<(Pid, char)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything, parentheses and spaces too.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    let threads: u32 = fields.get(THREADS)?.parse().ok()?;
    let state = match fields.first()?.chars().next()? {
        'Z' if threads > 1 => 'S',
        state => state,
    };
    Some((Pid::from_raw(parent), state))
}

/// What one pass over a tree found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// How many processes were sent SIGKILL.
    pub killed: usize,
    /// Processes that may not be signalled (another user's).
    pub forbidden: Vec<Pid>,
}

/// Sends SIGKILL to everything below `root`, top-down, but not to `root`: one pass.
///
/// One pass may miss what is being forked; whoever wants the tree gone repeats it until nothing is found. `budget`
/// bounds how many processes one pass looks at, so that the caller can do other things in between. Before a process is
/// signalled its parent is checked again through a pidfd, so that no process outside the tree is ever hit.
pub fn kill_below(root: Pid, budget: usize) -> Sweep {
    let mut sweep = Sweep::default();
    let mut parents = std::collections::VecDeque::from([root]);
    let mut left = budget;
    while let Some(parent) = parents.pop_front() {
        for child in children(parent) {
            if left == 0 {
                return sweep;
            }
            left -= 1;
            match kill_child(parent, child) {
                Ok(true) => {
                    sweep.killed += 1;
                    parents.push_back(child);
                }
                // A process that goes away by itself hands its children up to the root, where the next pass finds them.
                Ok(false) => {}
                Err(_) => {
                    sweep.forbidden.push(child);
                    parents.push_back(child);
                }
            }
        }
    }
    sweep
}

/// Kills `child` if it is still the child of `parent` and alive: whether it did.
///
/// # Errors
/// `EPERM` when it belongs to another user.
pub fn kill_child(parent: Pid, child: Pid) -> io::Result<bool> {
    let Ok(process) = PidFd::open(child) else { return Ok(false) };
    // The pidfd names whoever has the pid now: it is ours if its parent is still who we took it for.
    match parent_and_state(child) {
        Some((actual, state)) if actual == parent && state != 'Z' => {}
        _ => return Ok(false),
    }
    match process.signal(Signal::SIGKILL) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(Errno::EPERM as i32) => Err(error),
        Err(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_whose_main_thread_has_ended_is_killed_too() {
        let program = "import ctypes, os, sys, threading, time\n\
                       threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n\
                       print('ready', flush=True)\n\
                       ctypes.CDLL(None).syscall(60, 0)";
        let mut python = Command::new("python3").args(["-c", program]).stdout(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(python.id()).unwrap());
        BufReader::new(python.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        let letter = || {
            std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().rsplit_once(") ").unwrap().1.chars().next()
        };
        while letter() != Some('Z') {
            std::thread::yield_now();
        }
        let killed = kill_child(Pid::this(), pid);
        // Where it was not, it is not left behind by the test either.
        python.kill().unwrap();
        python.wait().unwrap();
        assert!(killed.unwrap());
    }

    #[test]
    fn everything_below_a_process_is_killed_and_the_process_itself_is_not() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & (sleep 60 & echo ready; wait) & wait; wait; echo still here"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        let root = Pid::from_raw(shell.id() as i32);
        let first = kill_below(root, 100);
        assert!(first.killed >= 2, "{first:?}");
        while !children(root).is_empty() {
            kill_below(root, 100);
        }
        assert_eq!(lines.next().unwrap().unwrap(), "still here");
        assert!(shell.wait().unwrap().success());
    }

    #[test]
    fn a_pass_stops_at_its_budget() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & sleep 60 & sleep 60 & echo ready; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        let root = Pid::from_raw(shell.id() as i32);
        assert_eq!(kill_below(root, 2).killed, 2);
        while !children(root).is_empty() {
            kill_below(root, 100);
        }
        shell.wait().unwrap();
    }

    #[test]
    fn a_process_that_is_gone_has_no_children_and_no_parent() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32);
        child.wait().unwrap();
        assert!(children(pid).is_empty());
        assert_eq!(parent_and_state(pid), None);
    }
}
