//! [`Outbox`]: what a worker says, several answers at a time while attempts are short.
//!
//! An answer waits for company while other jobs wait to be run: a message for each would cost more than a small task. It
//! never waits long, though: a thread sends what is left behind when the next job turns out not to be short.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pushflow_protocol::FromWorker;
use pushflow_protocol::slabs::Borrower;
use pushflow_protocol::transport::{FromWorkerSender, TransportError};

/// How many answers are sent together at the most.
const MAX_WAITING: usize = 32;
/// How long an answer may wait.
const MAX_DELAY: Duration = Duration::from_micros(500);

/// The worker's side of what is said to the scheduler.
pub(crate) struct Outbox {
    state: Mutex<State>,
    changed: Condvar,
    /// How many frames were received; told with every message.
    received: AtomicU64,
    /// What was released is told with every message too.
    slabs: Arc<Borrower>,
}

struct State {
    sender: FromWorkerSender,
    waiting: Vec<FromWorker>,
    closed: bool,
}

/// Nobody listens any more.
#[derive(Debug)]
pub(crate) struct Closed;

impl Outbox {
    pub(crate) fn new(sender: FromWorkerSender, slabs: Arc<Borrower>) -> Outbox {
        let state = State { sender, waiting: Vec::new(), closed: false };
        Outbox { state: Mutex::new(state), changed: Condvar::new(), received: AtomicU64::new(0), slabs }
    }

    /// Says something at once, and what waited before it.
    pub(crate) fn say(&self, message: FromWorker) -> Result<(), Closed> {
        let mut state = self.lock();
        state.waiting.push(message);
        self.send(&mut state)
    }

    /// Says something now, or, while there are `more` jobs, soon.
    pub(crate) fn answer(&self, message: FromWorker, more: bool) -> Result<(), Closed> {
        let mut state = self.lock();
        state.waiting.push(message);
        if !more || state.waiting.len() >= MAX_WAITING {
            return self.send(&mut state);
        }
        if state.waiting.len() == 1 {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Tells how many frames were received.
    pub(crate) fn acknowledge(&self, frames: u64) -> Result<(), Closed> {
        self.received.store(frames, Ordering::Relaxed);
        self.send(&mut self.lock())
    }

    /// Tells what was released since the last message, so that an idle worker holds nothing.
    pub(crate) fn tell_released(&self) -> Result<(), Closed> {
        if !self.slabs.has_released() {
            return Ok(());
        }
        self.send(&mut self.lock())
    }

    /// The life of the thread that sends what has waited long enough.
    pub(crate) fn send_late_answers(&self) {
        let mut state = self.lock();
        while !state.closed {
            let empty = |state: &mut State| state.waiting.is_empty() && !state.closed;
            state = self.changed.wait_while(state, empty).unwrap_or_else(PoisonError::into_inner);
            let waits = |state: &mut State| !state.waiting.is_empty() && !state.closed;
            let waited = self.changed.wait_timeout_while(state, MAX_DELAY, waits);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if !state.waiting.is_empty() && self.send(&mut state).is_err() {
                return;
            }
        }
    }

    fn send(&self, state: &mut State) -> Result<(), Closed> {
        let messages = std::mem::take(&mut state.waiting);
        let released = self.slabs.released();
        match state.sender.send(messages, self.received.load(Ordering::Relaxed), released) {
            Ok(()) | Err(TransportError::Garbage(_)) => Ok(()),
            Err(TransportError::Closed | TransportError::Io(_)) => {
                state.closed = true;
                Err(Closed)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
