//! [`ErrorLog`]: the failures of a run.

use super::ending::ActorError;

/// The failures of a run: the first ones, and the number of all others.
#[derive(Debug)]
pub(super) struct ErrorLog {
    pub(super) listed: Vec<ActorError>,
    /// The first of the handled failures, which do not make the run fail.
    pub(super) handled: Vec<ActorError>,
    /// How many failures were handled.
    pub(super) handled_count: u64,
    /// How many unhandled failures are not listed.
    pub(super) more: u64,
    limit: usize,
}

impl ErrorLog {
    pub(super) fn new(limit: usize) -> Self {
        ErrorLog { listed: Vec::new(), handled: Vec::new(), handled_count: 0, more: 0, limit }
    }

    pub(super) fn add(&mut self, error: ActorError) {
        if self.listed.len() < self.limit {
            self.listed.push(error);
        } else {
            self.more += 1;
        }
    }

    pub(super) fn add_handled(&mut self, error: ActorError) {
        self.handled_count += 1;
        if self.handled.len() < self.limit {
            self.handled.push(error);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.more == 0
    }
}
