//! What a process is to the kernel, and what it holds, as `/proc` shows it to everybody.

use std::fs;

use nix::libc::SYS_futex;
use nix::sys::signal::Signal;

/// Signals 32 and 33: the C library keeps them to itself and lets nobody else change them, so that they are as whoever
/// started the tests has left them.
const OF_THE_C_LIBRARY: u64 = 0b11 << 31;

/// Where a process stands, and what it does with signals.
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
    /// Those that it ignores.
    pub ignored: u64,
    /// Those that it has a handler for.
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

/// How the main thread of a process waits for others of its threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until one of them wakes it.
    ForEver,
    /// Until then or until a time is over.
    Limited,
}

impl Wait {
    /// That of the process of this pid, if it does wait for threads now: the call of the kernel that it is in.
    pub fn of(pid: i32) -> Option<Wait> {
        let call = fs::read_to_string(format!("/proc/{pid}/syscall")).expect("a child of the tests may be looked at");
        let mut words = call.split_whitespace();
        if words.next()?.parse() != Ok(SYS_futex) {
            return None;
        }
        // The fourth argument is the time.
        Some(if words.nth(3)? == "0x0" { Wait::ForEver } else { Wait::Limited })
    }
}

/// A set of signals in the form of `/proc`.
pub fn signal_set(signals: &[Signal]) -> u64 {
    signals.iter().map(|&signal| 1 << (signal as i32 - 1)).sum()
}

/// How much of what must not grow a process holds.
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
    /// Children that have ended and that it has not waited for.
    pub zombies: usize,
}

impl Holdings {
    /// What the process of this pid holds, if there is one and it may be looked at.
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

/// How many of these mappings, as `/proc/PID/maps` has them, are of a file or of shared memory: those have an inode. What
/// else there is the allocator has mapped, for as many threads as happened to need memory at the same time.
pub fn mapped_segments(maps: &str) -> usize {
    maps.lines().filter(|line| line.split_whitespace().nth(4).is_some_and(|inode| inode != "0")).count()
}

/// The children of a process, of all its threads, those included that have ended and are not waited for.
pub fn children(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t")).map(str::trim)
}
