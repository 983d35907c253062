//! [`GuardianClient::shared`]: the guardians that this process uses.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use pushflow_model::StartMethod;

use super::error::GuardianError;
use super::{GuardianClient, inherited};
use crate::lookup;

/// The guardians that this process has started: one for each worker program, and one for the start method `fork`.
static SHARED: Mutex<Vec<Weak<GuardianClient>>> = Mutex::new(Vec::new());

impl GuardianClient {
    /// The guardian of this process for a worker program and start method. Starts it if there is none.
    ///
    /// Without `worker` the guardian may run any worker program. In a worker this is the guardian of its scheduler.
    ///
    /// # Errors
    /// When no guardian can be started, or when this process is a worker and `worker` is another program than its own.
    pub fn shared(worker: Option<&Path>, method: StartMethod) -> Result<Arc<GuardianClient>, GuardianError> {
        if let Some(inherited) = inherited::guardian(worker)? {
            return Ok(inherited);
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fork = method == StartMethod::Fork;
        let is_right = |guardian: &GuardianClient| {
            let named = |worker| std::path::absolute(worker).is_ok_and(|path| path == guardian.program);
            guardian.is_fork() == is_fork && worker.is_none_or(named) && !guardian.is_lost()
        };
        if let Some(guardian) = shared.iter().filter_map(Weak::upgrade).find(|guardian| is_right(guardian)) {
            return Ok(guardian);
        }
        let guardian = match is_fork {
            true => GuardianClient::fork(worker)?,
            false => GuardianClient::start_best(&lookup::candidates(worker)?)?,
        };
        let guardian = Arc::new(guardian);
        shared.retain(|guardian| guardian.strong_count() > 0);
        shared.push(Arc::downgrade(&guardian));
        Ok(guardian)
    }
}
