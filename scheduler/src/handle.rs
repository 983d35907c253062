//! [`StopHandle`]: what can be asked of a run from elsewhere: to stop, and to say what it does.

use std::fmt;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use pushflow_green::Cancellation;
use pushflow_model::AttemptId;

use crate::run::Input;

/// How long a run may take to answer: it may be in the middle of many triggers, or have ended.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks a run to stop, or what it does, from any thread. Cloning gives another handle for the same run.
#[derive(Clone, Debug)]
pub struct StopHandle {
    run: Sender<Input>,
    /// Cancelled when the run is to stop, also while its pools are opened.
    opening: Cancellation,
}

impl StopHandle {
    pub(crate) fn new(run: Sender<Input>, opening: Cancellation) -> Self {
        StopHandle { run, opening }
    }

    /// In this order: who finds the opening cancelled finds out why.
    fn end(&self, input: Input) {
        self.run.send(input).ok();
        self.opening.cancel();
    }

    /// Asks the run to stop when what runs now has ended: no task starts any more, and those that would take their error
    /// path instead, so that handlers can bring the run to its end. The outcome says that it was stopped and why, unless no
    /// task was left to run. Nothing happens if the run is over.
    pub fn stop_softly(&self, reason: impl Into<String>) {
        self.end(Input::SoftStop { reason: reason.into() });
    }

    /// Asks the run to stop: nothing new starts, what runs is interrupted and, after its grace, ended. The run's outcome
    /// says that it was stopped and why. Nothing happens if the run is over.
    pub fn stop(&self, reason: impl Into<String>) {
        self.end(Input::Stop { reason: reason.into() });
    }

    /// Ends what still runs at once, without its grace; what comes after a [`StopHandle::stop`] that takes too long.
    pub fn kill(&self) {
        self.end(Input::Kill);
    }

    /// What the run does at this moment; `None` if it is over, has not begun, or does not answer within five seconds.
    pub fn explain(&self) -> Option<Explanation> {
        let (answer, answered) = bounded(1);
        self.run.send(Input::Explain(answer)).ok()?;
        answered.recv_timeout(ANSWER_TIMEOUT).ok()
    }
}

/// What a run does at one moment; it displays itself as lines of text.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// How long the run has taken so far.
    pub elapsed: Duration,
    /// The attempts that have not ended, in the order in which they were submitted.
    pub attempts: Vec<OpenAttempt>,
    /// The joins that have something and wait for more, one sentence each.
    pub waiting: Vec<String>,
    /// How many triggers wait to be handled.
    pub queued: usize,
}

/// An attempt that has not ended.
#[derive(Clone, Debug)]
pub struct OpenAttempt {
    /// Which one.
    pub attempt: AttemptId,
    /// The name of its actor.
    pub actor: String,
    /// How long ago it was submitted.
    pub submitted: Duration,
    /// For how long it has been running, and in which process; `None` while it waits for a worker.
    pub running: Option<(Duration, u32)>,
    /// Whether it has been asked to end.
    pub interrupted: bool,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "after {:.1} s:", self.elapsed.as_secs_f64())?;
        self.attempts.iter().try_for_each(|open| writeln!(f, "{open}"))?;
        self.waiting.iter().try_for_each(|sentence| writeln!(f, "{sentence}"))?;
        match self.queued {
            0 => Ok(()),
            queued => writeln!(f, "{queued} triggers wait to be handled"),
        }
    }
}

impl fmt::Display for OpenAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OpenAttempt { attempt, actor, submitted, .. } = self;
        match self.running {
            Some((since, pid)) => {
                write!(
                    f,
                    "{actor:?} (attempt {attempt}) has been running for {:.1} s in process {pid}",
                    since.as_secs_f64()
                )
            }
            None => write!(f, "{actor:?} (attempt {attempt}) has waited {:.1} s for a worker", submitted.as_secs_f64()),
        }?;
        if self.interrupted { f.write_str(", and was asked to end") } else { Ok(()) }
    }
}
