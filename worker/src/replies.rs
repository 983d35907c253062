//! [`Replies`]: what a worker sends to the scheduler; several replies at a time while attempts are short.
//!
//! # States of a reply
//! ```text
//!         other jobs wait, and the batch and shared memory have room
//!   new ────────────────────────────────────────────────────────────▶ waiting
//!    │                                                                   │ a later message is sent at once,
//!    │ otherwise                                                         │ or MAX_DELAY has passed
//!    ▼                                                                   │
//!   sent ◀───────────────────────────────────────────────────────────────┘
//! ```
//! To send each reply in a message of its own would cost more than a small task. So a reply waits while other jobs wait
//! to be run. A thread sends the replies that wait when [`MAX_DELAY`] has passed, since the next job may be a long one.
//!
//! A reply that waits is also written to shared memory ([`UnsentReplies`]) before the next job begins. If that job ends
//! this process, the scheduler reads the reply there.
//!
//! Messages are sent in the order in which they were made, all under one lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pushflow_os::SharedWords;
use pushflow_protocol::slabs::WorkerSide;
use pushflow_protocol::transport::{FromWorkerSender, MessageBatch, TransportError};
use pushflow_protocol::{FromWorker, UnsentReplies};

/// The most replies that are sent together.
const MAX_BATCH: usize = 32;
/// How long a reply may wait.
const MAX_DELAY: Duration = Duration::from_micros(500);

/// The worker's messages to the scheduler.
pub(crate) struct Replies {
    state: Mutex<RepliesState>,
    changed: Condvar,
    /// How many frames were received at the last acknowledgement. Every message carries this number.
    received: AtomicU64,
    /// Every message also carries which memory was released here.
    slabs: Arc<WorkerSide>,
}

struct RepliesState {
    sender: FromWorkerSender,
    waiting: MessageBatch,
    /// The replies of `waiting` once more, in shared memory.
    unsent: UnsentReplies,
    /// Whether the scheduler has closed the channel.
    closed: bool,
}

/// The scheduler has closed the channel.
#[derive(Debug)]
pub(crate) struct Closed;

impl Replies {
    pub(crate) fn new(sender: FromWorkerSender, slabs: Arc<WorkerSide>, shared: Arc<SharedWords>) -> Replies {
        let state = RepliesState {
            sender,
            waiting: MessageBatch::default(),
            unsent: UnsentReplies::new(shared),
            closed: false,
        };
        Replies { state: Mutex::new(state), changed: Condvar::new(), received: AtomicU64::new(0), slabs }
    }

    /// Sends a message at once, after the replies that waited.
    pub(crate) fn send_now(&self, message: FromWorker) -> Result<(), Closed> {
        let mut state = self.lock();
        add(&mut state.waiting, &message);
        self.send_waiting(&mut state)
    }

    /// Sends a reply now; while `more` jobs wait to be run, the reply may wait as well.
    pub(crate) fn reply(&self, message: FromWorker, more: bool) -> Result<(), Closed> {
        let mut state = self.lock();
        let RepliesState { waiting, unsent, .. } = &mut *state;
        let may_wait = more && waiting.count() + 1 < MAX_BATCH;
        let written = add(waiting, &message);
        let waits = may_wait && unsent.push(written);
        if !waits || state.closed {
            return self.send_waiting(&mut state);
        }
        if state.waiting.count() == 1 {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Sends how many frames were received.
    pub(crate) fn acknowledge(&self, frames: u64) -> Result<(), Closed> {
        self.received.store(frames, Ordering::Relaxed);
        self.send_waiting(&mut self.lock())
    }

    /// Sends which memory was released since the last message, so that an idle worker holds none.
    pub(crate) fn send_released(&self) -> Result<(), Closed> {
        if !self.slabs.has_released() {
            return Ok(());
        }
        self.send_waiting(&mut self.lock())
    }

    /// Runs the thread that sends the replies that have waited for [`MAX_DELAY`].
    pub(crate) fn send_delayed(&self) {
        let mut state = self.lock();
        while !state.closed {
            let empty = |state: &mut RepliesState| state.waiting.count() == 0 && !state.closed;
            state = self.changed.wait_while(state, empty).unwrap_or_else(PoisonError::into_inner);
            let waits = |state: &mut RepliesState| state.waiting.count() > 0 && !state.closed;
            let waited = self.changed.wait_timeout_while(state, MAX_DELAY, waits);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.waiting.count() > 0 && self.send_waiting(&mut state).is_err() {
                return;
            }
        }
    }

    /// Sends all that waits. If that fails, the replies stay in shared memory, and nothing is sent after
    /// them: the scheduler counts messages, and would take what is in shared memory for received.
    fn send_waiting(&self, state: &mut RepliesState) -> Result<(), Closed> {
        if state.closed {
            return Err(Closed);
        }
        let messages = std::mem::take(&mut state.waiting);
        match state.sender.send(&messages, self.received.load(Ordering::Relaxed), &self.slabs.released()) {
            Ok(()) => {
                state.unsent.clear(messages.count());
                Ok(())
            }
            Err(TransportError::Closed) => {
                state.closed = true;
                Err(Closed)
            }
            Err(error) => give_up(&error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RepliesState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds a message to a batch, and returns it in its encoded form.
fn add<'a>(messages: &'a mut MessageBatch, message: &FromWorker) -> &'a [u8] {
    messages.push(message).unwrap_or_else(|error| give_up(&error))
}

/// Ends this process. Otherwise the scheduler would wait for ever for a message that this worker can't send.
fn give_up(error: &TransportError) -> ! {
    // Among the last lines on standard error of the attempt that is lost.
    eprintln!("pushflow: this worker ends, since it can't send to its scheduler: {error}");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use pushflow_model::{AttemptId, TaskError};
    use pushflow_os::SeqPacket;

    use super::*;
    use crate::receive_turn::tests::channel;

    fn failure(attempt: u64) -> FromWorker {
        let error = TaskError::new(pushflow_model::ErrorKind::Raised, "no");
        FromWorker::Failed { attempt: AttemptId(attempt), error, marked: false }
    }

    #[test]
    fn a_reply_that_could_not_be_sent_stays_where_the_scheduler_reads_it() {
        let (scheduler, (sender, _from_scheduler)) = channel();
        // The receiver of another channel: it has received nothing, either.
        let ((_, receiver), _) = channel();
        let (shared, theirs) = SharedWords::new().expect("memory");
        let theirs = Arc::new(SharedWords::from_file(theirs).expect("the file of the words"));
        let slabs = Arc::new(WorkerSide::new(SeqPacket::pair().expect("a pair of sockets").0));
        let replies = Replies::new(sender, slabs, theirs);
        replies.reply(failure(1), true).expect("it waits");
        assert_eq!(receiver.unsent_replies(&shared), [failure(1)]);
        drop(scheduler);
        assert!(replies.reply(failure(2), false).is_err(), "the channel is closed");
        assert!(replies.reply(failure(3), true).is_err(), "it stays closed");
        assert_eq!(receiver.unsent_replies(&shared), [failure(1), failure(3)]);
    }
}
