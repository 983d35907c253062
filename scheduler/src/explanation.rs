//! [`Explanation`]: what a run does at one moment.

use std::fmt;
use std::time::Duration;

use pushflow_model::AttemptId;

/// What a run does at one moment. It displays itself as lines of text.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// How long the run has taken so far.
    pub elapsed: Duration,
    /// The attempts that have not ended, in the order in which they were submitted.
    pub attempts: Vec<OpenAttempt>,
    /// The joins that keep an arrival and wait for others, one sentence each.
    pub waiting: Vec<String>,
    /// How many triggers are queued.
    pub queued: usize,
}

/// An attempt that has not ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenAttempt {
    /// The attempt.
    pub attempt: AttemptId,
    /// The name of its actor.
    pub actor: String,
    /// The time since it was submitted.
    pub submitted: Duration,
    /// The time since it started, and the pid of its process; `None` while it waits for a worker.
    pub running: Option<(Duration, u32)>,
    /// Whether it has been interrupted.
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
