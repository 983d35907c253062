//! The place, the signals and the resources of a process, as `/proc` shows them.

use std::fs;

use nix::libc::SYS_futex;
use nix::sys::signal::Signal;

/// Signals 32 and 33. The C library reserves them and lets no program change them, so a process has inherited their
/// state from the program that started the tests.
const OF_THE_C_LIBRARY: u64 = 0b11 << 31;

/// The parent, group and session of a process, and its signal sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelView {
    /// The pid of its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// The signals that it blocks, as a [`signal_set`].
    pub blocked: u64,
    /// The signals that it ignores.
    pub ignored: u64,
    /// The signals for which it has a handler.
    pub caught: u64,
}

impl KernelView {
    /// The process of this pid, if there is one.
    pub fn of(pid: i32) -> Option<KernelView> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse().ok();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let signals = |name| Some(u64::from_str_radix(field(&status, name)?, 16).ok()? & !OF_THE_C_LIBRARY);
        Some(KernelView {
            parent: number(1)?,
            group: number(2)?,
            session: number(3)?,
            blocked: signals("SigBlk")?,
            ignored: signals("SigIgn")?,
            caught: signals("SigCgt")?,
        })
    }
}

/// How the main thread of a process waits for other threads of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until another thread wakes it.
    ForEver,
    /// Until another thread wakes it or a time limit passes.
    Limited,
}

impl Wait {
    /// How the main thread of this process waits now; `None` if it does not wait for a thread. The system call that the
    /// thread is in shows it.
    pub fn of(pid: i32) -> Option<Wait> {
        let call = fs::read_to_string(format!("/proc/{pid}/syscall")).expect("a child of the tests may be looked at");
        let mut words = call.split_whitespace();
        if words.next()?.parse() != Ok(SYS_futex) {
            return None;
        }
        // The fourth argument of the call is the time limit.
        Some(if words.nth(3)? == "0x0" { Wait::ForEver } else { Wait::Limited })
    }
}

/// A set of signals as `/proc` writes it: signal N is bit N-1.
pub fn signal_set(signals: &[Signal]) -> u64 {
    signals.iter().map(|&signal| 1 << (signal as i32 - 1)).sum()
}

/// The resources of a process that must not grow with the number of attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// Its short name.
    pub name: String,
    /// Open files.
    pub files: usize,
    /// Threads.
    pub threads: usize,
    /// Mapped segments of files and of shared memory.
    pub mappings: usize,
    /// Children that have ended and for which it has not waited.
    pub zombies: usize,
}

impl Holdings {
    /// The resources of the process of this pid; `None` if there is no such process or it may not be examined.
    pub fn of(pid: i32) -> Option<Holdings> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let zombie = |child: &i32| {
            let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
            field(&status, "State").is_some_and(|state| state.starts_with('Z'))
        };
        Some(Holdings {
            name: field(&status, "Name")?.to_owned(),
            files: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count(),
            threads: field(&status, "Threads")?.parse().ok()?,
            mappings: mapped_segments(&fs::read_to_string(format!("/proc/{pid}/maps")).ok()?),
            zombies: children(pid).iter().filter(|child| zombie(child)).count(),
        })
    }
}

/// How many of these mappings (`/proc/PID/maps`) are of a file or of shared memory. Such mappings have an inode. The
/// allocator has made the others, and their number depends on how many threads needed memory at the same time.
pub fn mapped_segments(maps: &str) -> usize {
    maps.lines().filter(|line| line.split_whitespace().nth(4).is_some_and(|inode| inode != "0")).count()
}

/// The children of all threads of a process, with the zombies among them.
pub fn children(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t")).map(str::trim)
}
