//! The progress of a run on standard error: one line that is updated in place, or a line for each attempt that begins or
//! ends.
//!
//! The number of attempts to come is not known, since graphs may have cycles. So the line counts the attempts so far.
//!
//! [`ProgressLine`] decides what is written and when, and takes the time as an argument; `terminal.rs` writes it.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use pushflow::{ActorId, EventKind};

use crate::arguments::ProgressMode;

/// The shortest time between two updates of the line.
pub(crate) const PERIOD: Duration = Duration::from_millis(100);
/// Moves the cursor to the beginning of the line and clears the line.
const CLEAR_LINE: &str = "\r\x1b[K";

/// The progress line: its counts, and its text on the terminal.
pub(crate) struct ProgressLine {
    is_bar: bool,
    has_ended: bool,
    done: u64,
    failed: u64,
    /// The attempts that have been submitted and have not ended, and whether each is running.
    open: HashMap<u64, bool>,
    /// The time of the run at which the line was last drawn; `None` before the first time.
    drawn_at: Option<Duration>,
    /// The text that the terminal shows now.
    displayed: Option<String>,
}

impl ProgressMode {
    /// The mode with `Auto` replaced by the one that fits standard error.
    pub(crate) fn chosen(self) -> ProgressMode {
        match self {
            ProgressMode::Auto if std::io::stderr().is_terminal() => ProgressMode::Bar,
            ProgressMode::Auto => ProgressMode::None,
            chosen => chosen,
        }
    }
}

impl ProgressLine {
    pub(crate) fn new(how: ProgressMode) -> ProgressLine {
        ProgressLine {
            is_bar: how == ProgressMode::Bar,
            has_ended: false,
            done: 0,
            failed: 0,
            open: HashMap::new(),
            drawn_at: None,
            displayed: None,
        }
    }

    /// Whether the mode is the line that is updated in place.
    pub(crate) fn is_bar(&self) -> bool {
        self.is_bar
    }

    /// The text that clears the line if it is shown, so that a message can be written.
    pub(crate) fn clear(&mut self) -> &'static str {
        if self.displayed.take().is_some() { CLEAR_LINE } else { "" }
    }

    /// The text that clears the line if it is shown. No line is drawn from now on.
    pub(crate) fn end(&mut self) -> &'static str {
        self.has_ended = true;
        self.clear()
    }

    /// The text that draws the line at this time of the run; `None` if the shown line is still right, or less than [`PERIOD`]
    /// old.
    pub(crate) fn draw(&mut self, at: Duration) -> Option<String> {
        let is_early = self.drawn_at.is_some_and(|drawn_at| at.saturating_sub(drawn_at) < PERIOD);
        if !self.is_bar || self.has_ended || is_early {
            return None;
        }
        let line = self.line(at);
        if self.displayed.as_ref() == Some(&line) {
            return None;
        }
        self.drawn_at = Some(at);
        let text = format!("{CLEAR_LINE}{line}");
        self.displayed = Some(line);
        Some(text)
    }

    /// Updates the counts.
    pub(crate) fn count(&mut self, kind: &EventKind) {
        if !self.is_bar {
            return;
        }
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
            // It is unknown which attempts the dropped events ended.
            EventKind::Dropped { .. } => self.open.clear(),
            _ => {}
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

/// The line about an event, in the mode with a line for each attempt that begins or ends.
pub(crate) fn line_about<'a>(kind: &EventKind, name: impl Fn(ActorId) -> &'a str) -> Option<String> {
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
        let mut progress = ProgressLine::new(ProgressMode::Bar);
        let (actor, attempt) = (actor(), AttemptId);
        let error = || TaskError::new(ErrorKind::Raised, "it broke");
        (1..=4).for_each(|number| progress.count(&EventKind::AttemptSubmitted { actor, attempt: attempt(number) }));
        progress.count(&EventKind::AttemptStarted { actor, attempt: attempt(1), pid: 1 });
        assert_eq!(progress.line(Duration::from_secs(65)), "1:05  0 done, 1 running, 3 waiting");
        progress.count(&EventKind::AttemptFinished { actor, attempt: attempt(1) });
        progress.count(&EventKind::AttemptFailed { actor, attempt: attempt(2), error: error() });
        assert_eq!(progress.line(Duration::ZERO), "0:00  1 done, 1 failed, 0 running, 2 waiting");
        progress.count(&EventKind::Dropped { events: 7 });
        assert_eq!(progress.line(Duration::ZERO), "0:00  1 done, 1 failed, 0 running, 0 waiting");
    }

    #[test]
    fn the_line_is_drawn_again_when_it_would_read_otherwise_and_was_not_only_just_drawn() {
        let mut progress = ProgressLine::new(ProgressMode::Bar);
        let (actor, millis) = (actor(), Duration::from_millis);
        let submitted = |number| EventKind::AttemptSubmitted { actor, attempt: AttemptId(number) };
        let drawn = |line: &str| Some(format!("{CLEAR_LINE}{line}"));
        assert_eq!(progress.draw(millis(5)), drawn("0:00  0 done, 0 running, 0 waiting"));
        progress.count(&submitted(1));
        assert_eq!(progress.draw(millis(104)), None, "it was only just drawn");
        assert_eq!(progress.draw(millis(105)), drawn("0:00  0 done, 0 running, 1 waiting"));
        assert_eq!(progress.draw(millis(999)), None, "it would read the same");
        assert_eq!(progress.draw(millis(1000)), drawn("0:01  0 done, 0 running, 1 waiting"), "the clock goes on");
        progress.count(&submitted(2));
        assert_eq!(progress.draw(millis(900)), None, "time does not go back");
    }

    #[test]
    fn the_line_is_wiped_once_and_comes_back() {
        let mut progress = ProgressLine::new(ProgressMode::Bar);
        assert_eq!(progress.clear(), "", "there is none yet");
        let line = progress.draw(Duration::ZERO);
        assert_eq!((progress.clear(), progress.clear()), (CLEAR_LINE, ""));
        assert_eq!(progress.draw(PERIOD / 2), None);
        assert_eq!(progress.draw(PERIOD), line);
        assert_eq!(
            (progress.end(), progress.draw(PERIOD * 100)),
            (CLEAR_LINE, None),
            "it does not come back from the end"
        );
    }

    #[test]
    fn there_is_no_line_where_none_is_asked_for() {
        for how in [ProgressMode::Plain, ProgressMode::None] {
            let mut progress = ProgressLine::new(how);
            assert_eq!((progress.draw(PERIOD), progress.clear()), (None, ""));
        }
    }

    #[test]
    fn a_line_for_each_attempt_says_whose_it_is() {
        let (actor, attempt) = (actor(), AttemptId(3));
        let text = |kind: EventKind| line_about(&kind, |_| "analyse");
        assert_eq!(text(EventKind::AttemptSubmitted { actor, attempt }), None);
        let begins = text(EventKind::AttemptStarted { actor, attempt, pid: 1 });
        assert_eq!(begins.as_deref(), Some("pushflow: analyse (attempt 3) begins\n"));
        let error = TaskError::new(ErrorKind::Raised, "it broke");
        let failed = text(EventKind::AttemptFailed { actor, attempt, error });
        assert_eq!(failed.as_deref(), Some("pushflow: analyse (attempt 3) failed: Raised: it broke\n"));
    }
}
