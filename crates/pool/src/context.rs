//! What a task sees of its attempt, and how an attempt is asked to end.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use pushflow_protocol::TaskSpec;
use pushflow_value::Data;

use crate::current::{CurrentProcess, current_process};
use crate::green::Monitor;
use crate::options::{PoolOptions, PoolType};
use crate::process::OpenError;
use crate::single_process::{Process, ProcessKind};
use crate::task_pool::TaskPool;

/// A request to end one attempt, shared by who asks and who is asked; once made it stays.
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<Request>);

#[derive(Default)]
struct Request {
    made: AtomicBool,
    /// `made` changes behind its lock, so that no sleeper misses the change between its look and its wait.
    gate: Monitor<()>,
    /// Woken once, when the request is made: what waits for something else too.
    others: Mutex<Vec<Weak<dyn Wakes>>>,
}

/// What waits for something, and a cancellation too.
pub(crate) trait Wakes: Send + Sync {
    /// The request was made.
    fn wake(&self);
}

impl<T: Send + 'static> Wakes for Monitor<T> {
    fn wake(&self) {
        self.change(|_| ());
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Request").field(&self.made).finish()
    }
}

impl Cancellation {
    /// A request that nobody has made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the request, and wakes all who wait for it; a second time does nothing.
    pub fn cancel(&self) {
        self.0.gate.change(|()| self.0.made.store(true, Ordering::Release));
        let others = std::mem::take(&mut *self.0.others.lock().unwrap_or_else(PoisonError::into_inner));
        others.iter().filter_map(Weak::upgrade).for_each(|other| other.wake());
    }

    /// Has this woken, once, when the request is made, if it is still there by then; at once if it was made.
    pub(crate) fn wakes<W: Wakes + 'static>(&self, other: &Arc<W>) {
        let mut others = self.0.others.lock().unwrap_or_else(PoisonError::into_inner);
        if others.len() == others.capacity() {
            // An attempt may open one pool after the other.
            others.retain(|other| other.strong_count() > 0);
        }
        let other: Weak<W> = Arc::downgrade(other);
        others.push(other);
        drop(others);
        if self.is_cancelled() {
            self.cancel();
        }
    }

    /// Whether the request was made; cheap enough for an inner loop.
    pub fn is_cancelled(&self) -> bool {
        self.0.made.load(Ordering::Acquire)
    }

    /// Waits until the request is made, at most `limit`; says whether it was made. A green task lets
    /// others run meanwhile.
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        // A limit beyond all times is none.
        let deadline = Instant::now().checked_add(limit);
        self.0.gate.wait(deadline, |()| self.is_cancelled().then_some(())).is_some()
    }
}

/// The attempt was asked to end: what a task returns, by `?`, to follow that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the attempt was cancelled")]
pub struct Cancelled;

/// What a task sees of its attempt: a `#[task]` function takes it as a parameter of type `&TaskContext`.
///
/// A task that runs long should look at it from time to time: where it shares a process with others, this is the only way
/// to end it.
///
/// ```
/// use std::time::Duration;
/// use pushflow_pool::{Cancellation, Cancelled, TaskContext, task};
///
/// #[task(crate = pushflow_pool)]
/// fn watch(rounds: u32, context: &TaskContext) -> Result<(), Cancelled> {
///     for _ in 0..rounds {
///         context.sleep(Duration::from_secs(1))?;
///     }
///     Ok(())
/// }
///
/// let cancellation = Cancellation::new();
/// let context = TaskContext::new("watcher", 1, cancellation.clone());
/// cancellation.cancel();
/// assert_eq!(watch(3600, &context), Err(Cancelled));
/// ```
#[derive(Clone, Debug)]
pub struct TaskContext {
    actor: Arc<str>,
    attempt: u64,
    cancellation: Cancellation,
}

impl TaskContext {
    /// The context of one attempt of one actor.
    pub fn new(actor: impl Into<Arc<str>>, attempt: u64, cancellation: Cancellation) -> Self {
        TaskContext { actor: actor.into(), attempt, cancellation }
    }

    /// The name of the actor whose task runs.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The number of this attempt, unique within its run.
    pub fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Who the process is that the task runs in.
    pub fn process(&self) -> CurrentProcess {
        current_process()
    }

    /// Opens a pool for tasks of this task: waiting for one of them ends when this attempt is to end.
    ///
    /// # Errors
    /// Those of [`TaskPool::open`]; `daemonic processes are not allowed to have children` where they are not.
    pub fn open_pool(&self, pool: PoolType, options: &PoolOptions) -> Result<TaskPool, OpenError> {
        TaskPool::open_within(pool, options, Some(&self.cancellation))
    }

    /// Starts a single process for a task of this task: waiting for it ends when this attempt is to end.
    ///
    /// # Errors
    /// Those of [`Process::start`]; `daemonic processes are not allowed to have children` where they are not.
    pub fn start_process(
        &self,
        kind: ProcessKind,
        options: &PoolOptions,
        task: TaskSpec,
        inputs: Data,
    ) -> Result<Process, OpenError> {
        Process::start_within(kind, options, task, inputs, Some(&self.cancellation))
    }

    /// Whether the attempt was asked to end; cheap enough for an inner loop.
    pub fn is_cancelled(&self) -> bool {
        self.cancellation.is_cancelled()
    }

    /// Whether to go on, in the form that `?` follows.
    ///
    /// # Errors
    /// When the attempt was asked to end.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// Sleeps, and wakes at once when the attempt is asked to end.
    ///
    /// # Errors
    /// When the attempt was asked to end, before or during the sleep.
    pub fn sleep(&self, duration: Duration) -> Result<(), Cancelled> {
        if self.cancellation.wait_timeout(duration) { Err(Cancelled) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_no_more_takes_no_room() {
        let cancellation = Cancellation::new();
        let stays = Arc::new(Monitor::new(0));
        cancellation.wakes(&stays);
        for _ in 0..10_000 {
            cancellation.wakes(&Arc::new(Monitor::new(())));
        }
        let others = cancellation.0.others.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(others.len() < 100, "{} are kept", others.len());
        assert!(others.iter().any(|other| other.strong_count() > 0), "what waits is forgotten");
    }
}
