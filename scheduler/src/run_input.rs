//! [`RunInput`]: what the thread that drives a run receives.

use std::time::Instant;

use crossbeam_channel::Sender;
use pushflow_pool::PoolEvent;

use crate::explanation::Explanation;

/// What reaches the run.
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
    /// From the run itself: the reactor has more to do.
    Continue,
    /// From the run itself: what was due by then is due, since all that had been told by then has been heard.
    TimeUp(Instant),
}
