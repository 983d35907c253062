//! [`Replies`]: what a worker says, several answers at a time while attempts are short.
//!
//! An answer waits for company while other jobs wait to be run: a message for each would cost more than a small task. It
//! never waits long, though: a thread sends what is left behind when the next job turns out not to be short. And it waits
//! in shared memory, too, so that the scheduler finds it there if the next job ends this process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pushflow_os::SharedWords;
use pushflow_protocol::slabs::WorkerSide;
use pushflow_protocol::transport::{FromWorkerSender, MessageBatch, TransportError};
use pushflow_protocol::{FromWorker, UnsentReplies};

/// How many answers are sent together at the most.
const MAX_BATCH: usize = 32;
/// How long an answer may wait.
const MAX_DELAY: Duration = Duration::from_micros(500);

/// The worker's side of what is said to the scheduler.
pub(crate) struct Replies {
    state: Mutex<RepliesState>,
    changed: Condvar,
    /// How many frames were received; told with every message.
    received: AtomicU64,
    /// What was released is told with every message too.
    slabs: Arc<WorkerSide>,
}

struct RepliesState {
    sender: FromWorkerSender,
    waiting: MessageBatch,
    /// What waits, once more.
    unsent: UnsentReplies,
    closed: bool,
}

/// Nobody listens any more.
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

    /// Says something at once, and what waited before it.
    pub(crate) fn send_now(&self, message: FromWorker) -> Result<(), Closed> {
        let mut state = self.lock();
        add(&mut state.waiting, &message);
        self.send_waiting(&mut state)
    }

    /// Says something now, or, while there are `more` jobs, soon.
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

    /// Tells how many frames were received.
    pub(crate) fn acknowledge(&self, frames: u64) -> Result<(), Closed> {
        self.received.store(frames, Ordering::Relaxed);
        self.send_waiting(&mut self.lock())
    }

    /// Tells what was released since the last message, so that an idle worker holds nothing.
    pub(crate) fn send_released(&self) -> Result<(), Closed> {
        if !self.slabs.has_released() {
            return Ok(());
        }
        self.send_waiting(&mut self.lock())
    }

    /// The life of the thread that sends what has waited long enough.
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

    /// What was not sent stays in shared memory, so that nothing may be sent after it.
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

/// Adds a message to those that are to be sent: how it is written down.
fn add<'a>(messages: &'a mut MessageBatch, message: &FromWorker) -> &'a [u8] {
    messages.push(message).unwrap_or_else(|error| give_up(&error))
}

/// Ends this process: whoever waits for what it can't say must not do so for ever.
fn give_up(error: &TransportError) -> ! {
    // Among the last lines on standard error of the attempt that is lost.
    eprintln!("pushflow: this worker ends, since it can't tell its scheduler anything: {error}");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use pushflow_os::SeqPacket;
    use pushflow_protocol::{AttemptId, TaskError};

    use super::*;
    use crate::receive_turn::tests::channel;

    fn failure(attempt: u64) -> FromWorker {
        let error = TaskError::new(pushflow_protocol::ErrorKind::Raised, "no");
        FromWorker::Failed { attempt: AttemptId(attempt), error, marked: false }
    }

    #[test]
    fn what_could_not_be_sent_stays_where_the_scheduler_looks_for_it() {
        let (scheduler, (sender, _from_scheduler)) = channel();
        // That has heard nothing, either.
        let ((_, receiver), _) = channel();
        let (shared, theirs) = SharedWords::new().expect("memory");
        let theirs = Arc::new(SharedWords::from_file(theirs).expect("the file of the words"));
        let slabs = Arc::new(WorkerSide::new(SeqPacket::pair().expect("a pair of sockets").0));
        let replies = Replies::new(sender, slabs, theirs);
        replies.reply(failure(1), true).expect("it waits");
        assert_eq!(receiver.unsent_replies(&shared), [failure(1)]);
        drop(scheduler);
        assert!(replies.reply(failure(2), false).is_err(), "nobody listens");
        assert!(replies.reply(failure(3), true).is_err(), "nor later");
        assert_eq!(receiver.unsent_replies(&shared), [failure(1), failure(3)]);
    }
}
