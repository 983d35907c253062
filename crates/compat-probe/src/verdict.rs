//! [`Verdict`]: how one execution of a combination went.

use serde::{Deserialize, Serialize};

/// How it went, from good to bad.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "message", rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// The task ran, and its result was right.
    Ok,
    /// This pool does not exist here, for this reason.
    Unsupported(String),
    /// The task was refused what it wanted, with the original's sentence.
    Refused(String),
    /// Anything else went wrong.
    Failed(String),
    /// It had not ended at its deadline.
    Hung(String),
}

impl Verdict {
    /// In one word.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Unsupported(_) => "unsupported",
            Verdict::Refused(_) => "refused",
            Verdict::Failed(_) => "failed",
            Verdict::Hung(_) => "hung",
        }
    }

    /// Why, unless it is good.
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
