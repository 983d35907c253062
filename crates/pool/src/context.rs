//! What a task sees of its attempt, and how an attempt is asked to end.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// Called once, when the request is made: what waits for something else too.
    others: Mutex<Vec<Wake>>,
}

type Wake = Box<dyn FnOnce() + Send>;

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
        others.into_iter().for_each(|wake| wake());
    }

    /// Has this called, once, when the request is made; at once if it was.
    pub(crate) fn wake_too(&self, wake: Wake) {
        self.0.others.lock().unwrap_or_else(PoisonError::into_inner).push(wake);
        if self.is_cancelled() {
            self.cancel();
        }
    }

    /// Has those who wait for this value look once more when the request is made, if there are any by then.
    pub(crate) fn wakes<T: Send + 'static>(&self, monitor: &Arc<Monitor<T>>) {
        let monitor = Arc::downgrade(monitor);
        self.wake_too(Box::new(move || monitor.upgrade().into_iter().for_each(|monitor| monitor.change(|_| ()))));
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
