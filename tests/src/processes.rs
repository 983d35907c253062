//! The processes of one run, as `/proc` shows them.
//!
//! Each program under test is started with a [`Mark`] in its environment, and the processes that it starts inherit the
//! mark. A process that has cleared its environment is found as a descendant of a process with the mark. A process
//! without a mark and without such an ancestor is found only by its pid, which the test must know.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The promise: this long after the end of its scheduler, no process of a run is left.
pub const CLEAN_UP_LIMIT: Duration = Duration::from_secs(1);

/// The pause between two checks of a condition.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until a condition holds.
///
/// # Panics
/// When it does not hold within the limit.
pub fn wait_until(what: &str, limit: Duration, condition: impl FnMut() -> bool) {
    wait_since(Instant::now(), what, limit, condition);
}

/// Waits until a condition holds, with a limit that is counted from `since`. Returns the time from `since` to the start of
/// the check that succeeded. A check may take long on a busy machine, so a check counts as late only if it began after
/// the limit.
///
/// # Panics
/// When it does not hold within the limit.
pub fn wait_since(since: Instant, what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    loop {
        let began = since.elapsed();
        if condition() {
            return began;
        }
        assert!(began <= limit, "waited {limit:?} in vain for: {what}");
        thread::sleep(PAUSE);
    }
}

/// Lists the processes that are left until the list is empty, with a limit that is counted from `since`. Returns the time
/// from `since` to the start of the look that found no process.
///
/// # Errors
/// The processes that a look found which began after the limit.
pub fn time_until_none_left(
    since: Instant,
    limit: Duration,
    mut look: impl FnMut() -> Vec<Process>,
) -> Result<Duration, Vec<Process>> {
    loop {
        let began = since.elapsed();
        let left = look();
        if left.is_empty() {
            return Ok(began);
        }
        if began > limit {
            return Err(left);
        }
        thread::sleep(PAUSE);
    }
}

/// A process, as `/proc` showed it at one moment.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// The pid of its parent.
    pub parent: i32,
    /// Its short name: at most 15 bytes.
    pub name: String,
    /// `Z` for a zombie.
    pub state: char,
    /// When it was started, in clock ticks since the boot. Together with the pid this identifies the process.
    pub start_time: u64,
}

impl Process {
    /// The process of this pid, if there is one.
    pub fn find(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (start, rest) = stat.rsplit_once(')')?;
        let (_, name) = start.split_once('(')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        Some(Process {
            pid,
            name: name.to_owned(),
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            start_time: fields.get(19)?.parse().ok()?,
        })
    }

    /// Whether it still runs; a zombie does not.
    pub fn is_running(&self) -> bool {
        Process::find(self.pid).is_some_and(|now| now.start_time == self.start_time && now.state != 'Z')
    }

    /// The program that it runs.
    pub fn executable(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/exe", self.pid)).ok()
    }

    /// The value of an environment variable with which it was started.
    pub fn variable(&self, name: &str) -> Option<String> {
        let environment = fs::read(format!("/proc/{}/environ", self.pid)).ok()?;
        let prefix = format!("{name}=");
        let entry = environment.split(|&byte| byte == 0).find(|entry| entry.starts_with(prefix.as_bytes()))?;
        Some(String::from_utf8_lossy(&entry[prefix.len()..]).into_owned())
    }

    /// The run directory, if the process is a guardian: its working directory. A guardian that has just begun still has
    /// the working directory of its scheduler.
    pub fn run_directory(&self) -> Option<PathBuf> {
        let folder = fs::read_link(format!("/proc/{}/cwd", self.pid)).ok().filter(|_| self.name == "pushflow-guard");
        folder.filter(|folder| folder.to_str().is_some_and(|path| path.starts_with("/tmp/pushflow-")))
    }

    /// Kills it.
    pub fn kill(&self) {
        kill(Pid::from_raw(self.pid), Signal::SIGKILL).ok();
    }
}

/// A value that is in the environment of every process of one run, and of no other process.
#[derive(Clone, Debug)]
pub struct Mark(String);

impl Mark {
    /// The variable that holds it.
    pub const VARIABLE: &str = "PUSHFLOW_TEST_MARK";

    /// A new mark, different from all others.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Mark {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let since = std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970").as_nanos();
        Mark(format!("{}-{}-{since}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.0
    }

    /// Every process with the mark, and every descendant of such a process.
    pub fn processes(&self) -> Vec<Process> {
        let all = all_processes();
        let mut found: HashSet<i32> = all
            .iter()
            .filter(|process| process.variable(Mark::VARIABLE).as_deref() == Some(&self.0))
            .map(|p| p.pid)
            .collect();
        let parents: HashMap<i32, i32> = all.iter().map(|process| (process.pid, process.parent)).collect();
        for process in &all {
            let line: Vec<i32> =
                std::iter::successors(Some(process.pid), |pid| parents.get(pid).copied().filter(|&pid| pid > 1))
                    .collect();
            if let Some(ancestor) = line.iter().position(|pid| found.contains(pid)) {
                found.extend(&line[..ancestor]);
            }
        }
        all.into_iter().filter(|process| found.contains(&process.pid)).collect()
    }

    /// The processes of the run that have this short name.
    pub fn named(&self, name: &str) -> Vec<Process> {
        let mut found = self.processes();
        found.retain(|process| process.name == name);
        found
    }

    /// The workers of a run whose worker program is `pushflow-worker`.
    pub fn workers(&self) -> Vec<Process> {
        self.workers_named("pushflow-worker")
    }

    /// The workers of the run: the children of keepers that have this short name. The parent is checked because a process
    /// that a worker starts has the name of the worker until it executes its program.
    pub fn workers_named(&self, name: &str) -> Vec<Process> {
        let all = self.processes();
        let keepers: Vec<i32> =
            all.iter().filter(|process| process.name == "pushflow-keep").map(|process| process.pid).collect();
        let mut found = self.named(name);
        found.retain(|process| keepers.contains(&process.parent));
        found
    }

    /// The run directories of the run: the working directories of its guardians, and the values that its workers have in
    /// their environment.
    pub fn run_directories(&self) -> HashSet<PathBuf> {
        let processes = self.processes();
        let theirs = processes.iter().filter_map(Process::run_directory);
        let told = processes.iter().filter_map(|process| process.variable("PUSHFLOW_RUN_DIRECTORY"));
        told.map(PathBuf::from).chain(theirs).collect()
    }

    /// Asserts that no process of the run is left [`CLEAN_UP_LIMIT`] from now.
    ///
    /// # Panics
    /// When a process is still there.
    pub fn assert_none_left(&self) {
        self.assert_none_left_since(Instant::now());
    }

    /// Asserts that no process of the run is left [`CLEAN_UP_LIMIT`] after `since`, such as the moment of a kill. Returns
    /// the time as [`time_until_none_left`] does. A zombie of the program itself is no failure: its environment can't be
    /// read.
    ///
    /// # Panics
    /// When a process is still there.
    pub fn assert_none_left_since(&self, since: Instant) -> Duration {
        let gone = time_until_none_left(since, CLEAN_UP_LIMIT, || self.processes());
        gone.unwrap_or_else(|left| panic!("still there after {CLEAN_UP_LIMIT:?}: {left:#?}"))
    }

    /// Kills all processes of the run that are left.
    pub fn kill_all(&self) {
        for _ in 0..100 {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            left.iter().for_each(Process::kill);
            thread::sleep(PAUSE);
        }
    }
}

fn all_processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("there is /proc");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(Process::find).collect()
}
