//! How far a run is, on standard error: one line that changes, or a line for each attempt that begins or ends.
//!
//! How much there is still to do is not known, since graphs may go round: so it counts what has been done.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use pushflow::{ActorId, EventKind, WorkflowEvent};

use crate::arguments::Progress;

/// How long the line stays as it is, at least.
const PERIOD: Duration = Duration::from_millis(100);
/// Goes to the beginning of the line and wipes it.
const WIPE: &str = "\r\x1b[K";

/// What is shown, and what has been counted.
pub(crate) struct Shown {
    how: Progress,
    done: u64,
    failed: u64,
    /// The attempts that have been submitted and have not ended, and whether they run.
    open: HashMap<u64, bool>,
    /// When the line was last drawn, if it stands there.
    drawn: Option<Duration>,
}

impl Shown {
    pub(crate) fn new(how: Progress) -> Shown {
        let is_terminal = || std::io::stderr().is_terminal();
        let how = match how {
            Progress::Auto if is_terminal() => Progress::Bar,
            Progress::Auto => Progress::None,
            chosen => chosen,
        };
        Shown { how, done: 0, failed: 0, open: HashMap::new(), drawn: None }
    }

    /// What is to be written when this happens, before anything else that is written about it.
    pub(crate) fn text_for<'a>(&mut self, event: &WorkflowEvent, name: impl Fn(ActorId) -> &'a str) -> Option<String> {
        if self.how == Progress::None {
            return None;
        }
        self.count(&event.kind);
        if self.how == Progress::Bar { self.bar(event) } else { plain(&event.kind, name) }
    }

    fn count(&mut self, kind: &EventKind) {
        match kind {
            EventKind::AttemptSubmitted { attempt, .. } => _ = self.open.insert(attempt.0, false),
            EventKind::AttemptStarted { attempt, .. } => _ = self.open.insert(attempt.0, true),
            EventKind::AttemptFinished { attempt, .. } => {
                self.done += 1;
                self.open.remove(&attempt.0);
            }
            EventKind::AttemptFailed { attempt, .. } => {
                self.failed += 1;
                self.open.remove(&attempt.0);
            }
            // What ended in the meantime is not known.
            EventKind::Dropped { .. } => self.open.clear(),
            _ => {}
        }
    }

    fn bar(&mut self, event: &WorkflowEvent) -> Option<String> {
        let is_due = self.drawn.is_none_or(|drawn| event.at.saturating_sub(drawn) >= PERIOD);
        match event.kind {
            // Something else is written: the line has to go, and comes back with the next event.
            EventKind::Output { .. }
            | EventKind::ProcessStopped { .. }
            | EventKind::ProcessContinued { .. }
            | EventKind::Stopping { .. }
            | EventKind::Dropped { .. }
            | EventKind::RunEnded { .. } => self.drawn.take().map(|_| WIPE.to_owned()),
            _ if is_due => {
                self.drawn = Some(event.at);
                Some(format!("{WIPE}{}", self.line(event.at)))
            }
            _ => None,
        }
    }

    fn line(&self, at: Duration) -> String {
        let running = self.open.values().filter(|runs| **runs).count();
        let waiting = self.open.len() - running;
        let (done, failed, seconds) = (self.done, self.failed, at.as_secs());
        let failed = if failed == 0 { String::new() } else { format!(", {failed} failed") };
        format!("{}:{:02}  {done} done{failed}, {running} running, {waiting} waiting", seconds / 60, seconds % 60)
    }
}

fn plain<'a>(kind: &EventKind, name: impl Fn(ActorId) -> &'a str) -> Option<String> {
    let (actor, attempt, what) = match kind {
        EventKind::AttemptStarted { actor, attempt, .. } => (actor, attempt, "begins".to_owned()),
        EventKind::AttemptFinished { actor, attempt } => (actor, attempt, "is done".to_owned()),
        EventKind::AttemptFailed { actor, attempt, error } => (actor, attempt, format!("failed: {error}")),
        _ => return None,
    };
    Some(format!("pushflow: {} (attempt {attempt}) {what}\n", name(*actor)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pushflow::{AttemptId, ErrorKind, TaskError, Workflow};

    fn actor() -> ActorId {
        Workflow::new("test").start().unwrap()
    }

    #[test]
    fn the_line_counts_what_is_done_and_what_is_not() {
        let mut shown = Shown::new(Progress::Bar);
        let (actor, attempt) = (actor(), AttemptId);
        let error = || TaskError::new(ErrorKind::Raised, "it broke");
        (1..=4).for_each(|number| shown.count(&EventKind::AttemptSubmitted { actor, attempt: attempt(number) }));
        shown.count(&EventKind::AttemptStarted { actor, attempt: attempt(1), pid: 1 });
        assert_eq!(shown.line(Duration::from_secs(65)), "1:05  0 done, 1 running, 3 waiting");
        shown.count(&EventKind::AttemptFinished { actor, attempt: attempt(1) });
        shown.count(&EventKind::AttemptFailed { actor, attempt: attempt(2), error: error() });
        assert_eq!(shown.line(Duration::ZERO), "0:00  1 done, 1 failed, 0 running, 2 waiting");
        shown.count(&EventKind::Dropped { events: 7 });
        assert_eq!(shown.line(Duration::ZERO), "0:00  1 done, 1 failed, 0 running, 0 waiting");
    }

    #[test]
    fn a_line_for_each_attempt_says_whose_it_is() {
        let (actor, attempt) = (actor(), AttemptId(3));
        let text = |kind: EventKind| plain(&kind, |_| "analyse");
        assert_eq!(text(EventKind::AttemptSubmitted { actor, attempt }), None);
        let begins = text(EventKind::AttemptStarted { actor, attempt, pid: 1 });
        assert_eq!(begins.as_deref(), Some("pushflow: analyse (attempt 3) begins\n"));
        let error = TaskError::new(ErrorKind::Raised, "it broke");
        let failed = text(EventKind::AttemptFailed { actor, attempt, error });
        assert_eq!(failed.as_deref(), Some("pushflow: analyse (attempt 3) failed: Raised: it broke\n"));
    }
}
