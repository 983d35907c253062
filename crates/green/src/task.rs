//! What a green task and a plain thread can both do: wait, wake each other, let others run.

use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::Instant;

use crate::scheduler::{Scheduler, TaskHandle};

/// Whether the caller is a green task, which lets others run when it waits.
pub fn is_green() -> bool {
    Scheduler::current().is_some()
}

/// Waits until a waker of the caller is used, or until the deadline; may also return for no reason.
///
/// A waker that was used since the caller last parked counts: then the call returns soon, but not before other green
/// tasks that are ready.
pub fn park(deadline: Option<Instant>) {
    match Scheduler::current() {
        Some((scheduler, key)) => scheduler.park(key, deadline),
        None => match deadline {
            None => thread::park(),
            Some(at) => thread::park_timeout(at.saturating_duration_since(Instant::now())),
        },
    }
}

/// Wakes one green task or thread from [`park`], from any thread. A clone wakes the same one.
#[derive(Clone, Debug)]
pub struct Waker(Sleeper);

#[derive(Clone, Debug)]
enum Sleeper {
    Task(Arc<TaskHandle>),
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

    /// Wakes the task or thread. Nothing happens if it has ended.
    pub fn wake(&self) {
        match &self.0 {
            Sleeper::Task(handle) => handle.wake(),
            Sleeper::Thread(thread) => thread.unpark(),
        }
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
