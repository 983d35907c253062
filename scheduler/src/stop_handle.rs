//! [`StopHandle`]: stops a run from another thread, and asks it what it does.

use std::sync::{Arc, OnceLock};
use std::thread::ThreadId;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use pushflow_green::Cancellation;

use crate::explanation::Explanation;
use crate::run_input::RunInput;

/// How long a run may take to answer: it may be handling many triggers, or have ended.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Stops a run, or asks it what it does, from any thread. A clone is another handle for the same run.
#[derive(Clone, Debug)]
pub struct StopHandle {
    run: Sender<RunInput>,
    /// Cancelled by each request to stop, which also ends the opening of the run's pools.
    opening: Cancellation,
    /// The thread that drives the run, once it does.
    driver: Arc<OnceLock<ThreadId>>,
}

impl StopHandle {
    /// The handle of a run that receives from this channel and opens its pools next.
    pub(crate) fn new(run: Sender<RunInput>) -> Self {
        StopHandle { run, opening: Cancellation::new(), driver: Arc::default() }
    }

    /// The cancellation that ends the opening of the run's pools.
    pub(crate) fn opening(&self) -> &Cancellation {
        &self.opening
    }

    /// Notes that this thread drives the run from now on.
    pub(crate) fn note_driver(&self) {
        self.driver.set(std::thread::current().id()).ok();
    }

    /// Sends the request before it cancels the opening, so that a run whose opening was cancelled finds the reason.
    fn end(&self, input: RunInput) {
        self.run.send(input).ok();
        self.opening.cancel();
    }

    /// Asks the run to stop when its running attempts have ended. No task starts any more: a task that would start
    /// takes its error path instead, so that handlers can bring the run to its end. The outcome is
    /// [`crate::EndingKind::Stopped`] with the reason, unless no task was left to run. Nothing happens if the run is
    /// over.
    pub fn stop_softly(&self, reason: impl Into<String>) {
        self.end(RunInput::SoftStop { reason: reason.into() });
    }

    /// Asks the run to stop: no task starts any more, and running attempts are interrupted and, after their grace,
    /// ended. The outcome is [`crate::EndingKind::Stopped`] with the reason. Nothing happens if the run is over.
    pub fn stop(&self, reason: impl Into<String>) {
        self.end(RunInput::Stop { reason: reason.into() });
    }

    /// Ends the running attempts at once, without their grace, for when [`StopHandle::stop`] takes too long.
    pub fn kill(&self) {
        self.end(RunInput::Kill);
    }

    /// What the run does at this moment; `None` if the run is over, has not begun, or does not answer within five
    /// seconds. `None` at once on the thread that drives the run, where observers are called: that thread can't answer
    /// itself.
    pub fn explain(&self) -> Option<Explanation> {
        if self.driver.get() == Some(&std::thread::current().id()) {
            return None;
        }
        let (answer, answered) = bounded(1);
        self.run.send(RunInput::Explain(answer)).ok()?;
        answered.recv_timeout(ANSWER_TIMEOUT).ok()
    }
}
