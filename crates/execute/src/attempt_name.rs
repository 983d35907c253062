//! [`AttemptName`]: which attempt it is, for its task.

use std::ffi::OsString;
use std::sync::Arc;

use pushflow_model::{AttemptId, TryNumber};

/// Which attempt it is, for its task: a Rust task sees it in its [`crate::TaskContext`], a command or script in its
/// environment.
#[derive(Clone, Debug)]
pub struct AttemptName {
    /// The name of the actor.
    pub actor: Arc<str>,
    /// The attempt.
    pub id: AttemptId,
    /// Which execution of the actor it is.
    pub tried: TryNumber,
}

impl AttemptName {
    /// The environment variables of a command or script.
    pub(crate) fn variables(&self) -> Vec<(OsString, OsString)> {
        let TryNumber { round, number, .. } = self.tried;
        vec![
            // No variable can have a NUL byte.
            ("PUSHFLOW_NODE".into(), self.actor.replace('\0', "\u{fffd}").into()),
            ("PUSHFLOW_ROUND".into(), round.to_string().into()),
            ("PUSHFLOW_TRY".into(), number.to_string().into()),
        ]
    }
}
