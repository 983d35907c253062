//! [`current_process`]: who the calling process is among those of a workflow.

use std::sync::OnceLock;

use pushflow_model::ProcessClass;
use pushflow_os::SeqPacket;
use pushflow_protocol::{GuardianAddress, Identity};

use crate::client;

/// The name of a process that nobody started as a worker, as Python's `multiprocessing` has it.
const MAIN: &str = "MainProcess";

static IDENTITY: OnceLock<Identity> = OnceLock::new();

/// A process as its tasks see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentProcess {
    /// `MainProcess`, or in a worker its pool and number, such as `billiard-3`.
    pub name: String,
    /// Its pid.
    pub pid: u32,
    /// The pid of the process that has the pool, in a worker. (To the kernel the parent is the worker's keeper.)
    pub parent: Option<u32>,
    /// Whether it dies with its parent and may not have children, but those of the billiard family and commands.
    pub daemonic: bool,
    /// What it is to the rule on who may have children; `None` for a process that is no worker, and may have any.
    pub class: Option<ProcessClass>,
}

/// Who the calling process is.
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

/// Makes this process the worker that it was started as; from now on it asks the guardian at the other end of the
/// socket for processes. What every worker does once, before its first task.
pub fn become_worker(identity: Identity, socket: SeqPacket, address: GuardianAddress) {
    // A worker serves once in its life.
    IDENTITY.set(identity).ok();
    client::inherit(socket, address);
}
