//! The attempts of a [`TaskPool`](super::TaskPool) behind its lock: who receives their outcomes, and which of them
//! wait.
//!
//! The lock is a [`Monitor`]: a thread or green task that waits for an outcome waits in it, and a future leaves its
//! waker with its attempt.
//!
//! Code of the user may use or drop the pool, so it runs without this lock and without those of the pool below, whose
//! threads report events with their own lock held: the callbacks' thread calls the callbacks and wakes the wakers. A
//! waker that is not needed is dropped by the caller of [`TaskPoolState::poll`] and [`TaskPoolState::forget`].

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::thread::ThreadId;
use std::time::Instant;

use crossbeam_channel::Sender;
use pushflow_green::{Cancellation, Monitor, Wakes};
use pushflow_model::{AttemptId, ErrorKind, TaskError};

use crate::attempt::{PoolEvent, TaskResult};

/// Starts a thread of this name.
pub(super) type StartThread = fn(&str, Box<dyn FnOnce() + Send>) -> io::Result<ThreadId>;

/// A callback of the user, which receives an outcome.
pub(super) type Callback = Box<dyn FnOnce(TaskResult) + Send>;

/// Code of the user, for the callbacks' thread.
pub(super) enum UserCode {
    Callback(Callback, TaskResult),
    Wake(Waker),
}

/// The state of a task pool, shared with the threads of the pool below it.
pub(super) struct SharedState(Monitor<TaskPoolState>);

pub(super) struct TaskPoolState {
    pub(super) closed: bool,
    /// The attempts that have not ended.
    open: HashMap<AttemptId, Recipient>,
    /// The outcomes that their [`Pending`](super::Pending)s have not taken.
    outcomes: HashMap<AttemptId, TaskResult>,
    /// To the thread that calls callbacks and wakes futures, once it was started; the thread ends when this is dropped.
    callbacks: Option<Sender<UserCode>>,
    unfinished_callbacks: usize,
    callback_thread: Option<ThreadId>,
    start_thread: StartThread,
    /// The attempt in which the pool was opened: waiting ends when that attempt is to end.
    cancellation: Option<Cancellation>,
    /// The futures that [`SharedState::change`] hands to the callbacks' thread.
    woken: Vec<Waker>,
}

/// Who receives the outcome of an open attempt.
pub(super) enum Recipient {
    /// A [`Pending`](super::Pending), and its waker if it was polled.
    Pending(Option<Waker>),
    Callback(Callback),
    /// The `Pending` was dropped.
    None,
}

/// Starts a thread with the standard library.
pub(super) fn start_thread(name: &str, run: Box<dyn FnOnce() + Send>) -> io::Result<ThreadId> {
    Ok(std::thread::Builder::new().name(name.to_owned()).spawn(run)?.thread().id())
}

impl SharedState {
    pub(super) fn new(cancellation: Option<Cancellation>, start_thread: StartThread) -> Arc<SharedState> {
        let state = TaskPoolState {
            closed: false,
            open: HashMap::new(),
            outcomes: HashMap::new(),
            callbacks: None,
            unfinished_callbacks: 0,
            callback_thread: None,
            start_thread,
            cancellation: cancellation.clone(),
            woken: Vec::new(),
        };
        let shared = Arc::new(SharedState(Monitor::new(state)));
        if let Some(cancellation) = cancellation {
            cancellation.wakes(&shared);
        }
        shared
    }

    /// Looks at the state, or changes what nobody waits for.
    pub(super) fn look<R>(&self, look: impl FnOnce(&mut TaskPoolState) -> R) -> R {
        self.0.look(look)
    }

    /// Changes the state, wakes those who wait in the monitor, and has the futures woken whose attempts have ended.
    pub(super) fn change(&self, change: impl FnOnce(&mut TaskPoolState)) {
        let (woken, callbacks) = self.0.change(|state| {
            change(state);
            let woken = std::mem::take(&mut state.woken);
            // Its clone costs an atomic operation, which pools without futures need not pay.
            let callbacks = (!woken.is_empty()).then(|| state.callbacks.clone()).flatten();
            (woken, callbacks)
        });
        for waker in woken {
            match &callbacks {
                Some(callbacks) => drop(callbacks.send(UserCode::Wake(waker))),
                // No thread could be started when the future was polled.
                None => call(|| waker.wake()),
            }
        }
    }

    /// Waits until `look` finds something; `None` when the deadline comes first, or the attempt around the pool is to
    /// end.
    pub(super) fn wait<R>(
        &self,
        deadline: Option<Instant>,
        mut look: impl FnMut(&mut TaskPoolState) -> Option<R>,
    ) -> Option<R> {
        let found = |state: &mut TaskPoolState| match look(state) {
            None if state.is_cancelled() => Some(None),
            None => None,
            found => Some(found),
        };
        self.0.wait(deadline, found).flatten()
    }

    /// Starts the callbacks' thread unless it was started; it ends with the pool.
    ///
    /// # Errors
    /// When there are no threads left.
    pub(super) fn start_callbacks(self: &Arc<Self>) -> io::Result<()> {
        let shared = Arc::downgrade(self);
        self.look(|state| match state.callbacks {
            Some(_) => Ok(()),
            None => state.start_callbacks(shared),
        })
    }
}

/// The attempt around the pool is to end: every future of the pool is polled again, and sees that.
impl Wakes for SharedState {
    fn wake(&self) {
        self.change(|state| {
            let recipients = state.open.values_mut();
            state.woken.extend(recipients.filter_map(|recipient| match recipient {
                Recipient::Pending(waker) => waker.take(),
                Recipient::Callback(_) | Recipient::None => None,
            }));
        });
    }
}

impl TaskPoolState {
    /// Adds an attempt that is about to be submitted.
    pub(super) fn add(&mut self, attempt: AttemptId, recipient: Recipient) {
        self.open.insert(attempt, recipient);
    }

    /// An event of the pool below.
    pub(super) fn handle(&mut self, event: PoolEvent) {
        match event {
            PoolEvent::Finished { attempt, result } => self.end(attempt, Ok(result)),
            PoolEvent::Failed { attempt, error } => self.end(attempt, Err(error)),
            PoolEvent::ProcessStopped { attempt, pid, signal } => {
                let signal = pushflow_model::signal_name(signal);
                tracing::warn!(%attempt, pid, signal, "a process was stopped: its task does nothing until it goes on");
            }
            _ => {}
        }
    }

    /// Ends the attempts that still run after the pool was closed: they run on threads of this process, where nobody
    /// can end them, and nobody waits for them.
    pub(super) fn leave_behind(&mut self) {
        for attempt in self.open.keys().copied().collect::<Vec<_>>() {
            let message =
                "the pool was shut down while the attempt ran on a thread, which can't be ended: it is left behind";
            self.end(attempt, Err(TaskError::new(ErrorKind::Stopped, message)));
        }
    }

    fn end(&mut self, attempt: AttemptId, outcome: TaskResult) {
        match self.open.remove(&attempt) {
            Some(Recipient::Pending(waker)) => {
                self.outcomes.insert(attempt, outcome);
                self.woken.extend(waker);
            }
            Some(Recipient::Callback(callback)) => {
                // The thread was started before the attempt was submitted.
                if let Some(callbacks) = &self.callbacks {
                    self.unfinished_callbacks += 1;
                    callbacks.send(UserCode::Callback(callback, outcome)).ok();
                }
            }
            Some(Recipient::None) | None => {}
        }
    }

    /// Whether all attempts have ended and all callbacks have returned. On the callbacks' own thread only the first
    /// counts.
    pub(super) fn is_done(&self) -> bool {
        let waits_for_callbacks =
            self.unfinished_callbacks > 0 && self.callback_thread != Some(std::thread::current().id());
        self.open.is_empty() && !waits_for_callbacks
    }

    /// Whether neither an attempt nor an outcome nor a waker is kept.
    #[cfg(test)]
    pub(super) fn holds_nothing(&self) -> bool {
        self.open.is_empty() && self.outcomes.is_empty() && self.woken.is_empty()
    }

    /// Whether the attempt around the pool is to end.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancellation.as_ref().is_some_and(Cancellation::is_cancelled)
    }

    /// Takes the outcome of an attempt, if it has ended.
    pub(super) fn take_outcome(&mut self, attempt: AttemptId) -> Option<TaskResult> {
        self.outcomes.remove(&attempt)
    }

    /// Takes the outcome of an attempt, `None` if the attempt around the pool is to end; else keeps the waker until the
    /// attempt ends. Gives the waker that is not needed, to be dropped without the lock.
    pub(super) fn poll(&mut self, attempt: AttemptId, waker: Waker) -> (Poll<Option<TaskResult>>, Option<Waker>) {
        if let Some(outcome) = self.take_outcome(attempt) {
            return (Poll::Ready(Some(outcome)), Some(waker));
        }
        if self.is_cancelled() {
            return (Poll::Ready(None), Some(waker));
        }
        match self.open.get_mut(&attempt) {
            Some(Recipient::Pending(kept)) => (Poll::Pending, kept.replace(waker)),
            _ => (Poll::Pending, Some(waker)),
        }
    }

    /// Forgets the outcome of an attempt, now or when it comes. Gives what is left of its `Pending`, to be dropped
    /// without the lock.
    pub(super) fn forget(&mut self, attempt: AttemptId) -> (Option<TaskResult>, Option<Recipient>) {
        let recipient = self.open.get_mut(&attempt).map(|recipient| std::mem::replace(recipient, Recipient::None));
        (self.outcomes.remove(&attempt), recipient)
    }

    fn start_callbacks(&mut self, shared: Weak<SharedState>) -> io::Result<()> {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let run = move || {
            for code in receiver {
                match code {
                    UserCode::Wake(waker) => call(|| waker.wake()),
                    UserCode::Callback(callback, outcome) => {
                        call(|| callback(outcome));
                        // Nobody waits for callbacks of a pool that was dropped.
                        if let Some(shared) = shared.upgrade() {
                            shared.change(|state| state.unfinished_callbacks -= 1);
                        }
                    }
                }
            }
        };
        self.callback_thread = Some((self.start_thread)("pushflow-callbacks", Box::new(run))?);
        self.callbacks = Some(sender);
        Ok(())
    }
}

/// Calls code of the user, whose panic ends nothing.
fn call(code: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(code)).is_err() {
        tracing::error!("a callback of a task panicked");
    }
}
