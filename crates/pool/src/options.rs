//! [`PoolOptions`]: the number of workers, the graces and timeouts, and how workers are started.

use std::path::PathBuf;
use std::time::Duration;

use pushflow_green::{Environment, EnvironmentError, environment};
use pushflow_model::{PoolType, PythonOptions, StartMethod};

/// The pool of runs that name none: `gevent` in the green environment as it is chosen at this moment (`docs/parity.md`
/// P96), else `process`.
///
/// # Errors
/// When the variable `PUSHFLOW_ENVIRONMENT` names no environment.
pub fn default_pool() -> Result<PoolType, EnvironmentError> {
    Ok(match environment()? {
        Environment::Green => PoolType::Gevent,
        Environment::Plain => PoolType::Process,
    })
}

/// How many green tasks run at a time by default.
const GREEN_TASKS: usize = 10_000;

/// How a pool is made. Options may come with any version: begin with [`PoolOptions::new`], and set what differs from
/// the defaults.
///
/// ```
/// use std::time::Duration;
///
/// use pushflow_pool::PoolOptions;
///
/// let mut options = PoolOptions::new().max_workers(4).interrupt_grace(Duration::from_millis(500));
/// options.scaling = false;
/// assert_eq!(options.worker_limit(), 4);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolOptions {
    /// The most workers at a time; at least one. By default 8 or twice the cores, whichever is more, with scaling, and
    /// one a core without. On the pool `gevent`, how many green tasks run at a time, by default 10,000.
    pub max_workers: Option<usize>,
    /// Whether to begin with one worker, to start another when none is idle, and to end workers that stay idle. Without
    /// scaling all workers are there from the start to the end (`docs/parity.md` P84).
    pub scaling: bool,
    /// After an interrupt, how long an attempt may take to end by itself before its worker is ended.
    pub interrupt_grace: Duration,
    /// When the process that has the pool ends without an exit (killed, say), how long a running attempt may still take
    /// to finish; on daemonic pools it is ended at once.
    pub orphan_grace: Duration,
    /// Whether the exit of the process that has the pool, and the drop of a pool, wait for running attempts. If not,
    /// running attempts are ended at once (`docs/parity.md` P99-P101). Daemonic pools end them at an exit in any case.
    /// On the pools `thread` and `gevent` this and the next two options concern the drop only, since an exit ends the
    /// threads of the process.
    pub wait_on_exit: bool,
    /// How long `wait_on_exit` waits at most before it ends the attempts that still run. By default there is no limit.
    pub wait_on_exit_timeout: Option<Duration>,
    /// Whether running attempts are interrupted before they are waited for.
    pub interrupt_on_exit: bool,
    /// With scaling, how long an idle worker stays.
    pub idle_timeout: Duration,
    /// After how many attempts a worker process is replaced, so that memory that tasks leak is freed; at least one, and
    /// never by default. Another worker is started when there is an attempt for it, also without scaling. While none
    /// can be started, the worker stays. Threads and green tasks are not replaced: they leak into this process.
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
    /// The default options.
    pub fn new() -> PoolOptions {
        PoolOptions::default()
    }

    /// Sets [`PoolOptions::max_workers`](field@PoolOptions::max_workers).
    #[must_use]
    pub fn max_workers(mut self, workers: usize) -> PoolOptions {
        self.max_workers = Some(workers);
        self
    }

    /// Sets [`PoolOptions::scaling`](field@PoolOptions::scaling).
    #[must_use]
    pub fn scaling(mut self, scaling: bool) -> PoolOptions {
        self.scaling = scaling;
        self
    }

    /// Sets [`PoolOptions::interrupt_grace`](field@PoolOptions::interrupt_grace).
    #[must_use]
    pub fn interrupt_grace(mut self, grace: Duration) -> PoolOptions {
        self.interrupt_grace = grace;
        self
    }

    /// Sets [`PoolOptions::orphan_grace`](field@PoolOptions::orphan_grace).
    #[must_use]
    pub fn orphan_grace(mut self, grace: Duration) -> PoolOptions {
        self.orphan_grace = grace;
        self
    }

    /// Sets [`PoolOptions::wait_on_exit`](field@PoolOptions::wait_on_exit).
    #[must_use]
    pub fn wait_on_exit(mut self, waits: bool) -> PoolOptions {
        self.wait_on_exit = waits;
        self
    }

    /// Sets [`PoolOptions::wait_on_exit_timeout`](field@PoolOptions::wait_on_exit_timeout).
    #[must_use]
    pub fn wait_on_exit_timeout(mut self, timeout: Duration) -> PoolOptions {
        self.wait_on_exit_timeout = Some(timeout);
        self
    }

    /// Sets [`PoolOptions::interrupt_on_exit`](field@PoolOptions::interrupt_on_exit).
    #[must_use]
    pub fn interrupt_on_exit(mut self, interrupts: bool) -> PoolOptions {
        self.interrupt_on_exit = interrupts;
        self
    }

    /// Sets [`PoolOptions::idle_timeout`](field@PoolOptions::idle_timeout).
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> PoolOptions {
        self.idle_timeout = timeout;
        self
    }

    /// Sets [`PoolOptions::max_tasks_per_worker`](field@PoolOptions::max_tasks_per_worker).
    #[must_use]
    pub fn max_tasks_per_worker(mut self, tasks: usize) -> PoolOptions {
        self.max_tasks_per_worker = Some(tasks);
        self
    }

    /// Sets [`PoolOptions::blocking_limit`](field@PoolOptions::blocking_limit).
    #[must_use]
    pub fn blocking_limit(mut self, limit: Duration) -> PoolOptions {
        self.blocking_limit = limit;
        self
    }

    /// Sets [`PoolOptions::start_timeout`](field@PoolOptions::start_timeout).
    #[must_use]
    pub fn start_timeout(mut self, timeout: Duration) -> PoolOptions {
        self.start_timeout = timeout;
        self
    }

    /// Sets [`PoolOptions::start_method`](field@PoolOptions::start_method).
    #[must_use]
    pub fn start_method(mut self, method: StartMethod) -> PoolOptions {
        self.start_method = method;
        self
    }

    /// Sets [`PoolOptions::worker`](field@PoolOptions::worker).
    #[must_use]
    pub fn worker(mut self, program: impl Into<PathBuf>) -> PoolOptions {
        self.worker = Some(program.into());
        self
    }

    /// Sets [`PoolOptions::python`](field@PoolOptions::python).
    #[must_use]
    pub fn python(mut self, python: PythonOptions) -> PoolOptions {
        self.python = Some(python);
        self
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

/// The longest time that a pool uses: a hundred years, which any clock can add to now.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl PoolOptions {
    /// The same options with times that can be added to any moment. A longer time means for ever.
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
    fn there_is_always_room_for_one_worker() {
        assert_eq!(PoolOptions { max_workers: Some(0), ..PoolOptions::default() }.worker_limit(), 1);
        assert!(PoolOptions::default().worker_limit() >= 8);
    }
}
