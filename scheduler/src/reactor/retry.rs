//! [`Again`]: a task that failed is tried again while its actor has retries left for that kind of failure.
//!
//! Each try is an attempt of its own, with the same inputs. Its failure is told, as a handled one, since something came of
//! it; only the last one is that of the actor. A run that is closing or stopping tries nothing again.

use pushflow_graph::Retries;
use pushflow_model::{AttemptId, Data, TaskError};

use super::{OpenAttempt, Phase, Reactor, Step};

/// With what an attempt is tried again.
#[derive(Debug)]
pub(super) struct Again {
    /// What is left of the actor's retries, for this execution of it.
    pub(super) left: Retries,
    /// What the task gets.
    pub(super) inputs: Data,
}

impl Reactor {
    /// Tries a failed attempt again; gives it back, with its error, if there is no try left for it.
    pub(super) fn try_again(
        &mut self,
        mut open: OpenAttempt,
        attempt: AttemptId,
        error: TaskError,
        step: &mut Step<'_>,
    ) -> Option<(OpenAttempt, TaskError)> {
        let goes_on = matches!(self.phase, Phase::Running) && self.soft_stop.is_none();
        let again = open.again.as_mut().filter(|_| goes_on);
        let next =
            again.and_then(|again| again.left.take(error.kind).then(|| (again.inputs.clone(), again.left.delay)));
        let Some((inputs, delay)) = next else { return Some((open, error)) };
        self.note_failure(open.actor, Some(attempt), error, true, step);
        open.submitted = step.now;
        self.open_attempt(open, inputs, delay, step);
        None
    }
}
