//! What tasks print, passed on to standard error with the name of the actor before each line.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pushflow::{AttemptId, EventKind, Observer, Workflow, WorkflowEvent};

use crate::arguments::Progress;
use crate::progress::Shown;
use crate::unfinished::{Printer, Unfinished};

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
    unfinished: Mutex<Unfinished>,
}

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

    fn print(&self, printer: Printer, text: &[u8]) {
        let name = printer.map_or("worker", |(_, actor)| self.name(actor.index()));
        line(&format!("{name}| {}", String::from_utf8_lossy(text)));
    }

    /// Prints the lines that are complete now, and those that will get no end.
    fn print_lines(&self, event: &EventKind) {
        let mut unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            EventKind::Output { attempt, stream, bytes } => {
                let printer = attempt.map(|(actor, attempt)| (attempt, actor));
                unfinished.add(printer, *stream, bytes, |text| self.print(printer, text));
            }
            EventKind::AttemptFinished { actor, attempt } | EventKind::AttemptFailed { actor, attempt, .. } => {
                unfinished.end(*actor, *attempt, |text| self.print(Some((*attempt, *actor)), text));
            }
            // Which attempts have ended in the meantime is not known.
            EventKind::Dropped { .. } | EventKind::RunEnded { .. } => {
                unfinished.end_all(|printer, text| self.print(printer, text));
            }
            _ => {}
        }
    }
}

impl Observer for TaskOutput {
    fn observe(&self, event: &WorkflowEvent) {
        self.show_progress(event);
        self.print_lines(&event.kind);
        match &event.kind {
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
