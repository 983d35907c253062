//! The processes of one run, as `/proc` shows them.
//!
//! Each program under test is started with a [`Mark`] in its environment, which everything that it starts inherits. What
//! has cleared its environment is found as a descendant of what has not; what is neither is looked for by its pid.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Within this time nothing of a run is left after its scheduler is gone: the promise.
pub const CLEAN_UP_LIMIT: Duration = Duration::from_secs(1);

/// The pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until a condition holds.
///
/// # Panics
/// When it does not within the limit.
pub fn wait_until(what: &str, limit: Duration, condition: impl FnMut() -> bool) {
    wait_since(Instant::now(), what, limit, condition);
}

/// Waits until a condition holds, with a limit that is counted from a moment: how long after that the look began that
/// found it so. A look may take long on a busy machine, so that only one that began after the limit is one too late.
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

/// Looks again and again until nothing is left, with a limit that is counted from a moment: how long after that the
/// look began that found nothing, or what one that began after the limit has found.
///
/// # Errors
/// What is left.
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

/// A process as it was when it was looked at.
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
    /// When it was started, in the machine's ticks; with the pid it names the process for ever.
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

    /// The variable that it was started with.
    pub fn variable(&self, name: &str) -> Option<String> {
        let environment = fs::read(format!("/proc/{}/environ", self.pid)).ok()?;
        let prefix = format!("{name}=");
        let entry = environment.split(|&byte| byte == 0).find(|entry| entry.starts_with(prefix.as_bytes()))?;
        Some(String::from_utf8_lossy(&entry[prefix.len()..]).into_owned())
    }

    /// The run directory, if it is a guardian: that is where it is. One that has just begun is still where its scheduler
    /// was.
    pub fn run_directory(&self) -> Option<PathBuf> {
        let folder = fs::read_link(format!("/proc/{}/cwd", self.pid)).ok().filter(|_| self.name == "pushflow-guard");
        folder.filter(|folder| folder.to_str().is_some_and(|path| path.starts_with("/tmp/pushflow-")))
    }

    /// Kills it.
    pub fn kill(&self) {
        kill(Pid::from_raw(self.pid), Signal::SIGKILL).ok();
    }
}

/// A value that the environment of every process of one run has, and of no other.
#[derive(Clone, Debug)]
pub struct Mark(String);

impl Mark {
    /// The variable that holds it.
    pub const VARIABLE: &str = "PUSHFLOW_TEST_MARK";

    /// A mark that nobody had before.
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

    /// Every process that has the mark, and every descendant of one.
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

    /// The run's workers, where they are `pushflow-worker`.
    pub fn workers(&self) -> Vec<Process> {
        self.workers_named("pushflow-worker")
    }

    /// The run's workers, which have this short name and are children of keepers. What they start may have that name for
    /// a moment.
    pub fn workers_named(&self, name: &str) -> Vec<Process> {
        let all = self.processes();
        let keepers: Vec<i32> =
            all.iter().filter(|process| process.name == "pushflow-keep").map(|process| process.pid).collect();
        let mut found = self.named(name);
        found.retain(|process| keepers.contains(&process.parent));
        found
    }

    /// The run directories of the run: where its guardians are, and what its workers were told.
    pub fn run_directories(&self) -> HashSet<PathBuf> {
        let processes = self.processes();
        let theirs = processes.iter().filter_map(Process::run_directory);
        let told = processes.iter().filter_map(|process| process.variable("PUSHFLOW_RUN_DIRECTORY"));
        told.map(PathBuf::from).chain(theirs).collect()
    }

    /// Asserts that nothing of the run is left, or is gone a moment later.
    ///
    /// # Panics
    /// When something is still there after [`CLEAN_UP_LIMIT`].
    pub fn assert_none_left(&self) {
        self.assert_none_left_since(Instant::now());
    }

    /// Asserts that nothing of the run is left [`CLEAN_UP_LIMIT`] after a moment, as that of a kill; how long it took, see
    /// [`time_until_none_left`]. A program that has ended and was not waited for is not in the way.
    ///
    /// # Panics
    /// When something is still there.
    pub fn assert_none_left_since(&self, since: Instant) -> Duration {
        let gone = time_until_none_left(since, CLEAN_UP_LIMIT, || self.processes());
        gone.unwrap_or_else(|left| panic!("still there after {CLEAN_UP_LIMIT:?}: {left:#?}"))
    }

    /// Kills whatever is left of the run.
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
