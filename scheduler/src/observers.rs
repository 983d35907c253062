//! [`Observers`]: tells the observers of one run what happens.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crate::event::{EventKind, RunId, WorkflowEvent};
use crate::observer::Observer;

/// The observers of one run, which are told each event in their order.
pub(crate) struct Observers {
    run: RunId,
    pub(crate) began: Instant,
    all: Vec<Arc<dyn Observer>>,
}

impl Observers {
    pub(crate) fn new(run: RunId, began: Instant, all: Vec<Arc<dyn Observer>>) -> Observers {
        Observers { run, began, all }
    }

    /// Tells all observers. One that panics hears nothing more: the run and its other observers go on. What tasks print
    /// without any observer goes where this process prints, as it does on the pools in this process.
    pub(crate) fn tell(&mut self, kind: EventKind) {
        if self.all.is_empty() {
            if let EventKind::Output { stream, bytes, .. } = &kind {
                pushflow_pool::print(*stream, bytes);
            }
            return;
        }
        let event = WorkflowEvent { run: self.run, at: self.began.elapsed(), kind };
        self.all.retain(|observer| {
            // What an observer leaves half done by its panic is never seen again by the run.
            let observed = catch_unwind(AssertUnwindSafe(|| observer.observe(&event)));
            if observed.is_err() {
                tracing::warn!("an observer panicked, and hears nothing more of this run");
            }
            observed.is_ok()
        });
    }

    #[cfg(test)]
    pub(crate) fn add(&mut self, observer: impl Observer + 'static) {
        self.all.push(Arc::new(observer));
    }
}
