//! [`TaskPool`]: a pool for tasks without a workflow, inside another task too.
//!
//! # States
//! An attempt is *open* from its submission until the pool tells how it ended; then its outcome waits for whoever holds
//! its [`Pending`], or goes to its callback, exactly once. Callbacks are called one after another on a thread of their
//! own, which is started for the first of them: whatever they do, the pool goes on. Who joins the pool waits for them, too,
//! but on that thread.

mod pending;
mod state;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pushflow_green::Cancellation;
use pushflow_model::{AttemptId, Data, PoolType, TaskSpec};

pub use self::pending::Pending;
use self::state::{Recipient, SharedState, StartThread, TaskPoolState, start_thread};
use crate::attempt::{Attempt, EventSink, Pool, PoolEvent, TaskResult};
use crate::error::OpenError;
use crate::in_process::{GreenPool, ThreadPool};
use crate::options::PoolOptions;
use crate::process::ProcessPool;
use crate::task_output::print_output;

/// Opens a pool of any type; `with_processes` says whether commands are to run on a pool of threads. When `opening` is
/// cancelled, the pool is given up.
///
/// # Errors
/// Those of the pool; [`OpenError::GivenUp`].
pub fn open_pool(
    pool: PoolType,
    options: &PoolOptions,
    with_processes: bool,
    events: EventSink,
    opening: &Cancellation,
) -> Result<Box<dyn Pool>, OpenError> {
    Ok(match pool {
        PoolType::Thread => Box::new(ThreadPool::open(options, with_processes, events)?),
        PoolType::Gevent => Box::new(GreenPool::open(options, with_processes, events)?),
        pool => Box::new(ProcessPool::open(pool, options, events, opening)?),
    })
}

/// A pool that runs single tasks (`parity.md` P103-P105).
///
/// Dropped, it waits for everything that was submitted, unless [`PoolOptions::wait_on_exit`] and its companions say
/// otherwise.
///
/// ```no_run
/// use pushflow_pool::{PoolOptions, TaskPool};
/// use pushflow_model::PoolType;
/// use pushflow_execute::task;
/// use pushflow_model::TaskSpec;
/// use pushflow_model::Data;
///
/// #[task(crate = pushflow_execute)]
/// fn double(number: i64) -> Data {
///     Data::new().with("number", 2 * number)
/// }
///
/// // `pushflow::init()` comes first thing in `main`.
/// let pool = TaskPool::open(PoolType::Thread, &PoolOptions::default())?;
/// let result = pool.submit(TaskSpec::rust("double"), Data::new().with("number", 21))?.wait()?;
/// assert_eq!(result.value("number")?, Some(&42.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TaskPool {
    pool: Mutex<Option<Box<dyn Pool>>>,
    shared: Arc<SharedState>,
    options: PoolOptions,
    next: AtomicU64,
}

/// Nothing can be submitted: the pool was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pool is closed and takes no more tasks")]
pub struct PoolClosed;

/// Why a task with a callback can't be submitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The pool was closed.
    #[error(transparent)]
    Closed(#[from] PoolClosed),
    /// The thread that calls the callbacks can't be started.
    #[error("no thread for callbacks could be started: {0}")]
    NoThread(#[source] std::io::Error),
}

impl TaskPool {
    /// Opens a pool.
    ///
    /// # Errors
    /// Those of [`ProcessPool::open`]; on the pool `thread`, when there is no guardian for commands.
    pub fn open(pool: PoolType, options: &PoolOptions) -> Result<TaskPool, OpenError> {
        TaskPool::open_within(pool, options, None)
    }

    pub(crate) fn open_within(
        pool: PoolType,
        options: &PoolOptions,
        cancellation: Option<&Cancellation>,
    ) -> Result<TaskPool, OpenError> {
        let opening = cancellation.cloned().unwrap_or_default();
        TaskPool::over(options, cancellation, start_thread, |events| open_pool(pool, options, true, events, &opening))
    }

    /// Opens the pool that runs the attempts, and gives it the sink of its events.
    fn over(
        options: &PoolOptions,
        cancellation: Option<&Cancellation>,
        start_thread: StartThread,
        open: impl FnOnce(EventSink) -> Result<Box<dyn Pool>, OpenError>,
    ) -> Result<TaskPool, OpenError> {
        let shared = SharedState::new(cancellation.cloned(), start_thread);
        let sink = {
            let shared = shared.clone();
            move |events: Vec<PoolEvent>| {
                let events = print_output(events);
                if !events.is_empty() {
                    shared.change(|state| events.into_iter().for_each(|event| state.handle(event)));
                }
            }
        };
        let pool = open(Arc::new(sink))?;
        Ok(TaskPool { pool: Mutex::new(Some(pool)), shared, options: options.clone(), next: AtomicU64::new(1) })
    }

    /// Submits a task. The callback receives its outcome, once, on a thread of the pool that calls nothing else: it may use
    /// the pool, and one that panics harms nobody.
    ///
    /// # Errors
    /// When the pool was closed; when there is no thread for callbacks.
    pub fn submit_then(
        &self,
        task: TaskSpec,
        inputs: Data,
        callback: impl FnOnce(TaskResult) + Send + 'static,
    ) -> Result<(), SubmitError> {
        self.shared.start_callbacks().map_err(SubmitError::NoThread)?;
        self.submit_for(task, inputs, Recipient::Callback(Box::new(callback)))?;
        Ok(())
    }

    fn submit_for(&self, task: TaskSpec, inputs: Data, recipient: Recipient) -> Result<AttemptId, PoolClosed> {
        let id = AttemptId(self.next.fetch_add(1, Ordering::Relaxed));
        let pool = self.lock();
        self.shared.look(|state| {
            if state.closed {
                return Err(PoolClosed);
            }
            state.add(id, recipient);
            Ok(())
        })?;
        let attempt = Attempt { id, actor: format!("task {id}").into(), task: Arc::new(task), inputs };
        pool.as_ref().ok_or(PoolClosed)?.submit(vec![attempt]);
        Ok(id)
    }

    /// Interrupts what runs; what waits is run nevertheless, and the pool can still be used (`parity.md` P105).
    pub fn interrupt(&self) {
        // Which ones run only the pool knows: that they have started is told a moment later.
        if let Some(pool) = &*self.lock() {
            pool.interrupt_running();
        }
    }

    /// Takes no more tasks.
    pub fn close(&self) {
        self.shared.look(|state| state.closed = true);
    }

    /// Waits until everything that was submitted has ended and every callback has returned, at most `limit`: whether that
    /// is so. A callback itself does not wait for callbacks.
    ///
    /// In a task it also ends, with `false`, when the task's own attempt is to end.
    pub fn join(&self, limit: Option<Duration>) -> bool {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        self.shared.wait(deadline, |state| state.is_done().then_some(())).is_some()
    }

    /// Takes no more tasks, waits for those that were submitted, at most `limit`, and ends the rest: whether there was
    /// none. With `interrupt`, what runs is interrupted first.
    pub fn shutdown(&self, limit: Option<Duration>, interrupt: bool) -> bool {
        self.close();
        if interrupt {
            self.interrupt();
        }
        let in_time = self.join(limit);
        let pool = self.lock().take();
        if let Some(mut pool) = pool {
            // What is idle has time to leave by itself; what still runs has had its time.
            let leave = if in_time { CLOSE_TIME } else { Duration::ZERO };
            pool.close(Some(Instant::now() + leave));
            self.shared.change(TaskPoolState::leave_behind);
        }
        in_time
    }

    /// How many workers there are now.
    pub fn workers(&self) -> usize {
        self.lock().as_ref().map_or(0, |pool| pool.workers())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<dyn Pool>>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long workers with nothing to do may take to leave.
const CLOSE_TIME: Duration = Duration::from_secs(5);

impl Drop for TaskPool {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The pool itself does then what it does when the process exits.
            drop(self.lock().take());
            return;
        }
        let limit = if self.options.wait_on_exit { self.options.wait_on_exit_timeout } else { Some(Duration::ZERO) };
        self.shutdown(limit, self.options.interrupt_on_exit);
    }
}

#[cfg(test)]
mod tests;
