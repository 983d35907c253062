//! What a green task can do, and a plain thread as well: know itself, wait, be woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tracing::Span;

use super::arena::Key;
use super::executor::Mailbox;
use super::scheduler::Scheduler;
use crate::cancellation::Cancelled;

/// Whether the caller is a green task, which lets others run when it waits.
pub fn is_green() -> bool {
    Scheduler::current().is_some()
}

/// Waits until a waker of the caller is used, or until the deadline; may also return for no reason.
///
/// A waker that was used since the caller last parked counts: then it returns soon, but not before other green tasks that
/// are ready.
pub fn park(deadline: Option<Instant>) {
    match Scheduler::current() {
        Some((scheduler, key)) => scheduler.park(key, deadline),
        None => match deadline {
            None => thread::park(),
            Some(at) => thread::park_timeout(at.saturating_duration_since(Instant::now())),
        },
    }
}

/// Wakes one green task or thread from [`park`], from anywhere. Cloning shares.
#[derive(Clone, Debug)]
pub struct Waker(Sleeper);

#[derive(Clone, Debug)]
enum Sleeper {
    Task(Arc<Handle>),
    Thread(Thread),
}

impl Waker {
    /// The waker of the green task or thread that calls this.
    pub fn current() -> Waker {
        match Scheduler::current().and_then(|(scheduler, key)| scheduler.handle(key)) {
            Some(handle) => Waker(Sleeper::Task(handle)),
            None => Waker(Sleeper::Thread(thread::current())),
        }
    }

    /// Wakes it. Nothing happens if it has ended.
    pub fn wake(&self) {
        match &self.0 {
            Sleeper::Task(handle) => handle.wake(),
            Sleeper::Thread(thread) => thread.unpark(),
        }
    }
}

/// How a green task is woken.
#[derive(Debug)]
pub struct Handle {
    key: Key,
    /// Whether it is queued already, or never will be again.
    queued: AtomicBool,
    mailbox: Arc<Mailbox>,
}

impl Handle {
    /// That of a task which is queued from the beginning.
    pub fn queued(key: Key, mailbox: Arc<Mailbox>) -> Arc<Handle> {
        Arc::new(Handle { key, queued: AtomicBool::new(true), mailbox })
    }

    pub fn wake(&self) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.mailbox.wake(self.key);
        }
    }

    /// It was taken from the queue, so that it can be queued again.
    pub fn dequeued(&self) {
        self.queued.store(false, Ordering::Release);
    }

    /// It has ended: nobody queues it any more.
    pub fn ended(&self) {
        self.queued.store(true, Ordering::Release);
    }
}

/// Lets other green tasks run that are ready; on a thread, other threads.
pub fn yield_now() {
    match Scheduler::current() {
        Some((scheduler, key)) => {
            if let Some(handle) = scheduler.handle(key) {
                handle.wake();
            }
            scheduler.park(key, None);
        }
        None => thread::yield_now(),
    }
}

/// Sleeps; a green task wakes at once when its attempt is asked to end. Timers have a resolution of a millisecond.
///
/// # Errors
/// When the attempt was asked to end, before or during the sleep; never outside of a green task.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(pushflow_green::sleep(Duration::from_millis(1)), Ok(()));
/// ```
pub fn sleep(duration: Duration) -> Result<(), Cancelled> {
    if !is_green() {
        thread::sleep(duration);
        return Ok(());
    }
    let deadline = Instant::now().checked_add(duration);
    loop {
        if is_cancelled() {
            return Err(Cancelled);
        }
        if deadline.is_some_and(|at| at <= Instant::now()) {
            return Ok(());
        }
        park(deadline);
    }
}

/// Whether the attempt of the calling green task was asked to end.
pub fn is_cancelled() -> bool {
    Scheduler::current().is_some_and(|(scheduler, key)| scheduler.is_cancelled(key))
}

/// Runs something in a span, which a green task leaves while it waits, so that no other task is in it.
pub fn in_span<R>(span: Span, run: impl FnOnce() -> R) -> R {
    let Some((scheduler, key)) = Scheduler::current() else { return span.in_scope(run) };
    scheduler.set_span(key, Some(span.clone()));
    let result = span.in_scope(run);
    scheduler.set_span(key, None);
    result
}
