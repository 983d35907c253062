//! [`Outcome`]: how a run ended, and [`RunFailure`]: the same as an error.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use pushflow_model::Data;
use pushflow_reactor::{ActorError, Ending, EndingKind};

use crate::event::RunId;
use crate::stop_signals::StopSignal;

/// How a run ended, with its result and every error that no handler took.
///
/// It displays itself as one sentence, such as `the run failed after 0.3 s`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The run.
    pub run: RunId,
    /// How long the run took, with the opening of its pools.
    pub elapsed: Duration,
    /// The first signal that arrived, of those that stop the run ([`crate::RunOptions::stop_signals`]).
    pub signal: Option<StopSignal>,
    /// How the run ended, with its result and its errors.
    pub ending: Ending,
}

impl Outcome {
    /// Whether everything that was triggered ran, without an error that no handler took.
    pub fn is_finished(&self) -> bool {
        self.ending.kind == EndingKind::Finished
    }

    /// The data that reached the stop actor, however the run ended; see [`Ending::result`].
    pub fn result(&self) -> Option<&Data> {
        self.ending.result.as_ref()
    }

    /// The errors that no handler took, in the order in which they came; see [`Ending::errors`].
    pub fn errors(&self) -> &[ActorError] {
        &self.ending.errors
    }

    /// The result of a run that finished: the data that reached the stop actor, without any entry if nothing reached
    /// it.
    ///
    /// # Errors
    /// When the run did not finish. The error names how the run ended and each actor error.
    pub fn into_result(self) -> Result<Data, RunFailure> {
        if self.is_finished() { Ok(self.ending.result.unwrap_or_default()) } else { Err(RunFailure(Box::new(self))) }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        match &self.ending.kind {
            EndingKind::Finished => write!(f, "the run finished after {seconds:.1} s"),
            EndingKind::Failed => write!(f, "the run failed after {seconds:.1} s"),
            EndingKind::TimedOut => write!(f, "the run timed out after {seconds:.1} s"),
            EndingKind::Stopped { reason } => write!(f, "the run was stopped after {seconds:.1} s: {reason}"),
            EndingKind::Stalled => {
                write!(f, "the run stalled: nothing is left to do, and {}", self.ending.stalled.join("; "))
            }
            // For kinds that the reactor may get later.
            kind => write!(f, "the run ended after {seconds:.1} s: {kind:?}"),
        }
    }
}

/// A run that did not finish, as an error; see [`Outcome::into_result`].
///
/// It displays the outcome and the actor errors that no handler took, each with its traceback, its causes and the last
/// lines on standard error. Its `Debug` form is the same text, since that is what `unwrap` and a `main` that returns it
/// print.
#[derive(Clone)]
pub struct RunFailure(Box<Outcome>);

impl RunFailure {
    /// The outcome of the run.
    pub fn outcome(&self) -> &Outcome {
        &self.0
    }

    /// Gives the outcome of the run back.
    pub fn into_outcome(self) -> Outcome {
        *self.0
    }
}

impl fmt::Display for RunFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { ending, .. } = self.outcome();
        write!(f, "{}", self.outcome())?;
        for failure in &ending.errors {
            write!(f, "\n  {}", failure.to_string().replace('\n', "\n    "))?;
            failure.error.details().iter().try_for_each(|line| write!(f, "\n  {line}"))?;
        }
        match ending.more_errors {
            0 => Ok(()),
            1 => write!(f, "\n  and 1 more error"),
            more => write!(f, "\n  and {more} more errors"),
        }
    }
}

impl fmt::Debug for RunFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for RunFailure {}
