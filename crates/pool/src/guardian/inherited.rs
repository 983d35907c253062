//! The guardian of a worker: that of its scheduler, over a socket that the worker was started with.
//!
//! It is connected to when the worker first needs a process, and then for good: there is one socket.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::unistd::Pid;
use pushflow_os::SeqPacket;
use pushflow_protocol::GuardianAddress;

use super::{Guardian, GuardianError, Origin, SEND_TIMEOUT};

static INHERITED: Mutex<Inherited> = Mutex::new(Inherited::None);

enum Inherited {
    /// This process is no worker.
    None,
    /// Nothing was asked of it yet.
    Unused(SeqPacket, GuardianAddress),
    Connected(Arc<Guardian>),
}

/// From now on this process, a worker, asks that guardian for processes.
pub fn inherit(socket: SeqPacket, address: GuardianAddress) {
    *INHERITED.lock().unwrap_or_else(PoisonError::into_inner) = Inherited::Unused(socket, address);
}

/// The guardian of this process if it is a worker; `worker` is the program that workers are to run, if one was named.
pub(super) fn guardian(worker: Option<&Path>) -> Result<Option<Arc<Guardian>>, GuardianError> {
    let mut inherited = INHERITED.lock().unwrap_or_else(PoisonError::into_inner);
    let guardian = match std::mem::replace(&mut *inherited, Inherited::None) {
        Inherited::None => return Ok(None),
        Inherited::Connected(guardian) => guardian,
        Inherited::Unused(socket, GuardianAddress { pid, program, run_directory }) => {
            let program = PathBuf::from(program);
            let pid = Pid::from_raw(i32::try_from(pid).unwrap_or_default());
            let connected = socket
                .set_send_timeout(SEND_TIMEOUT)
                .and_then(|()| Guardian::connect(program.clone(), run_directory, pid, socket, Origin::Inherited));
            Arc::new(connected.map_err(|error| GuardianError::unable(&program, error))?)
        }
    };
    *inherited = Inherited::Connected(guardian.clone());
    let named = worker.and_then(|worker| std::path::absolute(worker).ok());
    match named.filter(|named| *named != guardian.program) {
        Some(named) => Err(GuardianError::InsideWorker { program: guardian.program.clone(), named }),
        None => Ok(Some(guardian)),
    }
}
