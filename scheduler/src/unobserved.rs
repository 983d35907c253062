//! [`UnobservedOutput`]: prints what tasks print in a run without observers.
//!
//! It goes where this process prints, as the output of tasks in this process does. A thread prints it, through the queue
//! of a [`Lossy`]: nobody may read the output of this process, and the run must see its deadline nevertheless.

use pushflow_pool::{Stream, print_unlocked};

use crate::event::{EventKind, WorkflowEvent};
use crate::observer::{Lossy, Observer};

/// How many pieces of output may wait to be printed; more are dropped, and counted.
const QUEUE: usize = 4096;

/// Prints what tasks print. Its thread is started with the first output.
#[derive(Default)]
pub(crate) struct UnobservedOutput(Option<Lossy>);

impl UnobservedOutput {
    /// Whether events of this kind are to be told.
    pub(crate) fn wants(kind: &EventKind) -> bool {
        matches!(kind, EventKind::Output { .. } | EventKind::RunEnded { .. })
    }

    pub(crate) fn tell(&mut self, event: &WorkflowEvent) {
        if self.0.is_none() && matches!(event.kind, EventKind::Output { .. }) {
            match Lossy::new(print, QUEUE) {
                Ok(printer) => self.0 = Some(printer),
                Err(error) => return tracing::warn!(%error, "what tasks print can't be shown"),
            }
        }
        if let Some(printer) = &self.0 {
            printer.observe(event);
        }
    }
}

fn print(event: &WorkflowEvent) {
    match &event.kind {
        EventKind::Output { stream, bytes, .. } => print_unlocked(*stream, bytes),
        EventKind::Dropped { events } => {
            let notice = format!("pushflow: {events} pieces of what tasks printed were lost, since nobody read them\n");
            print_unlocked(Stream::Stderr, notice.as_bytes());
        }
        _ => {}
    }
}
