//! [`Processes`]: the processes that a pool in this process starts for its attempts: commands, and the one interpreter in
//! which its Python tasks run.

use std::sync::Arc;
use std::time::Duration;

use pushflow_execute::Runner;
use pushflow_green::{Cancellation, Environment};
use pushflow_guardian::{
    GuardedLauncher, GuardianClient, Interrupter, OnSchedulerExit, ProcessEvent, StartedProcesses, StopListener,
};
use pushflow_model::{AttemptId, StartMethod};
use pushflow_python::SharedPython;

use crate::attempt::PoolEvent;
use crate::error::OpenError;
use crate::options::PoolOptions;

/// How long the end of a command that was killed after its grace may take to be seen.
pub(super) const KILL_TIME: Duration = Duration::from_millis(500);

pub(super) struct Processes {
    /// `None` if the attempts of the pool start no processes.
    guardian: Option<Arc<GuardianClient>>,
    on_scheduler_exit: OnSchedulerExit,
    /// The processes of running attempts.
    started: Arc<StartedProcesses>,
    python: Option<Arc<SharedPython>>,
}

impl Processes {
    /// Starts the guardian if attempts are to start processes (`with_processes`).
    ///
    /// # Errors
    /// When there is to be a guardian and is none.
    pub(super) fn open(options: &PoolOptions, with_processes: bool) -> Result<Processes, OpenError> {
        let guardian = match with_processes {
            true => Some(GuardianClient::shared(options.worker.as_deref(), StartMethod::Spawn)?),
            false => None,
        };
        Ok(Processes {
            guardian,
            on_scheduler_exit: OnSchedulerExit::after(options.orphan_grace),
            started: Arc::default(),
            python: None,
        })
    }

    /// Adds the interpreter of the Python tasks if the options ask for one. `stops` is called when a signal stops the
    /// interpreter, and with it all its tasks.
    pub(super) fn with_python(
        mut self,
        options: &PoolOptions,
        environment: Environment,
        stops: StopListener,
    ) -> Processes {
        if let Some((launcher, python)) = self.launcher(|| stops).zip(options.python.clone()) {
            self.python = Some(Arc::new(SharedPython::new(python, environment, Arc::new(launcher))));
        }
        self
    }

    /// Starts the interpreter, if there is to be one, and waits until it is ready.
    ///
    /// # Errors
    /// When the interpreter can't be used, or when `opening` is cancelled.
    pub(super) fn start_python(&self, opening: &Cancellation) -> Result<(), OpenError> {
        let Some(python) = &self.python else { return Ok(()) };
        let interrupter = Arc::new(Interrupter::new());
        opening.wakes(&interrupter);
        python.start(&interrupter).map_err(|error| match opening.is_cancelled() {
            true => OpenError::GivenUp,
            false => OpenError::Python(error.message),
        })
    }

    /// A runner of attempts; `None` if they start no processes. The listener is called when a signal stops the command
    /// that the runner runs.
    pub(super) fn runner(&self, stops: impl FnOnce() -> StopListener) -> Option<Runner> {
        Some(Runner::of_pool(Arc::new(self.launcher(stops)?), self.python.as_ref()))
    }

    /// Ends the processes of all running attempts at once.
    pub(super) fn end_all(&self) {
        self.guardian.iter().for_each(|guardian| self.started.end_all(guardian));
    }

    fn launcher(&self, stops: impl FnOnce() -> StopListener) -> Option<GuardedLauncher> {
        let guardian = self.guardian.clone()?;
        let (on_scheduler_exit, started) = (self.on_scheduler_exit, self.started.clone());
        Some(GuardedLauncher { guardian, on_scheduler_exit, started, stops: Some(stops()) })
    }
}

/// The event of a pool that says that a process of the attempt was stopped or goes on; `None` for any other event.
pub(super) fn as_pool_event(attempt: AttemptId, event: &ProcessEvent) -> Option<PoolEvent> {
    match *event {
        ProcessEvent::Stopped { pid, signal } => Some(PoolEvent::ProcessStopped { attempt, pid, signal }),
        ProcessEvent::Continued { pid } => Some(PoolEvent::ProcessContinued { attempt, pid }),
        _ => None,
    }
}
