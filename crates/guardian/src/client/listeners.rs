//! The listeners of the processes that this process asked the guardian for, and the thread that calls them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pushflow_model::Exit;
use pushflow_os::SeqPacket;
use pushflow_protocol::fd_message;

use crate::messages::{FromGuardian, ProcessId, StartFailure};

/// What happened to a process.
#[derive(Clone, Debug, PartialEq)]
pub enum ProcessEvent {
    /// It runs.
    Started { pid: u32 },
    /// It could not be started.
    NotStarted { reason: StartFailure },
    /// A signal stopped it, or what it had asked for: the pid of that process.
    Stopped { pid: u32, signal: i32 },
    /// What was stopped goes on.
    Continued { pid: u32 },
    /// It has ended.
    Exited { exit: Exit, peak_memory_kib: u64 },
    /// It sent the guardian what is no message, and is being ended.
    Garbled,
    /// Processes of another user are left below it.
    Unkillable { pids: Vec<u32> },
    /// Nothing of it is left: the last event.
    Gone,
    /// The guardian has ended, so nothing more will be heard: the last event.
    GuardianLost,
}

/// Who is told what happens to a process.
pub type Listener = Box<dyn FnMut(ProcessEvent) + Send>;

#[derive(Default)]
pub(super) struct Listeners {
    lost: AtomicBool,
    by_process: Mutex<HashMap<ProcessId, Listener>>,
}

impl Listeners {
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    pub(super) fn add(&self, process: ProcessId, listener: Listener) {
        self.lock().insert(process, listener);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ProcessId, Listener>> {
        self.by_process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the listener of a process, and forgets it with its last event: whether there was one.
    pub(super) fn notify(&self, process: ProcessId, event: ProcessEvent) -> bool {
        let last = event == ProcessEvent::Gone;
        let mut listeners = self.lock();
        let listener = listeners.get_mut(&process);
        let is_known = listener.is_some();
        listener.into_iter().for_each(|listener| listener(event.clone()));
        if last {
            let forgotten = listeners.remove(&process);
            drop(listeners);
            drop(forgotten);
        }
        is_known
    }

    /// Somebody hears of what can't be ended: who asked for it, or whoever reads what this program logs.
    fn notify_unkillable(&self, process: Option<ProcessId>, pids: Vec<u32>) {
        let is_known = |process| self.notify(process, ProcessEvent::Unkillable { pids: pids.clone() });
        if !process.is_some_and(is_known) {
            tracing::error!(?pids, "a task left processes of another user, which can't be ended");
        }
    }

    /// The guardian has ended: tells everybody.
    pub(super) fn notify_lost(&self) {
        self.lost.store(true, Ordering::Release);
        let listeners = std::mem::take(&mut *self.lock());
        for mut listener in listeners.into_values() {
            listener(ProcessEvent::GuardianLost);
        }
    }
}

/// Hears the guardian until it has ended.
pub(super) fn receive(socket: &SeqPacket, listeners: &Listeners) {
    let hear = |process, event| {
        listeners.notify(process, event);
    };
    while let Ok(Some((message, _))) = fd_message::receive(socket, true) {
        match message {
            FromGuardian::Ready { .. } | FromGuardian::Unable { .. } => {}
            FromGuardian::Unkillable { process, pids } => listeners.notify_unkillable(process, pids),
            FromGuardian::Started { process, pid } => hear(process, ProcessEvent::Started { pid }),
            FromGuardian::NotStarted { process, reason } => hear(process, ProcessEvent::NotStarted { reason }),
            FromGuardian::Stopped { process, pid, signal } => hear(process, ProcessEvent::Stopped { pid, signal }),
            FromGuardian::Continued { process, pid } => hear(process, ProcessEvent::Continued { pid }),
            FromGuardian::Exited { process, exit, peak_memory_kib } => {
                hear(process, ProcessEvent::Exited { exit, peak_memory_kib });
            }
            FromGuardian::Garbled { process } => hear(process, ProcessEvent::Garbled),
            FromGuardian::Gone { process } => hear(process, ProcessEvent::Gone),
        }
    }
}
