//! What tasks print, passed on to standard error with the name of the actor before each line.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::arguments::Progress;
use crate::progress::Shown;
use pushflow::{AttemptId, EventKind, Observer, Stream, Workflow, WorkflowEvent};

/// Writes one line to standard error; that nobody reads it must not end the run.
pub(crate) fn line(text: &str) {
    let mut error = std::io::stderr().lock();
    error.write_all(format!("{text}\n").as_bytes()).ok();
}

/// Prints the lines of each attempt as they are completed, and the progress of the run between them.
pub(crate) struct TaskOutput {
    progress: Mutex<Shown>,
    /// By the index of the actor.
    names: Vec<String>,
    unfinished: Mutex<HashMap<Source, Vec<u8>>>,
}

/// Where a line comes from: the actor's index and the attempt, and the stream.
type Source = (Option<(usize, u64)>, Stream);

/// A line longer than this is passed on in pieces.
const MAX_LINE: usize = 64 * 1024;

impl TaskOutput {
    pub(crate) fn new(workflow: &Workflow, progress: Progress) -> TaskOutput {
        let names = workflow.graph().actors().map(|(_, actor)| actor.name.clone()).collect();
        TaskOutput { progress: Mutex::new(Shown::new(progress)), names, unfinished: Mutex::default() }
    }

    /// Shows how far the run is, where that is asked for.
    fn show_progress(&self, event: &WorkflowEvent) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = progress.text_for(event, |actor| self.name(actor.index())) {
            std::io::stderr().lock().write_all(text.as_bytes()).ok();
        }
    }

    fn name(&self, actor: usize) -> &str {
        self.names.get(actor).map_or("an actor", String::as_str)
    }

    fn blocked(&self, actor: usize, attempt: AttemptId, held: Duration) -> String {
        let (name, millis) = (self.name(actor), held.as_millis());
        format!(
            "pushflow: {name} (attempt {attempt}) has held the thread of the pool \"gevent\" for {millis} ms, and no other \
             task can run: let it wait with what pushflow gives it, or choose another pool"
        )
    }

    fn print(&self, source: Source, text: &[u8]) {
        let name = source.0.map_or("worker", |(actor, _)| self.name(actor));
        line(&format!("{name}| {}", String::from_utf8_lossy(text)));
    }

    fn add(&self, source: Source, bytes: &[u8]) {
        let mut unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        let text = unfinished.entry(source).or_default();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (part, complete) = match part.strip_suffix(b"\n") {
                Some(part) => (part, true),
                None => (part, false),
            };
            text.extend_from_slice(part);
            if complete || text.len() > MAX_LINE {
                self.print(source, text);
                text.clear();
            }
        }
        if text.is_empty() {
            unfinished.remove(&source);
        }
    }

    /// Prints what has no end of line yet and will get none.
    fn finish(&self, ended: impl Fn(&Source) -> bool) {
        let mut unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        unfinished.retain(|source, text| {
            let ended = ended(source);
            if ended {
                self.print(*source, text);
            }
            !ended
        });
    }
}

impl Observer for TaskOutput {
    fn observe(&self, event: &WorkflowEvent) {
        self.show_progress(event);
        match &event.kind {
            EventKind::Output { attempt, stream, bytes } => {
                let source = attempt.map(|(actor, attempt)| (actor.index(), attempt.0));
                self.add((source, *stream), bytes);
            }
            EventKind::ProcessStopped { actor, pid, signal, .. } => line(&format!(
                "pushflow: {}: process {pid} was stopped by {signal}; it does nothing until it is continued (kill -CONT \
                 {pid}) or ended",
                self.name(actor.index())
            )),
            EventKind::ProcessContinued { actor, pid, .. } => {
                line(&format!("pushflow: {}: process {pid} goes on", self.name(actor.index())));
            }
            EventKind::Stopping { reason } => {
                line(&format!("pushflow: stopping, {reason}; once more kills what runs"));
            }
            EventKind::AttemptBlocked { actor, attempt, held } => line(&self.blocked(actor.index(), *attempt, *held)),
            EventKind::RunEnded { .. } => self.finish(|_| true),
            EventKind::Dropped { events } => {
                line(&format!("pushflow: {events} events of the run were not shown, since printing was too slow"));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_holds_the_thread_is_named_with_what_to_do() {
        let progress = Mutex::new(Shown::new(Progress::None));
        let output = TaskOutput { progress, names: vec!["analyse".into()], unfinished: Mutex::default() };
        assert_eq!(
            output.blocked(0, AttemptId(3), Duration::from_millis(120)),
            "pushflow: analyse (attempt 3) has held the thread of the pool \"gevent\" for 120 ms, and no other task can \
             run: let it wait with what pushflow gives it, or choose another pool"
        );
    }
}
