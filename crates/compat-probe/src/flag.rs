//! [`Flag`]: whether one kind of process was daemonic when it was started in one way.

use pushflow::StartMethod;

use crate::kind::Kind;
use crate::request::Response;

/// A kind of process, started in one way, and what it says of itself; `None` if it was not asked.
pub(crate) struct Flag {
    pub(crate) kind: Kind,
    pub(crate) start_method: StartMethod,
    pub(crate) response: Option<Response>,
}

impl Flag {
    pub(crate) fn agrees(&self) -> bool {
        self.response.as_ref().is_none_or(|response| response.daemonic == Some(self.kind.original()))
    }
}
