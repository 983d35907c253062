//! [`execute`]: one attempt of any task, wherever it runs.

use std::sync::Arc;

use pushflow_green::{Cancelled, in_span};
use pushflow_guardian::Interrupter;
use pushflow_model::{AttemptId, Data, ErrorKind, TaskError, TaskSpec};

use crate::context::TaskContext;
use crate::registry::run_rust;
use crate::runner::Runner;

/// Runs one attempt on the calling thread; `runner` is for what is no Rust task, `None` where such do not run.
///
/// # Errors
/// However the attempt fails. One that follows its interruption, by whatever way its kind of task has, is
/// [`ErrorKind::Stopped`].
pub fn execute(
    runner: Option<&mut Runner>,
    task: &TaskSpec,
    inputs: &Data,
    (actor, attempt): (Arc<str>, AttemptId),
    interrupter: &Interrupter,
) -> Result<Data, TaskError> {
    let span = tracing::info_span!("attempt", actor = &*actor, %attempt);
    in_span(span, || match (task, runner) {
        (TaskSpec::Rust { name }, _) => {
            let context = TaskContext::new(actor, attempt.0, interrupter.cancellation().clone());
            let process = std::process::id();
            let ended = run_rust(name, inputs, &context);
            if std::process::id() != process {
                leave(&ended);
            }
            ended.map_err(|error| followed(error, interrupter))
        }
        (task, Some(runner)) => runner.run(task, inputs, interrupter),
        (_, None) => Err(TaskError::new(ErrorKind::Unsupported, "this pool was opened without processes for commands")),
    })
}

/// Ends a fork of this process that came back from a task: what it was for, it has done. It has one thread, and must
/// neither answer for the attempt a second time nor wait for the next. Nothing is flushed: a thread that is missing here
/// may hold the lock.
fn leave(ended: &Result<Data, TaskError>) -> ! {
    pushflow_os::fork::exit_immediately(i32::from(ended.is_err()))
}

/// A Rust task that returns [`Cancelled`] after it was interrupted did what it was asked to.
fn followed(mut error: TaskError, interrupter: &Interrupter) -> TaskError {
    if interrupter.is_interrupted() && error.kind == ErrorKind::Raised && error.message == Cancelled.to_string() {
        error.kind = ErrorKind::Stopped;
    }
    error
}
