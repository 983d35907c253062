//! The guardian of a worker: the guardian of its scheduler, over a socket that the worker was started with.
//!
//! The worker has one socket and one [`GuardianClient`], which it makes when it first needs a process and then keeps.
//! If that fails, the worker has no guardian: it never starts one of its own, which nobody would end with the worker.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::unistd::Pid;
use pushflow_os::SeqPacket;
use pushflow_os::limits::name_limit;
use pushflow_protocol::GuardianAddress;

use super::error::GuardianError;
use super::{GuardianClient, Origin, SEND_TIMEOUT};

static INHERITED: Mutex<Inherited> = Mutex::new(Inherited::None);

/// The guardian that the calling process was started with.
enum Inherited {
    /// This process is no worker.
    None,
    /// The worker has needed no process yet.
    Unused(SeqPacket, GuardianAddress),
    /// The worker has a client.
    Connected(Arc<GuardianClient>),
    /// The client could not be made, for this reason.
    Failed(GuardianAddress, String),
}

/// Makes the guardian at the other end of `socket` the guardian of this process, a worker.
pub(crate) fn inherit(socket: SeqPacket, address: GuardianAddress) {
    *INHERITED.lock().unwrap_or_else(PoisonError::into_inner) = Inherited::Unused(socket, address);
}

/// The guardian of this process, or `None` if this process is no worker.
///
/// # Errors
/// When `worker`, the program that was named for workers, is not the program of this worker, or the client can't be
/// made.
pub(super) fn guardian(worker: Option<&Path>) -> Result<Option<Arc<GuardianClient>>, GuardianError> {
    let mut inherited = INHERITED.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(guardian) = inherited.guardian()? else { return Ok(None) };
    let named = worker.and_then(|worker| std::path::absolute(worker).ok());
    match named.filter(|named| *named != guardian.program) {
        Some(named) => Err(GuardianError::InsideWorker { program: guardian.program.clone(), named }),
        None => Ok(Some(guardian)),
    }
}

impl Inherited {
    /// The client; made at the first call.
    fn guardian(&mut self) -> Result<Option<Arc<GuardianClient>>, GuardianError> {
        let (next, answer) = match std::mem::replace(self, Inherited::None) {
            Inherited::None => return Ok(None),
            Inherited::Connected(guardian) => (Inherited::Connected(guardian.clone()), Ok(Some(guardian))),
            Inherited::Unused(socket, address) => match connect(socket, &address) {
                Ok(guardian) => (Inherited::Connected(guardian.clone()), Ok(Some(guardian))),
                Err(error) => {
                    let reason = name_limit(error).to_string();
                    (Inherited::Failed(address.clone(), reason.clone()), Err(unable(&address, reason)))
                }
            },
            Inherited::Failed(address, reason) => {
                let error = unable(&address, reason.clone());
                (Inherited::Failed(address, reason), Err(error))
            }
        };
        *self = next;
        answer
    }
}

fn connect(socket: SeqPacket, address: &GuardianAddress) -> io::Result<Arc<GuardianClient>> {
    socket.set_send_timeout(SEND_TIMEOUT)?;
    let pid = Pid::from_raw(i32::try_from(address.pid).unwrap_or_default());
    let (program, run_directory) = (PathBuf::from(&address.program), address.run_directory.clone());
    GuardianClient::connect(program, run_directory, pid, socket, Origin::Inherited).map(Arc::new)
}

fn unable(address: &GuardianAddress, reason: String) -> GuardianError {
    GuardianError::Unable { path: PathBuf::from(&address.program), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_could_not_connect_to_its_guardian_does_not_start_one_of_its_own() {
        let no_socket = SeqPacket::from_fd(std::fs::File::open("/dev/null").unwrap().into());
        let address = GuardianAddress { pid: 1, program: "/worker".into(), run_directory: "/tmp".into() };
        let mut inherited = Inherited::Unused(no_socket, address);
        let errors: [_; 2] = std::array::from_fn(|_| inherited.guardian().map(drop).unwrap_err().to_string());
        assert!(errors[0].starts_with(r#"the worker program "/worker" could not be used: "#), "{errors:?}");
        assert_eq!(errors[0], errors[1]);
    }
}
