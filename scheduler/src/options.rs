//! [`RunOptions`]: how a run is to be done.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pushflow_model::PoolType;
use pushflow_pool::PoolOptions;
use pushflow_reactor::{Limits, Outputs};

use crate::observer::Observer;
use crate::stop_signals::StopSignal;

/// How a run is to be done.
///
/// Every field may be read and assigned; each also has a method that sets it and returns the options, so that options
/// can be built in one expression. New fields may appear in any release.
///
/// ```
/// use std::time::Duration;
/// use pushflow::{PoolType, RunOptions};
///
/// let mut options = RunOptions::new().pool(PoolType::Process).timeout(Duration::from_secs(60));
/// options.pool_options.max_workers = Some(4);
/// assert_eq!(options.pool, Some(PoolType::Process));
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct RunOptions {
    /// The pool on which attempts run, where their actor names no other ([`crate::Workflow::run_on`]). `None`, the
    /// default: `gevent` in the green environment, else `process` (`docs/parity.md` P96). The run looks the environment
    /// up when it is prepared, and fails there if the variable `PUSHFLOW_ENVIRONMENT` names no environment.
    pub pool: Option<PoolType>,
    /// The number of workers of each pool, and how long they may take to end. [`PoolOptions::python`] must be `None`:
    /// the run itself fills it in from [`RunOptions::python`].
    pub pool_options: PoolOptions,
    /// How long the whole run may take, with the opening of its pools (`docs/parity.md` P19); no limit by default. When
    /// this time has passed, the run interrupts its attempts, and ends their workers after the grace.
    pub timeout: Option<Duration>,
    /// How long each attempt of a task may take from its start, where its actor has no limit of its own
    /// ([`crate::Workflow::limit_time`]); no limit by default. The run interrupts an attempt that takes longer and ends
    /// its worker after the grace. Such an attempt has failed as [`crate::ErrorKind::TimedOut`], also if it returns a
    /// result after its interruption. On the thread pool an attempt that ignores its cancellation keeps its thread, and
    /// the pool starts another thread in its place.
    pub attempt_timeout: Option<Duration>,
    /// The Python interpreter of all pools, and where it finds modules.
    pub python: PythonSettings,
    /// The signals that stop the run; the second signal kills the attempts that still run. None by default
    /// (`docs/parity.md` P91): then a signal keeps the effect that it had before, which for most signals is to end the
    /// program.
    pub stop_signals: Vec<StopSignal>,
    /// The observers of the run, which are called in this order.
    pub observers: Vec<Arc<dyn Observer>>,
    /// What the outcome holds beside the result.
    pub outputs: Outputs,
    /// How much the run may hold at once, and how often an actor may run.
    pub limits: Limits,
}

impl RunOptions {
    /// The default options.
    pub fn new() -> RunOptions {
        RunOptions::default()
    }

    /// Sets [`RunOptions::pool`].
    #[must_use]
    pub fn pool(mut self, pool: PoolType) -> RunOptions {
        self.pool = Some(pool);
        self
    }

    /// Sets [`RunOptions::pool_options`].
    #[must_use]
    pub fn pool_options(mut self, options: PoolOptions) -> RunOptions {
        self.pool_options = options;
        self
    }

    /// Sets [`RunOptions::timeout`].
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> RunOptions {
        self.timeout = Some(timeout);
        self
    }

    /// Sets [`RunOptions::attempt_timeout`].
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> RunOptions {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// Sets [`RunOptions::python`].
    #[must_use]
    pub fn python(mut self, settings: PythonSettings) -> RunOptions {
        self.python = settings;
        self
    }

    /// Sets [`RunOptions::stop_signals`].
    #[must_use]
    pub fn stop_signals(mut self, signals: impl IntoIterator<Item = StopSignal>) -> RunOptions {
        self.stop_signals = signals.into_iter().collect();
        self
    }

    /// Adds one of the [`RunOptions::observers`]: a value of a type that implements [`Observer`], an `Arc` of one, or a
    /// closure.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer + 'static) -> RunOptions {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Sets [`RunOptions::outputs`].
    #[must_use]
    pub fn outputs(mut self, outputs: Outputs) -> RunOptions {
        self.outputs = outputs;
        self
    }

    /// Sets [`RunOptions::limits`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> RunOptions {
        self.limits = limits;
        self
    }
}

/// Observers are shown by their number.
impl fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RunOptions {
            pool,
            pool_options,
            timeout,
            attempt_timeout,
            python,
            stop_signals,
            observers,
            outputs,
            limits,
        } = self;
        f.debug_struct("RunOptions")
            .field("pool", pool)
            .field("pool_options", pool_options)
            .field("timeout", timeout)
            .field("attempt_timeout", attempt_timeout)
            .field("python", python)
            .field("stop_signals", stop_signals)
            .field("observers", &observers.len())
            .field("outputs", outputs)
            .field("limits", limits)
            .finish()
    }
}

/// Which Python interpreter runs Python tasks, and where it finds modules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PythonSettings {
    /// The interpreter: a path, or a name that is looked up in `PATH`. By default `PUSHFLOW_PYTHON`, the active virtual
    /// environment, or `python3`.
    pub interpreter: Option<String>,
    /// Folders in which Python looks for modules, after the folder of the graph file and before `PYTHONPATH`.
    pub path: Vec<PathBuf>,
}

impl PythonSettings {
    /// The default settings.
    pub fn new() -> PythonSettings {
        PythonSettings::default()
    }

    /// Sets [`PythonSettings::interpreter`].
    #[must_use]
    pub fn interpreter(mut self, interpreter: impl Into<String>) -> PythonSettings {
        self.interpreter = Some(interpreter.into());
        self
    }

    /// Sets [`PythonSettings::path`].
    #[must_use]
    pub fn path(mut self, folders: impl IntoIterator<Item = impl Into<PathBuf>>) -> PythonSettings {
        self.path = folders.into_iter().map(Into::into).collect();
        self
    }
}
