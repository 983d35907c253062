//! [`Listeners`]: the listeners of the processes that this process asked the guardian for, and the loop of the receiver
//! thread that calls them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pushflow_model::Exit;
use pushflow_os::SeqPacket;
use pushflow_protocol::fd_message;

use crate::messages::{FromGuardian, ProcessId, StartFailure};

/// An event of a process that the guardian was asked to start.
#[derive(Clone, Debug, PartialEq)]
pub enum ProcessEvent {
    /// The process runs.
    Started {
        /// Its pid.
        pid: u32,
    },
    /// The process could not be started.
    NotStarted {
        /// Why.
        reason: StartFailure,
    },
    /// A signal stopped the process, or another process that it had asked the guardian for.
    Stopped {
        /// The pid of the stopped process.
        pid: u32,
        /// The number of the signal.
        signal: i32,
    },
    /// A stopped process continues.
    Continued {
        /// Its pid.
        pid: u32,
    },
    /// The process has ended. Descendants of it may still be there.
    Exited {
        /// How it ended.
        exit: Exit,
        /// The largest resident memory of the process and of the children that it has waited for, in KiB.
        peak_memory_kib: u64,
    },
    /// The process sent bytes to the guardian that are no message. The guardian is ending it.
    Garbled,
    /// Descendants of the process belong to another user and can't be killed.
    Unkillable {
        /// Their pids.
        pids: Vec<u32>,
    },
    /// Nothing is left of the process, of its descendants and of the processes that it had asked for. The last event.
    Gone,
    /// The guardian has ended or can't be reached. The last event.
    GuardianLost,
}

/// Called for each event of one process, up to and including the last one, and then dropped.
///
/// The table of listeners is locked during a call, so a listener may not start processes.
pub type Listener = Box<dyn FnMut(ProcessEvent) + Send>;

/// The listeners of all processes that have not had their last event.
#[derive(Default)]
pub(super) struct Listeners {
    lost: AtomicBool,
    by_process: Mutex<HashMap<ProcessId, Listener>>,
}

impl Listeners {
    /// Whether the guardian has ended or can't be reached.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Adds the listener of a process that the guardian is about to be asked for.
    pub(super) fn add(&self, process: ProcessId, listener: Listener) {
        self.lock().insert(process, listener);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ProcessId, Listener>> {
        self.by_process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the listener of a process, and removes it after `Gone`. Returns whether there was a listener.
    pub(super) fn notify(&self, process: ProcessId, event: ProcessEvent) -> bool {
        let last = event == ProcessEvent::Gone;
        let mut listeners = self.lock();
        let listener = listeners.get_mut(&process);
        let is_known = listener.is_some();
        listener.into_iter().for_each(|listener| listener(event.clone()));
        if last {
            let removed = listeners.remove(&process);
            // The listener may hold the last reference to the client: it is dropped without the lock.
            drop(listeners);
            drop(removed);
        }
        is_known
    }

    /// Reports processes that can't be killed to the listener of `process`, or in the log where there is no listener.
    fn notify_unkillable(&self, process: Option<ProcessId>, pids: Vec<u32>) {
        let is_known = |process| self.notify(process, ProcessEvent::Unkillable { pids: pids.clone() });
        if !process.is_some_and(is_known) {
            tracing::error!(?pids, "a task left processes of another user, which can't be ended");
        }
    }

    /// Calls and removes all listeners: the guardian has ended or can't be reached.
    pub(super) fn notify_lost(&self) {
        self.lost.store(true, Ordering::Release);
        let listeners = std::mem::take(&mut *self.lock());
        for mut listener in listeners.into_values() {
            listener(ProcessEvent::GuardianLost);
        }
    }
}

/// Passes each message of the guardian to its listener, until the socket ends or yields an error.
pub(super) fn receive(socket: &SeqPacket, listeners: &Listeners) {
    let notify = |process, event| {
        listeners.notify(process, event);
    };
    while let Ok(Some((message, _))) = fd_message::receive(socket, true) {
        match message {
            FromGuardian::Ready { .. } | FromGuardian::Unable { .. } => {}
            FromGuardian::Unkillable { process, pids } => listeners.notify_unkillable(process, pids),
            FromGuardian::Started { process, pid } => notify(process, ProcessEvent::Started { pid }),
            FromGuardian::NotStarted { process, reason } => notify(process, ProcessEvent::NotStarted { reason }),
            FromGuardian::Stopped { process, pid, signal } => notify(process, ProcessEvent::Stopped { pid, signal }),
            FromGuardian::Continued { process, pid } => notify(process, ProcessEvent::Continued { pid }),
            FromGuardian::Exited { process, exit, peak_memory_kib } => {
                notify(process, ProcessEvent::Exited { exit, peak_memory_kib });
            }
            FromGuardian::Garbled { process } => notify(process, ProcessEvent::Garbled),
            FromGuardian::Gone { process } => notify(process, ProcessEvent::Gone),
        }
    }
}
