//! [`PoolType`] and [`PoolOptions`]: which pool, how many workers, which grace.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use pushflow_protocol::{POOL_NAMES, PythonOptions};

use crate::green::{self, Environment};

/// The kinds of pool, by the names of the original (`parity.md` P97).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolType {
    /// Threads of the scheduler's own process.
    Thread,
    /// Isolated worker processes, not daemonic: the original's `concurrent.futures`.
    Process,
    /// The same, explicitly not daemonic.
    NdProcess,
    /// Daemonic worker processes: the original's `multiprocessing`.
    Multiprocessing,
    /// The same, not daemonic.
    NdMultiprocessing,
    /// Daemonic worker processes of the billiard family.
    Billiard,
    /// Green tasks on one thread of the scheduler's own process; only in the green environment.
    Gevent,
}

impl Default for PoolType {
    /// `Gevent` in the green environment as it is chosen at this moment (`parity.md` P96), else `Process`, also where
    /// the variable `PUSHFLOW_ENVIRONMENT` is wrong: that is said when the pool is opened.
    fn default() -> Self {
        match green::environment() {
            Ok(Environment::Green) => PoolType::Gevent,
            Ok(Environment::Plain) | Err(_) => PoolType::Process,
        }
    }
}

impl PoolType {
    /// Every type, in the order in which they are listed to users.
    pub const ALL: [PoolType; 7] = [
        PoolType::Thread,
        PoolType::Process,
        PoolType::NdProcess,
        PoolType::Multiprocessing,
        PoolType::NdMultiprocessing,
        PoolType::Billiard,
        PoolType::Gevent,
    ];

    /// The name by which users know it.
    pub const fn name(self) -> &'static str {
        POOL_NAMES[self as usize]
    }
}

impl fmt::Display for PoolType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no pool type's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no pool {name:?}: {}", choices(.name))]
pub struct UnknownPoolType {
    name: String,
}

/// The original's name for any pool with as many workers as are needed: here every pool can do that.
const SCALING: &str = "scaling";

fn choices(name: &str) -> String {
    if name == SCALING {
        let how = "scaling is an option that every pool has, and on by default (PoolOptions::scaling, --no-scaling)";
        return format!("{how}; {}", choose(&POOL_NAMES));
    }
    advice(name, &POOL_NAMES)
}

/// The nearest right name, or all of them where none is near.
pub(crate) fn advice(name: &str, names: &[&str]) -> String {
    let nearest = names
        .iter()
        .max_by(|left, right| strsim::jaro_winkler(left, name).total_cmp(&strsim::jaro_winkler(right, name)));
    match nearest {
        Some(nearest) if strsim::jaro_winkler(nearest, name) > 0.7 => format!("did you mean {nearest:?}?"),
        _ => choose(names),
    }
}

fn choose(names: &[&str]) -> String {
    format!("choose {}", names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" or "))
}

impl FromStr for PoolType {
    type Err = UnknownPoolType;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = PoolType::ALL.into_iter().find(|pool| pool.name() == name);
        found.ok_or_else(|| UnknownPoolType { name: name.to_owned() })
    }
}

/// How worker processes are started (`parity.md` P107, the original's option `context`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StartMethod {
    /// What is best here, which is `spawn`: the only one whose workers have no memory in common.
    #[default]
    Default,
    /// Each worker is the worker program, executed afresh.
    Spawn,
    /// The worker program is executed once, and its workers are copies of it. Their Python interpreters are copies of one
    /// that has imported what tasks need; see `docs/python.md`.
    Forkserver,
    /// Each worker is a copy of this program as it was at `init()`; refused where there was none, or not with one
    /// thread.
    Fork,
}

impl StartMethod {
    /// Every method, in the order in which they are listed to users.
    pub const ALL: [StartMethod; 4] =
        [StartMethod::Default, StartMethod::Spawn, StartMethod::Forkserver, StartMethod::Fork];

    /// The name by which users know it.
    pub fn name(self) -> &'static str {
        match self {
            StartMethod::Default => "default",
            StartMethod::Spawn => "spawn",
            StartMethod::Forkserver => "forkserver",
            StartMethod::Fork => "fork",
        }
    }
}

impl fmt::Display for StartMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no start method's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no start method {name:?}: {}", advice(.name, &StartMethod::ALL.map(StartMethod::name)))]
pub struct UnknownStartMethod {
    name: String,
}

impl FromStr for StartMethod {
    type Err = UnknownStartMethod;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = StartMethod::ALL.into_iter().find(|method| method.name() == name);
        found.ok_or_else(|| UnknownStartMethod { name: name.to_owned() })
    }
}

/// How many green tasks run at a time by default.
const GREEN_TASKS: usize = 10_000;

/// How a pool is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// The most workers at a time; at least one. By default 8 or twice the cores, whichever is more, with scaling, and
    /// one a core without. On the pool `gevent`, how many green tasks run at a time, by default 10,000.
    pub max_workers: Option<usize>,
    /// Whether to begin with one worker, to start another when none is idle, and to end those that stay idle; without
    /// it all workers are there from the start to the end (`parity.md` P84).
    pub scaling: bool,
    /// After an interrupt, how long an attempt may take to end by itself before its worker is ended.
    pub interrupt_grace: Duration,
    /// When the process that has the pool is gone without an exit (killed, say), how long a running attempt may still
    /// take to finish; on daemonic pools it is ended at once.
    pub orphan_grace: Duration,
    /// Whether the exit of the process that has the pool, and the drop of a pool, wait for running attempts; without it
    /// they are ended at once (`parity.md` P99-P101). Daemonic pools end them at an exit in any case. On the pools
    /// `thread` and `gevent` this and the next two concern the drop only: an exit ends what runs in the process itself.
    pub wait_on_exit: bool,
    /// How long that waits at the most, before what still runs is ended; as long as it takes by default.
    pub wait_on_exit_timeout: Option<Duration>,
    /// Whether running attempts are interrupted before they are waited for.
    pub interrupt_on_exit: bool,
    /// With scaling, how long a worker stays that has nothing to do.
    pub idle_timeout: Duration,
    /// After how many attempts a worker process leaves, so that what tasks leak is given back; at least one, and never by
    /// default. Another takes its place when there is something for it to run, also without scaling; while none can be
    /// started, it stays. It concerns worker processes: threads and green tasks leak into this process.
    pub max_tasks_per_worker: Option<usize>,
    /// On the pool `gevent`, how long a task may hold the thread before it is reported as blocking the others.
    pub blocking_limit: Duration,
    /// How long a worker may take from its start until it is ready.
    pub start_timeout: Duration,
    /// How worker processes are started.
    pub start_method: StartMethod,
    /// The worker program, instead of the usual look-up.
    pub worker: Option<PathBuf>,
    /// How to run Python tasks; `None` where no interpreter is needed.
    pub python: Option<PythonOptions>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        PoolOptions {
            max_workers: None,
            scaling: true,
            interrupt_grace: Duration::from_secs(2),
            orphan_grace: Duration::from_secs(30),
            wait_on_exit: true,
            wait_on_exit_timeout: None,
            interrupt_on_exit: false,
            idle_timeout: Duration::from_secs(10),
            max_tasks_per_worker: None,
            blocking_limit: Duration::from_millis(100),
            start_timeout: Duration::from_secs(30),
            start_method: StartMethod::default(),
            worker: None,
            python: None,
        }
    }
}

impl PoolOptions {
    /// The most workers at a time.
    pub fn worker_limit(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let default = if self.scaling { (2 * cores).max(8) } else { cores };
        self.max_workers.unwrap_or(default).max(1)
    }
}

/// No time that a pool is given is longer: a hundred years, which any clock can add to now.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl PoolOptions {
    /// The same with times that can be added to any moment: a longer one means for ever.
    pub(crate) fn bounded(&self) -> PoolOptions {
        let mut options = self.clone();
        for time in [
            &mut options.interrupt_grace,
            &mut options.orphan_grace,
            &mut options.idle_timeout,
            &mut options.blocking_limit,
            &mut options.start_timeout,
        ] {
            *time = LONGEST.min(*time);
        }
        options
    }

    /// The most green tasks at a time.
    pub fn green_limit(&self) -> usize {
        self.max_workers.unwrap_or(GREEN_TASKS).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_pool_name_gets_the_nearest_right_one() {
        let message = |name: &str| name.parse::<PoolType>().unwrap_err().to_string();
        assert_eq!(message("proces"), "there is no pool \"proces\": did you mean \"process\"?");
        assert!(message("xyz").starts_with("there is no pool \"xyz\": choose \"thread\" or \"process\" or"));
        assert!(message("scaling").starts_with(
            "there is no pool \"scaling\": scaling is an option that every pool has, and on by default \
             (PoolOptions::scaling, --no-scaling); choose \"thread\" or"
        ));
        for pool in PoolType::ALL {
            assert_eq!(pool.to_string().parse(), Ok(pool));
        }
    }

    #[test]
    fn a_wrong_start_method_gets_the_nearest_right_one() {
        let message = |name: &str| name.parse::<StartMethod>().unwrap_err().to_string();
        assert_eq!(message("forkserve"), "there is no start method \"forkserve\": did you mean \"forkserver\"?");
        assert!(
            message("xyz").contains("choose \"default\" or \"spawn\" or \"forkserver\" or \"fork\""),
            "{}",
            message("xyz")
        );
        for method in StartMethod::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
        }
    }

    #[test]
    fn there_is_always_room_for_one_worker() {
        assert_eq!(PoolOptions { max_workers: Some(0), ..PoolOptions::default() }.worker_limit(), 1);
        assert!(PoolOptions::default().worker_limit() >= 8);
    }
}
