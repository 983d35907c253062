//! Retries: a task that failed is tried again while its actor has retries left for that kind of failure.
//!
//! Each retry is an attempt of its own, with the same inputs. The failure before it is reported as handled; only the
//! last failure is that of the actor. A run that is closing or stopping retries nothing.

use pushflow_model::{AttemptId, TaskError};

use super::in_flight::InFlight;
use super::phase::Phase;
use super::{Reactor, Step};

impl Reactor {
    /// Retries a failed attempt. Gives the attempt and its error back if no retry is left for it.
    pub(super) fn retry(
        &mut self,
        mut open: InFlight,
        attempt: AttemptId,
        error: TaskError,
        step: &mut Step<'_>,
    ) -> Option<(InFlight, TaskError)> {
        let goes_on = matches!(self.phase, Phase::Running) && self.soft_stop.is_none();
        let retry = open.retry.as_mut().filter(|_| goes_on);
        let next =
            retry.and_then(|retry| retry.left.take(error.kind).then(|| (retry.inputs.clone(), retry.left.delay)));
        let Some((inputs, delay)) = next else { return Some((open, error)) };
        self.note_failure(open.actor, Some(attempt), error, true, step);
        open.submitted = step.now;
        self.open_attempt(open, inputs, delay, step);
        None
    }
}
