//! [`ReceiveTurn`]: which of two threads of a worker receives the scheduler's messages.
//!
//! The main thread receives while it has no job: to be woken by another thread that receives costs more than a small
//! task. The main thread can't receive while it runs a job. When the job takes longer than [`POLL_INTERVAL`], the
//! control thread receives instead.
//!
//! # States of the control thread
//! ```text
//!            the main thread              busy for a whole interval,
//!            begins a job                 or a receive was requested
//!   asleep ─────────────────▶ watching ──────────────────────────────▶ receiving
//!     ▲                        │    ▲                                      │
//!     └────────────────────────┘    └──────────────────────────────────────┘
//!      idle for several polls         a message came, and the main thread is idle
//! ```
//! - *Watching*, the control thread polls the state of the main thread once per [`POLL_INTERVAL`].
//! - *Asleep*, it waits without a timeout, so that an idle worker uses no processor time.
//! - *Receiving*, it holds the receiver.
//!
//! # Protocol
//! The receiver is in a mutex, and only the thread that holds the lock receives.
//!
//! 1. The main thread marks itself as idle, and then tries to lock the receiver. If the control thread holds the lock,
//!    the main thread waits at the job queue.
//! 2. After each message the control thread checks whether the main thread is busy. If not, it unlocks the receiver and
//!    wakes the main thread. So one of the two threads always receives.
//! 3. The control thread may have added a job between the main thread's last look at the job queue and its lock of the
//!    receiver. So the main thread checks the queue once more when it holds the lock. From then on no other thread can
//!    receive a job.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use pushflow_protocol::transport::ToWorkerReceiver;

/// How often the control thread polls while it watches. A message to a busy worker, such as an interrupt, may wait so
/// long.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// After how many polls in a row that find the main thread idle the control thread goes to sleep.
const MAX_IDLE_POLLS: u32 = 10;

/// The receiver, and which thread is to lock it.
pub(crate) struct ReceiveTurn {
    receiver: Mutex<ToWorkerReceiver>,
    state: Mutex<TurnState>,
    changed: Condvar,
}

#[derive(Default)]
struct TurnState {
    /// Whether the main thread runs a job, prepares itself, or is about to run a job.
    main_busy: bool,
    /// How often the main thread became busy.
    busy_periods: u64,
    /// Whether the main thread waits for a message in the middle of a job.
    requested: bool,
    /// Whether the control thread waits without a timeout.
    control_asleep: bool,
    closed: bool,
}

impl ReceiveTurn {
    /// A turn whose main thread is busy: it prepares itself first.
    pub(crate) fn new(receiver: ToWorkerReceiver) -> ReceiveTurn {
        let state = TurnState { main_busy: true, ..TurnState::default() };
        ReceiveTurn { receiver: Mutex::new(receiver), state: Mutex::new(state), changed: Condvar::new() }
    }

    // ----- the main thread -----

    /// Marks the main thread as idle and returns the receiver, unless the control thread holds it.
    pub(crate) fn take_for_main(&self) -> Option<MutexGuard<'_, ToWorkerReceiver>> {
        self.lock().main_busy = false;
        self.try_take()
    }

    /// Marks the main thread as busy.
    pub(crate) fn main_begins(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.main_busy, true) {
            state.busy_periods += 1;
        }
        if state.control_asleep {
            self.changed.notify_one();
        }
    }

    /// Has the control thread receive at once, for a main thread that waits for a message in the middle of a job.
    pub(crate) fn request_receive(&self) {
        self.lock().requested = true;
        self.changed.notify_one();
    }

    // ----- the control thread -----

    /// Waits until the control thread is to receive, and returns the receiver; `None` when the channel has ended.
    pub(crate) fn wait_for_turn(&self) -> Option<MutexGuard<'_, ToWorkerReceiver>> {
        loop {
            if !self.wait_until_needed() {
                return None;
            }
            // Otherwise the main thread has just become idle, and holds the receiver.
            if let Some(receiver) = self.try_take() {
                return Some(receiver);
            }
        }
    }

    /// Whether the main thread is busy.
    pub(crate) fn main_is_busy(&self) -> bool {
        self.lock().main_busy
    }

    /// The channel has ended: the control thread is not needed any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Watches or sleeps until the control thread is to receive; `false` when the channel has ended.
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

    use pushflow_model::{Family, ProcessClass};
    use pushflow_os::SeqPacket;
    use pushflow_protocol::slabs::{SchedulerSide, SlabStore};
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
        let slabs = SchedulerSide::new(SlabStore::default(), SeqPacket::pair().expect("a pair of sockets").0);
        let scheduler = transport::connect(server.name().to_owned(), settings, slabs).expect("it is there");
        let (sender, receiver, _) = server.accept().expect("the scheduler has connected");
        (scheduler, (sender, receiver))
    }

    /// A turn, and the other ends of its channel, which keep it open.
    fn turn() -> (ReceiveTurn, impl Sized) {
        let (scheduler, (sender, receiver)) = channel();
        (ReceiveTurn::new(receiver), (scheduler, sender))
    }

    #[test]
    fn the_main_thread_receives_while_it_is_idle_and_the_control_thread_while_it_is_busy_for_long() {
        let (turn, _kept) = turn();
        let receiving = turn.wait_for_turn().expect("the main thread prepares itself for long");
        assert!(turn.take_for_main().is_none(), "the control thread still receives");
        assert!(!turn.main_is_busy(), "the control thread sees that and stops");
        drop(receiving);
        assert!(turn.take_for_main().is_some());
        turn.main_begins();
        assert!(turn.wait_for_turn().is_some(), "the main thread is busy for long");
    }

    #[test]
    fn a_control_thread_that_sleeps_is_woken_when_the_main_thread_becomes_busy_for_long() {
        let (turn, _kept) = turn();
        let idle = turn.take_for_main();
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            let turn = &turn;
            scope.spawn(move || sender.send(turn.wait_for_turn().is_some()));
            while !turn.lock().control_asleep {
                thread::yield_now();
            }
            drop(idle);
            turn.main_begins();
            assert_eq!(receiver.recv(), Ok(true));
        });
    }

    #[test]
    fn the_control_thread_receives_at_once_on_request() {
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
