//! [`Flag`]: whether one kind of process was daemonic when it was started in one way.

use pushflow::StartMethod;

use crate::kind::Kind;
use crate::question::Answer;

/// A kind of process, started in one way, and what it says of itself; `None` if it was not asked.
pub(crate) struct Flag {
    pub(crate) kind: Kind,
    pub(crate) start_method: StartMethod,
    pub(crate) answer: Option<Answer>,
}

impl Flag {
    pub(crate) fn agrees(&self) -> bool {
        self.answer.as_ref().is_none_or(|answer| answer.daemonic == Some(self.kind.original()))
    }
}
