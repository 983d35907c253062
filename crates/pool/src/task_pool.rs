//! [`TaskPool`]: a pool for tasks without a workflow, also inside another task.
//!
//! # States
//! An attempt is *open* from its submission until the pool reports its end. Then its outcome waits for its [`Pending`],
//! or goes to its callback, exactly once. Callbacks are called one after another on a thread of their own, which is
//! started for the first of them; so the pool goes on whatever they do. A join waits for the callbacks, too, but not on
//! their thread.

mod pending;
mod state;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pushflow_green::Cancellation;
use pushflow_model::{AttemptId, Data, ErrorKind, PoolType, TaskError, TaskSpec};

pub use self::pending::Pending;
use self::state::{Recipient, SharedState, StartThread, TaskPoolState, start_thread};
use crate::attempt::{Attempt, EventSink, Pool, PoolEvent, TaskResult};
use crate::error::OpenError;
use crate::in_process::{GreenPool, ThreadPool};
use crate::options::PoolOptions;
use crate::process::ProcessPool;
use crate::task_output::print_output;

/// Opens a pool of any type. `with_processes` says whether the attempts of the pools `thread` and `gevent` may start
/// processes: commands and a Python interpreter. When `opening` is cancelled, the opening ends.
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

/// A pool that runs single tasks (`docs/parity.md` P103-P105).
///
/// A dropped pool waits for all submitted tasks, unless [`PoolOptions::wait_on_exit`](field@PoolOptions::wait_on_exit)
/// and the two options after it say otherwise.
///
/// ```no_run
/// use pushflow_execute::task;
/// use pushflow_model::{Data, PoolType};
/// use pushflow_pool::{PoolOptions, TaskPool};
///
/// #[task(crate = pushflow_execute)]
/// fn double(number: i64) -> i64 {
///     2 * number
/// }
///
/// // `pushflow::init()` comes first thing in `main`.
/// let pool = TaskPool::open(PoolType::Thread, &PoolOptions::new())?;
/// let doubled: i64 = pool.submit(double::spec(), Data::new().with("number", 21))?.wait_as()?;
/// assert_eq!(doubled, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TaskPool {
    pool: Mutex<Option<Box<dyn Pool>>>,
    shared: Arc<SharedState>,
    options: PoolOptions,
    /// Why the pool can start no process for commands and Python tasks, if it can't.
    no_processes: Option<String>,
    next: AtomicU64,
}

/// The error of a submission to a closed pool.
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
    /// When there is no worker program for the pool, its workers or the Python interpreter can't be started, or so many of
    /// them don't fit. The pools `thread` and `gevent` need no worker program for Rust tasks; without one they refuse all
    /// others when they are submitted.
    pub fn open(pool: PoolType, options: &PoolOptions) -> Result<TaskPool, OpenError> {
        TaskPool::open_within(pool, options, None)
    }

    pub(crate) fn open_within(
        pool: PoolType,
        options: &PoolOptions,
        cancellation: Option<&Cancellation>,
    ) -> Result<TaskPool, OpenError> {
        let opening = cancellation.cloned().unwrap_or_default();
        let in_process = matches!(pool, PoolType::Thread | PoolType::Gevent);
        let mut no_processes = None;
        let open = |events: EventSink| match open_pool(pool, options, true, events.clone(), &opening) {
            // Rust tasks need no other process; all others are refused when they are submitted.
            Err(OpenError::Guardian(error)) if in_process => {
                no_processes = Some(error.to_string());
                open_pool(pool, options, false, events, &opening)
            }
            opened => opened,
        };
        let mut opened = TaskPool::over(options, cancellation, start_thread, open)?;
        opened.no_processes = no_processes;
        Ok(opened)
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
        Ok(TaskPool {
            pool: Mutex::new(Some(pool)),
            shared,
            options: options.clone(),
            no_processes: None,
            next: AtomicU64::new(1),
        })
    }

    /// Submits a task. The callback receives its outcome, once, on a thread of the pool that calls nothing else: it may
    /// use the pool, and one that panics harms nobody.
    ///
    /// # Errors
    /// When the pool was closed; when there is no thread for callbacks.
    pub fn submit_then(
        &self,
        task: TaskSpec,
        inputs: Data,
        callback: impl FnOnce(TaskResult) + Send + 'static,
    ) -> Result<(), SubmitError> {
        if self.shared.look(|state| state.closed) {
            return Err(PoolClosed.into());
        }
        self.shared.start_callbacks().map_err(SubmitError::NoThread)?;
        self.submit_for(task, inputs, Recipient::Callback(Box::new(callback)))?;
        Ok(())
    }

    fn submit_for(&self, task: TaskSpec, inputs: Data, recipient: Recipient) -> Result<AttemptId, PoolClosed> {
        let id = AttemptId(self.next.fetch_add(1, Ordering::Relaxed));
        let pool = self.lock();
        let refused = self.shared.look(|state| match state.closed {
            true => Some(recipient),
            false => {
                state.add(id, recipient);
                None
            }
        });
        if let Some(recipient) = refused {
            // Its drop is code of the user, which may use the pool.
            drop(pool);
            drop(recipient);
            return Err(PoolClosed);
        }
        if let (Some(reason), false) = (&self.no_processes, matches!(task, TaskSpec::Rust { .. })) {
            let message = format!("this pool runs Rust tasks only, since it can start no process: {reason}");
            let error = TaskError::new(ErrorKind::Unsupported, message);
            drop(pool);
            self.shared.change(|state| state.handle(PoolEvent::Failed { attempt: id, error }));
            return Ok(id);
        }
        let attempt = Attempt { id, actor: format!("task {id}").into(), task: Arc::new(task), inputs };
        pool.as_ref().ok_or(PoolClosed)?.submit(vec![attempt]);
        Ok(id)
    }

    /// Interrupts the running tasks. Waiting tasks are run nevertheless, and the pool can still be used
    /// (`docs/parity.md` P105).
    pub fn interrupt(&self) {
        // Only the pool below knows which attempts run: their starts are reported a moment later.
        if let Some(pool) = &*self.lock() {
            pool.interrupt_running();
        }
    }

    /// Takes no more tasks.
    pub fn close(&self) {
        self.shared.look(|state| state.closed = true);
    }

    /// Waits until all submitted tasks have ended and all callbacks have returned, at most `limit`. Returns whether
    /// they have. Called in a callback, it waits for the tasks only.
    ///
    /// Of what a task opened through [`crate::NestedPools`], the wait also ends, with `false`, when the task's own attempt
    /// is to end.
    pub fn join(&self, limit: Option<Duration>) -> bool {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        self.shared.wait(deadline, |state| state.is_done().then_some(())).is_some()
    }

    /// Takes no more tasks, waits for the submitted ones, at most `limit`, and ends those that still run. Returns
    /// whether none did. With `interrupt`, running tasks are interrupted first.
    pub fn shutdown(&self, limit: Option<Duration>, interrupt: bool) -> bool {
        self.close();
        if interrupt {
            self.interrupt();
        }
        let in_time = self.join(limit);
        let pool = self.lock().take();
        if let Some(mut pool) = pool {
            // Idle workers have time to leave by themselves; running tasks have had their time.
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
            // The drop of the pool below does then the same as an exit of the process.
            drop(self.lock().take());
            return;
        }
        let limit = if self.options.wait_on_exit { self.options.wait_on_exit_timeout } else { Some(Duration::ZERO) };
        self.shutdown(limit, self.options.interrupt_on_exit);
    }
}

#[cfg(test)]
mod tests;
