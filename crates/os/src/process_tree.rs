//! Process trees as `/proc` shows them, and ending everything below one process.

use std::io;
use std::path::Path;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::PidFd;

/// An error unless `/proc` shows this process under the pid that it has, and so all others: it may be that of another pid
/// namespace, or not be there.
///
/// # Errors
/// In one sentence.
pub fn require_own_view() -> io::Result<()> {
    let this = Pid::this();
    let shown = std::fs::read_link("/proc/self");
    let problem = match &shown {
        Ok(shown) if *shown == Path::new(&this.to_string()) => return Ok(()),
        Ok(shown) => {
            format!("/proc is that of another pid namespace (there this process is {}, not {this})", shown.display())
        }
        Err(error) => format!("/proc does not show this process ({error})"),
    };
    Err(io::Error::other(format!("{problem}: mount the /proc of this pid namespace")))
}

/// The children of a process, of all its threads; none if it has ended, or may not be looked into.
///
/// From `/proc/PID/task/*/children`: complete while the caller's view does not matter to the microsecond; whoever needs
/// certainty asks again until there is nothing left.
///
/// # Errors
/// When that can't be known now, for want of file descriptors say.
pub fn children(parent: Pid) -> io::Result<Vec<Pid>> {
    let mut children = Vec::new();
    let Some(threads) = if_visible(std::fs::read_dir(format!("/proc/{parent}/task")))? else { return Ok(children) };
    for thread in threads {
        let Some(thread) = if_visible(thread)? else { continue };
        let Some(list) = if_visible(std::fs::read_to_string(thread.path().join("children")))? else { continue };
        children.extend(list.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw));
    }
    Ok(children)
}

/// What `/proc` shows of a process; `None` if it is gone, or hidden from this user, which looks the same with the option
/// `hidepid=2` of `/proc`.
fn if_visible<T>(shown: io::Result<T>) -> io::Result<Option<T>> {
    match shown {
        Ok(shown) => Ok(Some(shown)),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT | libc::ESRCH | libc::EACCES | libc::EPERM) => Ok(None),
            _ => Err(error),
        },
    }
}

/// The number of its threads in `/proc/PID/stat`, counted from the state (`proc_pid_stat(5)`).
const THREADS: usize = 17;

/// The parent of a process and its state letter (`Z` for a zombie), from `/proc/PID/stat`; `None` if it is gone or hidden.
/// A process of which only the main thread has ended is no zombie, though the kernel gives it that letter: it lives, as
/// `S`.
///
/// # Errors
/// When that can't be known now, for want of file descriptors say.
pub fn parent_and_state(pid: Pid) -> io::Result<Option<(Pid, char)>> {
    Ok(if_visible(std::fs::read_to_string(format!("/proc/{pid}/stat")))?.and_then(|stat| parse_stat(&stat)))
}

fn parse_stat(stat: &str) -> Option<(Pid, char)> {
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

/// Whether `child` is a child of `parent` that has not been reaped, also one that is hidden.
///
/// # Errors
/// When that can't be known now, for want of file descriptors say.
pub fn is_child(parent: Pid, child: Pid) -> io::Result<bool> {
    match parent_and_state(child)? {
        Some((actual, _)) => Ok(actual == parent),
        None => Ok(children(parent)?.contains(&child)),
    }
}

/// What one pass over a tree found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// How many processes it looked at.
    pub seen: usize,
    /// How many of them were sent SIGKILL.
    pub killed: usize,
    /// Processes that may not be signalled (another user's).
    pub forbidden: Vec<Pid>,
    /// Whether some could not be looked at now, for want of file descriptors say.
    pub has_failed: bool,
}

/// Sends SIGKILL to everything below `root`, top-down, but not to `root`: one pass.
///
/// One pass may miss what is being forked; whoever wants the tree gone repeats it until nothing is found. `budget`
/// bounds how many processes one pass looks at, so that the caller can do other things in between. Before a process is
/// signalled its parent is checked again through a pidfd, so that no process outside the tree is ever hit.
pub fn kill_descendants(root: Pid, budget: usize) -> Sweep {
    let mut sweep = Sweep::default();
    let mut parents = std::collections::VecDeque::from([root]);
    while let Some(parent) = parents.pop_front() {
        let Ok(children) = children(parent) else {
            sweep.has_failed = true;
            continue;
        };
        for child in children {
            if sweep.seen == budget {
                return sweep;
            }
            sweep.seen += 1;
            match kill_child(parent, child) {
                Ok(true) => {
                    sweep.killed += 1;
                    parents.push_back(child);
                }
                // A process that goes away by itself hands its children up to the root, where the next pass finds them.
                Ok(false) => {}
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                    sweep.forbidden.push(child);
                    parents.push_back(child);
                }
                Err(_) => sweep.has_failed = true,
            }
        }
    }
    sweep
}

/// Kills `child` if it is still the child of `parent` and alive: whether it did.
///
/// # Errors
/// `EPERM` when it belongs to another user; others when it can't be done now, for want of file descriptors say.
pub fn kill_child(parent: Pid, child: Pid) -> io::Result<bool> {
    let process = match PidFd::open(child) {
        Ok(process) => process,
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(false),
        Err(error) => return Err(error),
    };
    // The pidfd names whoever has the pid now: it is ours if its parent is still who we took it for.
    let is_alive = match parent_and_state(child)? {
        Some((actual, state)) => actual == parent && state != 'Z',
        None => children(parent)?.contains(&child) && !process.has_ended()?,
    };
    if !is_alive {
        return Ok(false);
    }
    match process.signal(Signal::SIGKILL) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        Err(error) => Err(error),
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
    fn all_descendants_of_a_process_are_killed_and_the_process_itself_is_not() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & (sleep 60 & echo ready; wait) & wait; wait; echo still here"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        let root = Pid::from_raw(shell.id() as i32);
        let first = kill_descendants(root, 100);
        assert!(first.killed >= 2, "{first:?}");
        while !children(root).unwrap().is_empty() {
            kill_descendants(root, 100);
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
        assert_eq!(kill_descendants(root, 2).killed, 2);
        while !children(root).unwrap().is_empty() {
            kill_descendants(root, 100);
        }
        shell.wait().unwrap();
    }

    #[test]
    fn a_process_that_was_reaped_has_no_children_and_no_parent() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32);
        child.wait().unwrap();
        assert!(children(pid).unwrap().is_empty());
        assert_eq!(parent_and_state(pid).unwrap(), None);
        assert!(!is_child(Pid::this(), pid).unwrap() && !kill_child(Pid::this(), pid).unwrap());
    }

    /// In a process of its own, which may have no more files.
    #[test]
    fn a_process_that_can_not_be_examined_is_not_taken_for_reaped() {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        if !pushflow_isolated_test::is_isolated(
            "process_tree::tests::a_process_that_can_not_be_examined_is_not_taken_for_reaped",
        ) {
            return;
        }
        let mut sleep = Command::new("sleep").arg("60").spawn().unwrap();
        let (this, pid) = (Pid::this(), Pid::from_raw(sleep.id() as i32));
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
        let errors = [
            children(this).map(drop).unwrap_err(),
            parent_and_state(pid).map(drop).unwrap_err(),
            is_child(this, pid).map(drop).unwrap_err(),
            kill_child(this, pid).map(drop).unwrap_err(),
        ];
        let sweep = kill_descendants(this, 100);
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
        sleep.kill().unwrap();
        sleep.wait().unwrap();
        assert_eq!(errors.map(|error| error.raw_os_error()), [Some(libc::EMFILE); 4]);
        assert_eq!(sweep, Sweep { has_failed: true, ..Sweep::default() });
    }
}
