//! [`Ear`]: who listens to the scheduler.
//!
//! The main thread listens itself while it has nothing to run: to be woken by a thread that listens for it costs more than
//! a small task. While it runs something it can't listen, so when that takes longer than a moment the control thread does.
//!
//! # States of the control thread
//! ```text
//!   asleep ──the main thread begins something──▶ watching ──it runs for long, or is to be heard for──▶ listening
//!     ▲                                           │    ▲                                                   │
//!     └──────────nothing to watch for a while─────┘    └────────a message came, and nothing runs───────────┘
//! ```
//! While it watches it looks once a millisecond. Asleep, it waits without a limit: an idle worker uses no processor. When
//! it stops listening it nudges the main thread, which may wait for it, so that one of them always listens. What it has
//! heard meanwhile the main thread looks for once more when it has the receiver: from then on nobody else hears.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use pushflow_protocol::transport::ToWorkerReceiver;

/// How often the control thread looks while it watches: how long an interrupt may take to be heard.
const LOOK: Duration = Duration::from_millis(1);
/// After how many looks at an idle main thread it goes to sleep.
const LOOKS: u32 = 10;

/// The receiver, and who is to have it.
pub(crate) struct Ear {
    receiver: Mutex<ToWorkerReceiver>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whether the main thread runs something, or will in a moment.
    busy: bool,
    /// How often it began to.
    spells: u64,
    /// It waits, in the middle of something, for what the scheduler says.
    wanted: bool,
    /// The control thread waits without a limit.
    asleep: bool,
    closed: bool,
}

impl Ear {
    /// The main thread is busy from the beginning: it prepares itself.
    pub(crate) fn new(receiver: ToWorkerReceiver) -> Ear {
        let state = State { busy: true, ..State::default() };
        Ear { receiver: Mutex::new(receiver), state: Mutex::new(state), changed: Condvar::new() }
    }

    // ----- the main thread -----

    /// It has nothing to run: the receiver, unless the control thread listens.
    pub(crate) fn lend_to_idle(&self) -> Option<MutexGuard<'_, ToWorkerReceiver>> {
        self.lock().busy = false;
        self.try_take()
    }

    /// It begins something.
    pub(crate) fn busy(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.busy, true) {
            state.spells += 1;
        }
        if state.asleep {
            self.changed.notify_one();
        }
    }

    /// It waits for what the scheduler says, and can't listen itself.
    pub(crate) fn listen_for_me(&self) {
        self.lock().wanted = true;
        self.changed.notify_one();
    }

    // ----- the control thread -----

    /// Waits until it is needed: the receiver; `None` when there is nothing to hear any more.
    pub(crate) fn lend_to_control(&self) -> Option<MutexGuard<'_, ToWorkerReceiver>> {
        loop {
            if !self.wait_until_needed() {
                return None;
            }
            // Else the main thread has just become idle, and listens.
            if let Some(receiver) = self.try_take() {
                return Some(receiver);
            }
        }
    }

    /// Whether the main thread runs something.
    pub(crate) fn is_busy(&self) -> bool {
        self.lock().busy
    }

    /// Nothing will be heard any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn wait_until_needed(&self) -> bool {
        let mut state = self.lock();
        let mut idle_looks = 0;
        loop {
            if state.closed || std::mem::take(&mut state.wanted) {
                return !state.closed;
            }
            let (was_busy, spell) = (state.busy, state.spells);
            if !was_busy && idle_looks == LOOKS {
                state.asleep = true;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.asleep = false;
                idle_looks = 0;
                continue;
            }
            idle_looks = if was_busy { 0 } else { idle_looks + 1 };
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
            if was_busy && state.busy && state.spells == spell && !state.closed {
                state.wanted = false;
                return true;
            }
        }
    }

    fn try_take(&self) -> Option<MutexGuard<'_, ToWorkerReceiver>> {
        match self.receiver.try_lock() {
            Ok(receiver) => Some(receiver),
            Err(TryLockError::Poisoned(receiver)) => Some(receiver.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::mpsc;
    use std::thread;

    use pushflow_model::{Family, ProcessClass};
    use pushflow_os::SeqPacket;
    use pushflow_protocol::slabs::{Lender, SlabStore};
    use pushflow_protocol::transport::{self, FromWorkerReceiver, FromWorkerSender, ToWorkerSender, WorkerServer};
    use pushflow_protocol::{GuardianAddress, Identity, WorkerSettings};

    use super::*;

    /// A scheduler's ends of a channel, and a worker's.
    pub(crate) type Ends = ((ToWorkerSender, FromWorkerReceiver), (FromWorkerSender, ToWorkerReceiver));

    pub(crate) fn channel() -> Ends {
        let class = ProcessClass { family: Family::ConcurrentFutures, daemonic: false };
        let settings = WorkerSettings {
            identity: Identity { name: "worker".into(), parent: 1, class },
            guardian: GuardianAddress { pid: 1, program: "worker".into(), run_directory: "run".into() },
            marker: "mark".into(),
            python: None,
            start_python: false,
        };
        let server = WorkerServer::open().expect("a server can be opened");
        let lender = Lender::new(SlabStore::default(), SeqPacket::pair().expect("a pair of sockets").0);
        let scheduler = transport::connect(server.name().to_owned(), settings, lender).expect("it is there");
        let (sender, receiver, _) = server.accept().expect("the scheduler has connected");
        (scheduler, (sender, receiver))
    }

    /// An ear, and what keeps its channel open.
    fn ear() -> (Ear, impl Sized) {
        let (scheduler, (sender, receiver)) = channel();
        (Ear::new(receiver), (scheduler, sender))
    }

    #[test]
    fn the_main_thread_listens_while_it_is_idle_and_the_control_thread_while_it_is_busy_for_long() {
        let (ear, _kept) = ear();
        let listening = ear.lend_to_control().expect("the main thread prepares itself for long");
        assert!(ear.lend_to_idle().is_none(), "the control thread still listens");
        assert!(!ear.is_busy(), "which it sees, and stops");
        drop(listening);
        assert!(ear.lend_to_idle().is_some());
        ear.busy();
        assert!(ear.lend_to_control().is_some(), "it runs something for long");
    }

    #[test]
    fn a_control_thread_that_sleeps_is_woken_when_the_main_thread_begins_something_for_long() {
        let (ear, _kept) = ear();
        let idle = ear.lend_to_idle();
        thread::scope(|scope| {
            let (says, listens) = mpsc::channel();
            let ear = &ear;
            scope.spawn(move || says.send(ear.lend_to_control().is_some()));
            while !ear.lock().asleep {
                thread::yield_now();
            }
            drop(idle);
            ear.busy();
            assert_eq!(listens.recv(), Ok(true));
        });
    }

    #[test]
    fn whoever_waits_for_what_the_scheduler_says_is_listened_for_at_once() {
        let (ear, _kept) = ear();
        drop(ear.lend_to_idle());
        ear.listen_for_me();
        assert!(ear.lend_to_control().is_some());
        assert!(!ear.lock().wanted, "once");
    }

    #[test]
    fn nobody_waits_for_a_channel_that_has_ended() {
        let (ear, _kept) = ear();
        ear.close();
        assert!(ear.lend_to_control().is_none());
    }
}
