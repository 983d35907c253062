//! [`RunInput`]: the inputs of the thread that drives a run.

use std::time::Instant;

use crossbeam_channel::Sender;
use pushflow_pool::PoolEvent;

use crate::explanation::Explanation;

/// One input of a run: from its pools, its stop handles, or itself.
#[derive(Debug)]
pub(crate) enum RunInput {
    Pool(Vec<PoolEvent>),
    SoftStop {
        reason: String,
    },
    Stop {
        reason: String,
    },
    Kill,
    Explain(Sender<Explanation>),
    /// From the run itself: the reactor asked for [`pushflow_reactor::Event::Continue`].
    Continue,
    /// From the run itself: the times that were due at this moment count now, since all inputs before this one were
    /// handled.
    TimeUp(Instant),
}
