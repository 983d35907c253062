//! Process trees as `/proc` shows them, and killing all descendants of a process.

use std::io;
use std::path::Path;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::PidFd;

/// An error unless `/proc` shows this process, and so all others, with the pids of this pid namespace. `/proc` may be
/// that of another pid namespace, or not be mounted.
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

/// The children of all threads of a process (`/proc/PID/task/*/children`). There are none if the process has ended or
/// is hidden from this user.
///
/// The list may lack a child that is forked, or whose sibling ends, while the list is read. A caller that needs all
/// children asks again until there are none left.
///
/// # Errors
/// When `/proc` can't be read now, for example without a free file descriptor.
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

/// The result of reading from `/proc`; `None` if the process has been reaped, or is hidden from this user. With the
/// option `hidepid=2` of `/proc` the two can't be distinguished.
fn if_visible<T>(shown: io::Result<T>) -> io::Result<Option<T>> {
    match shown {
        Ok(shown) => Ok(Some(shown)),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT | libc::ESRCH | libc::EACCES | libc::EPERM) => Ok(None),
            _ => Err(error),
        },
    }
}

/// The index of the number of threads among the fields of `/proc/PID/stat`, from the state on (`proc_pid_stat(5)`).
const THREADS: usize = 17;

/// The parent of a process and the letter of its state, `Z` for a zombie, from `/proc/PID/stat`; `None` if the process
/// has been reaped or is hidden from this user.
///
/// The kernel shows `Z` also for a process of which only the main thread has ended. The function returns `S` for it,
/// since the process is alive.
///
/// # Errors
/// When `/proc` can't be read now, for example without a free file descriptor.
pub fn parent_and_state(pid: Pid) -> io::Result<Option<(Pid, char)>> {
    Ok(if_visible(std::fs::read_to_string(format!("/proc/{pid}/stat")))?.and_then(|stat| parse_stat(&stat)))
}

fn parse_stat(stat: &str) -> Option<(Pid, char)> {
    // The name of the process is in parentheses, and may itself have parentheses and spaces in it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    let threads: u32 = fields.get(THREADS)?.parse().ok()?;
    let state = match fields.first()?.chars().next()? {
        'Z' if threads > 1 => 'S',
        state => state,
    };
    Some((Pid::from_raw(parent), state))
}

/// Whether `child` is a child of `parent` that has not been reaped. The child may be hidden from this user.
///
/// # Errors
/// When `/proc` can't be read now, for example without a free file descriptor.
pub fn is_child(parent: Pid, child: Pid) -> io::Result<bool> {
    match parent_and_state(child)? {
        Some((actual, _)) => Ok(actual == parent),
        None => Ok(children(parent)?.contains(&child)),
    }
}

/// The result of one pass over a process tree.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// The number of processes that were examined.
    pub seen: usize,
    /// The number of processes to which SIGKILL was sent.
    pub killed: usize,
    /// Processes of another user, which this process may not signal.
    pub forbidden: Vec<Pid>,
    /// Whether some processes could not be examined now, for example without a free file descriptor.
    pub has_failed: bool,
}

/// Sends SIGKILL to the descendants of `root`, parents before their children, in one pass. `root` itself gets no
/// signal.
///
/// One pass may miss a process that is being forked. A caller that wants to kill all descendants repeats the pass until
/// it finds none. `budget` is the largest number of processes that the pass examines, so that the caller can do other
/// work in between. Before a process gets the signal, its parent is checked again while a pidfd is open, so that no
/// process outside of the tree gets one.
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
                // The children of a process that has ended become children of the root, where the next pass finds them.
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

/// Sends SIGKILL to `child` if it is alive and still a child of `parent`. Returns whether it was.
///
/// # Errors
/// `EPERM` when the child belongs to another user; others when the child can't be examined now, for example without a
/// free file descriptor.
pub fn kill_child(parent: Pid, child: Pid) -> io::Result<bool> {
    let process = match PidFd::open(child) {
        Ok(process) => process,
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(false),
        Err(error) => return Err(error),
    };
    // The pidfd refers to the process that has the pid now, which may be a later one. If the parent of that process is
    // `parent`, the process is in the tree, whichever it is.
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
        // If that failed, the test itself ends the process.
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

    /// In a process of its own, since it lowers the limit of open files.
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
