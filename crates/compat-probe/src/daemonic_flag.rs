//! [`DaemonicFlag`]: the daemonic flag of one kind of process with one start method.

use pushflow::StartMethod;

use crate::process_under_test::ProcessUnderTest;
use crate::request::Response;

/// A kind of process with a start method, and the response about it; `None` if the check was interrupted before.
pub(crate) struct DaemonicFlag {
    pub(crate) process: ProcessUnderTest,
    pub(crate) start_method: StartMethod,
    pub(crate) response: Option<Response>,
}

impl DaemonicFlag {
    pub(crate) fn agrees(&self) -> bool {
        self.response.as_ref().is_none_or(|response| response.daemonic == Some(self.process.is_daemonic_in_original()))
    }
}
