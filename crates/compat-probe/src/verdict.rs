//! [`Verdict`]: the result of one execution of a combination.

use serde::{Deserialize, Serialize};

/// The result of one execution; the order is from good to bad.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "message", rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// The task ran, and its result was right.
    Ok,
    /// The pool does not exist in this environment, for this reason.
    Unsupported(String),
    /// A rule forbids what the task does inside; the message is the original's.
    Refused(String),
    /// Anything else went wrong.
    Failed(String),
    /// The child process had not ended at its deadline.
    Hung(String),
}

impl Verdict {
    /// The verdict in one word, as reports have it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Unsupported(_) => "unsupported",
            Verdict::Refused(_) => "refused",
            Verdict::Failed(_) => "failed",
            Verdict::Hung(_) => "hung",
        }
    }

    /// The reason; `None` of a good verdict.
    pub(crate) fn message(&self) -> Option<&str> {
        match self {
            Verdict::Ok => None,
            Verdict::Unsupported(message)
            | Verdict::Refused(message)
            | Verdict::Failed(message)
            | Verdict::Hung(message) => Some(message),
        }
    }
}
