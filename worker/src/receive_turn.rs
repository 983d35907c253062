//! [`ReceiveTurn`]: who listens to the scheduler.
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
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// After how many looks at an idle main thread it goes to sleep.
const MAX_IDLE_POLLS: u32 = 10;

/// The receiver, and who is to have it.
pub(crate) struct ReceiveTurn {
    receiver: Mutex<ToWorkerReceiver>,
    state: Mutex<TurnState>,
    changed: Condvar,
}

#[derive(Default)]
struct TurnState {
    /// Whether the main thread runs something, or will in a moment.
    main_busy: bool,
    /// How often it began to.
    busy_periods: u64,
    /// It waits, in the middle of something, for what the scheduler says.
    requested: bool,
    /// The control thread waits without a limit.
    control_asleep: bool,
    closed: bool,
}

impl ReceiveTurn {
    /// The main thread is busy from the beginning: it prepares itself.
    pub(crate) fn new(receiver: ToWorkerReceiver) -> ReceiveTurn {
        let state = TurnState { main_busy: true, ..TurnState::default() };
        ReceiveTurn { receiver: Mutex::new(receiver), state: Mutex::new(state), changed: Condvar::new() }
    }

    // ----- the main thread -----

    /// It has nothing to run: the receiver, unless the control thread listens.
    pub(crate) fn take_for_main(&self) -> Option<MutexGuard<'_, ToWorkerReceiver>> {
        self.lock().main_busy = false;
        self.try_take()
    }

    /// It begins something.
    pub(crate) fn main_begins(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.main_busy, true) {
            state.busy_periods += 1;
        }
        if state.control_asleep {
            self.changed.notify_one();
        }
    }

    /// It waits for what the scheduler says, and can't listen itself.
    pub(crate) fn request_receive(&self) {
        self.lock().requested = true;
        self.changed.notify_one();
    }

    // ----- the control thread -----

    /// Waits until it is needed: the receiver; `None` when there is nothing to hear any more.
    pub(crate) fn wait_for_turn(&self) -> Option<MutexGuard<'_, ToWorkerReceiver>> {
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
    pub(crate) fn main_is_busy(&self) -> bool {
        self.lock().main_busy
    }

    /// Nothing will be heard any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn wait_until_needed(&self) -> bool {
        let mut state = self.lock();
        let mut idle_polls = 0;
        loop {
            if state.closed || std::mem::take(&mut state.requested) {
                return !state.closed;
            }
            let (was_busy, busy_period) = (state.main_busy, state.busy_periods);
            if !was_busy && idle_polls == MAX_IDLE_POLLS {
                state.control_asleep = true;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.control_asleep = false;
                idle_polls = 0;
                continue;
            }
            idle_polls = if was_busy { 0 } else { idle_polls + 1 };
            state = self.changed.wait_timeout(state, POLL_INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
            if was_busy && state.main_busy && state.busy_periods == busy_period && !state.closed {
                state.requested = false;
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

    fn lock(&self) -> MutexGuard<'_, TurnState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::mpsc;
    use std::thread;

    use pushflow_os::SeqPacket;
    use pushflow_protocol::slabs::{SchedulerSide, SlabStore};
    use pushflow_protocol::transport::{self, FromWorkerReceiver, FromWorkerSender, ToWorkerSender, WorkerServer};
    use pushflow_protocol::{Family, GuardianAddress, Identity, ProcessClass, WorkerSettings};

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
        let slabs = SchedulerSide::new(SlabStore::default(), SeqPacket::pair().expect("a pair of sockets").0);
        let scheduler = transport::connect(server.name().to_owned(), settings, slabs).expect("it is there");
        let (sender, receiver, _) = server.accept().expect("the scheduler has connected");
        (scheduler, (sender, receiver))
    }

    /// A turn, and what keeps its channel open.
    fn turn() -> (ReceiveTurn, impl Sized) {
        let (scheduler, (sender, receiver)) = channel();
        (ReceiveTurn::new(receiver), (scheduler, sender))
    }

    #[test]
    fn the_main_thread_listens_while_it_is_idle_and_the_control_thread_while_it_is_busy_for_long() {
        let (turn, _kept) = turn();
        let listening = turn.wait_for_turn().expect("the main thread prepares itself for long");
        assert!(turn.take_for_main().is_none(), "the control thread still listens");
        assert!(!turn.main_is_busy(), "which it sees, and stops");
        drop(listening);
        assert!(turn.take_for_main().is_some());
        turn.main_begins();
        assert!(turn.wait_for_turn().is_some(), "it runs something for long");
    }

    #[test]
    fn a_control_thread_that_sleeps_is_woken_when_the_main_thread_begins_something_for_long() {
        let (turn, _kept) = turn();
        let idle = turn.take_for_main();
        thread::scope(|scope| {
            let (says, listens) = mpsc::channel();
            let turn = &turn;
            scope.spawn(move || says.send(turn.wait_for_turn().is_some()));
            while !turn.lock().control_asleep {
                thread::yield_now();
            }
            drop(idle);
            turn.main_begins();
            assert_eq!(listens.recv(), Ok(true));
        });
    }

    #[test]
    fn whoever_waits_for_what_the_scheduler_says_is_listened_for_at_once() {
        let (turn, _kept) = turn();
        drop(turn.take_for_main());
        turn.request_receive();
        assert!(turn.wait_for_turn().is_some());
        assert!(!turn.lock().requested, "once");
    }

    #[test]
    fn nobody_waits_for_a_channel_that_has_ended() {
        let (turn, _kept) = turn();
        turn.close();
        assert!(turn.wait_for_turn().is_none());
    }
}
