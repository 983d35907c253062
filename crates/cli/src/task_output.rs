//! [`TaskOutput`]: writes the output of tasks to standard error, with the name of the actor before each line, and messages
//! about events of the run.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pushflow::{AttemptId, EventKind, Observer, Workflow, WorkflowEvent};

use crate::arguments::ProgressMode;
use crate::line_buffers::{LineBuffers, OutputSource};
use crate::progress_line::{ProgressLine, line_about};
use crate::terminal::Terminal;

/// The observer that writes each line of an attempt once it is complete, and the progress of the run below.
pub(crate) struct TaskOutput {
    messages: EventMessages,
    terminal: Terminal,
}

/// Makes the text about each event.
struct EventMessages {
    progress: ProgressMode,
    /// The names of the actors, by their index.
    names: Vec<String>,
    buffers: Mutex<LineBuffers>,
}

impl TaskOutput {
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn new(workflow: &Workflow, progress: ProgressMode) -> io::Result<TaskOutput> {
        let names = workflow.graph().actors().map(|(_, actor)| actor.name.clone()).collect();
        let progress = progress.chosen();
        let terminal = Terminal::new(ProgressLine::new(progress), io::stderr())?;
        Ok(TaskOutput { messages: EventMessages { progress, names, buffers: Mutex::default() }, terminal })
    }
}

impl Observer for TaskOutput {
    fn observe(&self, event: &WorkflowEvent) {
        self.terminal.show_event(&event.kind, event.at, &self.messages.message_of(&event.kind));
    }
}

impl Drop for TaskOutput {
    /// Writes the lines without an end, since the event of the run's end may have been dropped.
    fn drop(&mut self) {
        self.terminal.write_message(&self.messages.unfinished_lines());
    }
}

impl EventMessages {
    fn message_of(&self, event: &EventKind) -> String {
        let mut text = self.complete_lines(event);
        let mut say = |line: &str| text.extend([line, "\n"]);
        match event {
            EventKind::ProcessStopped { actor, pid, signal, .. } => say(&format!(
                "pushflow: {}: process {pid} was stopped by {signal}; it does nothing until it is continued (kill -CONT \
                 {pid}) or ended",
                self.name(actor.index())
            )),
            EventKind::ProcessContinued { actor, pid, .. } => {
                say(&format!("pushflow: {}: process {pid} goes on", self.name(actor.index())));
            }
            EventKind::Stopping { reason } => {
                say(&format!("pushflow: stopping, {reason}; once more kills what runs"));
            }
            EventKind::AttemptBlocked { actor, attempt, held } => say(&self.blocked(actor.index(), *attempt, *held)),
            EventKind::Dropped { events } => {
                say(&format!("pushflow: {events} events of the run were not shown, since printing was too slow"));
            }
            _ if self.progress == ProgressMode::Plain => {
                text.extend(line_about(event, |actor| self.name(actor.index())));
            }
            _ => {}
        }
        text
    }

    /// The lines that this event completes, and the lines without an end of an attempt or a run that has ended.
    fn complete_lines(&self, event: &EventKind) -> String {
        let mut printed = String::new();
        let mut print = |source, text: &[u8]| printed.push_str(&self.line_of(source, text));
        let mut buffers = self.buffers();
        match event {
            EventKind::Output { attempt, stream, bytes } => {
                let source = attempt.map(|(actor, attempt)| (attempt, actor));
                buffers.add(source, *stream, bytes, |text| print(source, text));
            }
            EventKind::AttemptFinished { actor, attempt } | EventKind::AttemptFailed { actor, attempt, .. } => {
                buffers.end(*actor, *attempt, |text| print(Some((*attempt, *actor)), text));
            }
            // It is unknown which attempts the dropped events ended.
            EventKind::Dropped { .. } | EventKind::RunEnded { .. } => buffers.end_all(print),
            _ => {}
        }
        drop(buffers);
        printed
    }

    /// All lines without an end.
    fn unfinished_lines(&self) -> String {
        let mut left = String::new();
        self.buffers().end_all(|source, text| left.push_str(&self.line_of(source, text)));
        left
    }

    fn buffers(&self) -> MutexGuard<'_, LineBuffers> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line_of(&self, source: OutputSource, text: &[u8]) -> String {
        let name = source.map_or("worker", |(_, actor)| self.name(actor.index()));
        format!("{name}| {}\n", String::from_utf8_lossy(text))
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_holds_the_thread_is_named_with_what_to_do() {
        let (progress, names) = (ProgressMode::None, vec!["analyse".into()]);
        let messages = EventMessages { progress, names, buffers: Mutex::default() };
        assert_eq!(
            messages.blocked(0, AttemptId(3), Duration::from_millis(120)),
            "pushflow: analyse (attempt 3) has held the thread of the pool \"gevent\" for 120 ms, and no other task can \
             run: let it wait with what pushflow gives it, or choose another pool"
        );
    }
}
