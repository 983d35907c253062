//! What happens to an attempt as time passes: its delay, its time limit, its interrupt, and the patience with it.
//!
//! # The stages of an attempt
//! - *Delayed*: a retry waits for its delay. When the delay is over, the attempt is submitted. An interrupt ends it at
//!   once: no pool has heard of it.
//! - *Queued*: a pool has it, and has not started it. A start makes it *running*.
//! - *Running*: when its time limit is over, it is interrupted. An attempt that had not begun when its worker died is
//!   *queued* again, and has all its time when it starts again.
//! - *Interrupted*: by its limit or by the closing of the run, whichever comes first, and once. The pool ends it: by
//!   itself, by a signal, or on a thread perhaps never. When the patience is over, the reactor gives it up: it has
//!   failed, and what is reported of it later is ignored.
//!
//! An attempt that was interrupted at its limit has failed, whatever it returns.
//!
//! # When time counts
//! Only [`Event::Tick`](super::Event::Tick) makes something due. A result that its caller received before the tick counts, however late
//! the caller hands it over: the tick comes behind everything that was sent before.

use std::time::Duration;

use pushflow_model::{AttemptId, ErrorKind, TaskError};

use super::in_flight::{AttemptStage, InFlight, Running};
use super::message::Action;
use super::phase::Phase;
use super::{EndingKind, Reactor, Step};

impl Reactor {
    /// When the reactor next has something to do without another event: the caller then sends
    /// [`Event::Tick`](super::Event::Tick), behind all events that it has received by then. `None` if nothing becomes due.
    pub fn next_tick(&self) -> Option<Duration> {
        self.deadline().into_iter().chain(self.deadlines.next()).min()
    }

    /// When the run reaches its deadline; `None` if it has none, or is closing or over.
    pub fn deadline(&self) -> Option<Duration> {
        self.times.deadline.filter(|_| matches!(self.phase, Phase::Waiting { .. } | Phase::Running))
    }

    pub(super) fn tick(&mut self, step: &mut Step<'_>) {
        if self.times.deadline.is_some_and(|at| at <= step.now) {
            self.close(EndingKind::TimedOut, step);
        }
        for attempt in self.deadlines.take_due(step.now) {
            let Some(open) = self.open.get_mut(&attempt) else { continue };
            let (actor, tried) = (open.actor, open.tried);
            match &mut open.stage {
                AttemptStage::Delayed { inputs } => {
                    let inputs = std::mem::take(inputs);
                    open.stage = AttemptStage::Queued;
                    step.actions.push(Action::Submit { attempt, actor, tried, inputs });
                }
                AttemptStage::Running(_) => self.interrupt(attempt, self.limits_of_time.of(actor), step),
                AttemptStage::Interrupted { .. } => {
                    step.actions.push(Action::GiveUp { attempt, actor });
                    self.attempt_failed(attempt, given_up(), step);
                }
                AttemptStage::Queued => {}
            }
        }
    }

    pub(super) fn attempt_started(&mut self, attempt: AttemptId, pid: u32, step: &mut Step<'_>) {
        let Some(open) = self.open.get_mut(&attempt) else {
            self.counts.ignored += 1;
            return;
        };
        let running = Running { since: step.now, pid };
        match &mut open.stage {
            AttemptStage::Interrupted { running: known, .. } => *known = Some(running),
            stage => {
                *stage = AttemptStage::Running(running);
                let limit = self.limits_of_time.of(open.actor);
                match limit.and_then(|limit| step.now.checked_add(limit)) {
                    Some(at) => self.deadlines.set(attempt, at),
                    None => self.deadlines.remove(attempt),
                }
            }
        }
    }

    pub(super) fn attempt_requeued(&mut self, attempt: AttemptId) {
        let Some(open) = self.open.get_mut(&attempt) else {
            self.counts.ignored += 1;
            return;
        };
        match &mut open.stage {
            AttemptStage::Interrupted { running, .. } => *running = None,
            AttemptStage::Running(_) => {
                open.stage = AttemptStage::Queued;
                self.deadlines.remove(attempt);
            }
            AttemptStage::Delayed { .. } | AttemptStage::Queued => {}
        }
    }

    /// Interrupts an attempt, unless that was done before. `exceeded` is its time limit, if that is the reason.
    pub(super) fn interrupt(&mut self, attempt: AttemptId, exceeded: Option<Duration>, step: &mut Step<'_>) {
        let Some(open) = self.open.get_mut(&attempt) else { return };
        let (actor, running) = (open.actor, open.running());
        match open.stage {
            AttemptStage::Interrupted { .. } => {}
            AttemptStage::Delayed { .. } => {
                self.attempt_failed(attempt, TaskError::interrupted_before_start(), step);
            }
            AttemptStage::Queued | AttemptStage::Running(_) => {
                open.stage = AttemptStage::Interrupted { running, exceeded };
                self.deadlines.set(attempt, step.now.saturating_add(self.times.patience(actor)));
                step.actions.push(Action::Interrupt { attempt, actor });
            }
        }
    }

    /// Ends the patience with the attempts that were interrupted before, and closes the run.
    pub(super) fn kill(&mut self, step: &mut Step<'_>) {
        let interrupted = |(attempt, open): (&AttemptId, &InFlight)| {
            matches!(open.stage, AttemptStage::Interrupted { .. }).then_some(*attempt)
        };
        for attempt in self.open.iter().filter_map(interrupted) {
            self.deadlines.set(attempt, step.now);
        }
        self.close(EndingKind::Stopped { reason: "killed".to_owned() }, step);
    }
}

/// The error of an attempt that was interrupted and has not ended within the patience of its pool.
fn given_up() -> TaskError {
    TaskError::new(
        ErrorKind::Stopped,
        "the attempt was interrupted and still runs: a task in the scheduler's own process, or in the interpreter that \
         Python tasks share there, ends only by itself; it is left behind",
    )
}

/// The error of an attempt that was interrupted at its time limit and then failed with the error `ended`, or returned a
/// result (`None`). It keeps what `ended` says of the process and the traceback.
pub(super) fn limit_exceeded(limit: Duration, ended: Option<TaskError>, running: Option<Running>) -> TaskError {
    let start = format!("the attempt ran longer than its limit of {} s and was interrupted", limit.as_secs_f64());
    let (end, known) = match ended {
        None => ("what it returned after that was dropped".to_owned(), None),
        Some(error) => {
            let end = match error.kind {
                ErrorKind::Stopped | ErrorKind::WorkerLost => error.message.clone(),
                _ => error.to_string(),
            };
            (end, Some(error))
        }
    };
    let error = TaskError::new(ErrorKind::TimedOut, format!("{start}: {end}"));
    let TaskError { kind, type_name, message, .. } = error;
    let known = known.unwrap_or_else(|| TaskError::new(kind, String::new()));
    let pid = known.pid.or(running.map(|running| running.pid));
    TaskError { kind, type_name, message, pid, ..known }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_says_the_limit_and_how_the_attempt_ended_and_keeps_what_is_known_of_that() {
        let limit = Duration::from_millis(1500);
        let begin = "the attempt ran longer than its limit of 1.5 s and was interrupted: ";
        let running = Some(Running { since: Duration::ZERO, pid: 6 });
        let dropped = limit_exceeded(limit, None, running);
        assert_eq!((dropped.kind, dropped.type_name.as_str()), (ErrorKind::TimedOut, "TimedOut"));
        assert_eq!(dropped.message, format!("{begin}what it returned after that was dropped"));
        assert_eq!(dropped.pid, Some(6));
        let mut lost = TaskError::new(ErrorKind::Stopped, "the worker process (pid 7) was killed");
        (lost.pid, lost.stderr) = (Some(7), vec!["a line".to_owned()]);
        let replaced = limit_exceeded(limit, Some(lost.clone()), running);
        assert_eq!(replaced.message, format!("{begin}the worker process (pid 7) was killed"));
        assert_eq!((replaced.kind, replaced.pid, replaced.stderr), (ErrorKind::TimedOut, lost.pid, lost.stderr));
        let raised = limit_exceeded(limit, Some(TaskError::new(ErrorKind::Panicked, "no way")), None);
        assert_eq!(raised.message, format!("{begin}panic: no way"));
    }
}
