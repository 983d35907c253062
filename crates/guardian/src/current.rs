//! [`current_process`]: which process of a workflow the calling process is.

use std::sync::OnceLock;

use pushflow_model::ProcessClass;
use pushflow_os::SeqPacket;
use pushflow_protocol::{GuardianAddress, Identity};

use crate::client;

/// The name of a process that is no worker, as in Python's `multiprocessing`.
const MAIN: &str = "MainProcess";

/// The identity of this process if it is a worker.
static IDENTITY: OnceLock<Identity> = OnceLock::new();

/// A process as its tasks see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentProcess {
    /// `MainProcess`, or in a worker the name of its pool and its number, such as `billiard-3`.
    pub name: String,
    /// Its pid.
    pub pid: u32,
    /// In a worker, the pid of the process that has the pool. (To the kernel, the parent is the worker's keeper.)
    pub parent: Option<u32>,
    /// Whether the process dies with its parent and may have no children except workers of the billiard family and
    /// commands.
    pub daemonic: bool,
    /// The class of a worker for the rule on which processes may have children. A process without a class may have any.
    pub class: Option<ProcessClass>,
}

/// Which process of a workflow the calling process is.
///
/// ```
/// let process = pushflow_guardian::current_process();
/// assert_eq!(process.name, "MainProcess");
/// assert!(!process.daemonic);
/// ```
pub fn current_process() -> CurrentProcess {
    let pid = std::process::id();
    match IDENTITY.get() {
        Some(Identity { name, parent, class }) => CurrentProcess {
            name: name.clone(),
            pid,
            parent: Some(*parent),
            daemonic: class.daemonic,
            class: Some(*class),
        },
        None => CurrentProcess { name: MAIN.to_owned(), pid, parent: None, daemonic: false, class: None },
    }
}

/// Makes this process the worker that it was started as. From now on it asks the guardian at the other end of the
/// socket for processes. Each worker calls it once, before its first task.
pub fn become_worker(identity: Identity, socket: SeqPacket, address: GuardianAddress) {
    // A worker serves once in its life.
    IDENTITY.set(identity).ok();
    client::inherit(socket, address);
}
