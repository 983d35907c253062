//! [`DaemonicFlag`]: whether one kind of process was daemonic when it was started in one way.

use pushflow::StartMethod;

use crate::process_under_test::ProcessUnderTest;
use crate::request::Response;

/// A kind of process, started in one way, and what it says of itself; `None` if it was not asked.
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
