//! [`execute`]: runs one attempt of any task in any pool.

use std::sync::Arc;

use pushflow_green::{Cancelled, in_span};
use pushflow_guardian::Interrupter;
use pushflow_model::{AttemptId, Data, ErrorKind, TaskError, TaskSpec};

use crate::context::TaskContext;
use crate::registry::run_rust;
use crate::runner::Runner;

/// Runs one attempt on the calling thread. `runner` runs every task that is not a Rust task; with `None`, such tasks are
/// refused.
///
/// # Errors
/// The failure of the attempt. An attempt that ends because it was interrupted fails with [`ErrorKind::Stopped`], whatever
/// the kind of its task.
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

/// Ends a fork of this process that returned from a task. The task made the fork and the fork has done its work. It must
/// not answer for the attempt a second time, nor wait for the next attempt. It flushes nothing: the lock of a stream may
/// be held by a thread that the fork does not have.
fn leave(ended: &Result<Data, TaskError>) -> ! {
    pushflow_os::fork::exit_immediately(i32::from(ended.is_err()))
}

/// Marks the error as [`ErrorKind::Stopped`] where a Rust task returned [`Cancelled`] after its interruption.
fn followed(mut error: TaskError, interrupter: &Interrupter) -> TaskError {
    if interrupter.is_interrupted() && error.kind == ErrorKind::Raised && error.message == Cancelled.to_string() {
        error.kind = ErrorKind::Stopped;
    }
    error
}
