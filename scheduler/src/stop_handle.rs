//! [`StopHandle`]: what can be asked of a run from elsewhere: to stop, and to say what it does.

use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use pushflow_pool::Cancellation;

use crate::explanation::Explanation;
use crate::run_input::RunInput;

/// How long a run may take to answer: it may be in the middle of many triggers, or have ended.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks a run to stop, or what it does, from any thread. Cloning gives another handle for the same run.
#[derive(Clone, Debug)]
pub struct StopHandle {
    run: Sender<RunInput>,
    /// Cancelled when the run is to stop, also while its pools are opened.
    opening: Cancellation,
}

impl StopHandle {
    pub(crate) fn new(run: Sender<RunInput>, opening: Cancellation) -> Self {
        StopHandle { run, opening }
    }

    /// In this order: who finds the opening cancelled finds out why.
    fn end(&self, input: RunInput) {
        self.run.send(input).ok();
        self.opening.cancel();
    }

    /// Asks the run to stop when what runs now has ended: no task starts any more, and those that would take their error
    /// path instead, so that handlers can bring the run to its end. The outcome says that it was stopped and why, unless no
    /// task was left to run. Nothing happens if the run is over.
    pub fn stop_softly(&self, reason: impl Into<String>) {
        self.end(RunInput::SoftStop { reason: reason.into() });
    }

    /// Asks the run to stop: nothing new starts, what runs is interrupted and, after its grace, ended. The run's outcome
    /// says that it was stopped and why. Nothing happens if the run is over.
    pub fn stop(&self, reason: impl Into<String>) {
        self.end(RunInput::Stop { reason: reason.into() });
    }

    /// Ends what still runs at once, without its grace; what comes after a [`StopHandle::stop`] that takes too long.
    pub fn kill(&self) {
        self.end(RunInput::Kill);
    }

    /// What the run does at this moment; `None` if it is over, has not begun, or does not answer within five seconds.
    pub fn explain(&self) -> Option<Explanation> {
        let (answer, answered) = bounded(1);
        self.run.send(RunInput::Explain(answer)).ok()?;
        answered.recv_timeout(ANSWER_TIMEOUT).ok()
    }
}
