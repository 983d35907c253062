//! The interpreter of a pool that runs in this process.

use std::sync::Arc;

use pushflow_green::{Cancellation, Environment};
use pushflow_guardian::{
    GuardedLauncher, GuardianClient, Interrupter, OnSchedulerExit, ProcessEvent, StartedProcesses, StopListener,
};
use pushflow_model::AttemptId;
use pushflow_python::SharedPython;

use crate::attempt::PoolEvent;
use crate::error::OpenError;
use crate::options::PoolOptions;

/// The interpreter for the Python tasks of a pool that runs in this process, if there is to be one; `stops` hears when it is
/// stopped, and all its tasks with it.
pub(crate) fn shared_python(
    guardian: Option<&Arc<GuardianClient>>,
    options: &PoolOptions,
    environment: Environment,
    started: &Arc<StartedProcesses>,
    stops: StopListener,
) -> Option<Arc<SharedPython>> {
    let (guardian, python) = guardian.cloned().zip(options.python.clone())?;
    let (on_scheduler_exit, started) = (OnSchedulerExit::after(options.orphan_grace), started.clone());
    let launcher = GuardedLauncher { guardian, on_scheduler_exit, started, stops: Some(stops) };
    Some(Arc::new(SharedPython::new(python, environment, Arc::new(launcher))))
}

/// Starts it, if there is to be one, and waits until it is ready.
pub(crate) fn start_shared(python: Option<&SharedPython>, opening: &Cancellation) -> Result<(), OpenError> {
    let Some(python) = python else { return Ok(()) };
    let interrupter = Arc::new(Interrupter::new());
    opening.wakes(&interrupter);
    python.start(&interrupter).map_err(|error| match opening.is_cancelled() {
        true => OpenError::GivenUp,
        false => OpenError::Python(error.message),
    })
}

/// What the pool of an attempt tells when that happened to a process of the attempt.
pub(crate) fn as_pool_event(attempt: AttemptId, event: &ProcessEvent) -> Option<PoolEvent> {
    match *event {
        ProcessEvent::Stopped { pid, signal } => Some(PoolEvent::ProcessStopped { attempt, pid, signal }),
        ProcessEvent::Continued { pid } => Some(PoolEvent::ProcessContinued { attempt, pid }),
        _ => None,
    }
}
