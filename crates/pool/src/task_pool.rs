//! [`TaskPool`]: a pool for tasks without a workflow, inside another task too.
//!
//! # States
//! An attempt is *open* from its submission until the pool tells how it ended; then its outcome waits for whoever holds
//! its [`Pending`], or goes to its callback, exactly once. Callbacks are called one after another on a thread of their
//! own, which is started for the first of them: whatever they do, the pool goes on. Who joins the pool waits for them, too,
//! but on that thread.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pushflow_green::{Cancellation, Monitor};
use pushflow_model::{AttemptId, Data, ErrorKind, PoolType, TaskError, TaskSpec};

use crate::attempt::{Attempt, EventSink, Pool, PoolEvent, Stream};
use crate::error::OpenError;
use crate::in_process::{GreenPool, ThreadPool};
use crate::options::PoolOptions;
use crate::process::ProcessPool;

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

/// What an attempt came to.
pub type TaskResult = Result<Data, TaskError>;

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

/// Waiting for a change lets other green tasks run, where a green task waits.
type SharedState = Monitor<TaskPoolState>;

#[derive(Default)]
struct TaskPoolState {
    closed: bool,
    open: HashMap<AttemptId, Recipient>,
    outcomes: HashMap<AttemptId, TaskResult>,
    callbacks: Option<Sender<(Callback, TaskResult)>>,
    /// How many callbacks have not returned.
    unfinished_callbacks: usize,
    /// The thread that unfinished_callbacks them.
    callback_thread: Option<ThreadId>,
    /// The attempt in which the pool was opened: waiting ends when that is to end.
    cancellation: Option<Cancellation>,
}

type Callback = Box<dyn FnOnce(TaskResult) + Send>;

/// Who is to get an outcome.
enum Recipient {
    Pending,
    /// Its `Pending` was dropped.
    None,
    Callback(Callback),
}

/// Nothing can be submitted: the pool was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pool is closed and takes no more tasks")]
pub struct PoolClosed;

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
        let shared = Arc::new(SharedState::new(TaskPoolState {
            cancellation: cancellation.cloned(),
            ..TaskPoolState::default()
        }));
        if let Some(cancellation) = cancellation {
            cancellation.wakes(&shared);
        }
        let state = shared.clone();
        let sink = move |events: Vec<PoolEvent>| {
            let events = print_output(events);
            if !events.is_empty() {
                state.change(|state| events.into_iter().for_each(|event| state.handle(event)));
            }
        };
        let pool = open_pool(pool, options, true, Arc::new(sink), &cancellation.cloned().unwrap_or_default())?;
        Ok(TaskPool { pool: Mutex::new(Some(pool)), shared, options: options.clone(), next: AtomicU64::new(1) })
    }

    /// Submits a task; its outcome is to be waited for, or not.
    ///
    /// # Errors
    /// When the pool was closed.
    pub fn submit(&self, task: TaskSpec, inputs: Data) -> Result<Pending<'_>, PoolClosed> {
        let attempt = self.submit_for(task, inputs, Recipient::Pending)?;
        Ok(Pending { pool: self, attempt, taken: false })
    }

    /// Submits a task; the callback gets its outcome, once, on a thread of the pool. One that panics harms nobody.
    ///
    /// # Errors
    /// When the pool was closed.
    pub fn submit_then(
        &self,
        task: TaskSpec,
        inputs: Data,
        callback: impl FnOnce(TaskResult) + Send + 'static,
    ) -> Result<(), PoolClosed> {
        let shared = Arc::downgrade(&self.shared);
        self.shared.look(|state| state.start_callbacks(shared));
        self.submit_for(task, inputs, Recipient::Callback(Box::new(callback))).map(drop)
    }

    fn submit_for(&self, task: TaskSpec, inputs: Data, recipient: Recipient) -> Result<AttemptId, PoolClosed> {
        let id = AttemptId(self.next.fetch_add(1, Ordering::Relaxed));
        let pool = self.lock();
        self.shared.look(|state| match state.closed {
            true => Err(PoolClosed),
            false => Ok(state.open.insert(id, recipient)),
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
        self.wait(deadline, |state| state.is_done().then_some(())).is_some()
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

    /// Waits until `look` finds something; `None` when the deadline or the end of the attempt around this came first.
    fn wait<R>(&self, deadline: Option<Instant>, mut look: impl FnMut(&mut TaskPoolState) -> Option<R>) -> Option<R> {
        let found = |state: &mut TaskPoolState| match look(state) {
            None if state.is_cancelled() => Some(None),
            None => None,
            found => Some(found),
        };
        self.shared.wait(deadline, found).flatten()
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

impl TaskPoolState {
    /// Called on a thread of the pool.
    fn handle(&mut self, event: PoolEvent) {
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

    /// What has not ended with the pool runs on, on threads of this process, where nobody can end it; nobody waits for it
    /// either.
    fn leave_behind(&mut self) {
        for attempt in self.open.keys().copied().collect::<Vec<_>>() {
            let message =
                "the pool was shut down while the attempt ran on a thread, which can't be ended: it is left behind";
            self.end(attempt, Err(TaskError::new(ErrorKind::Stopped, message)));
        }
    }

    /// Starts the thread that unfinished_callbacks callbacks, the first time; it ends with the pool.
    fn start_callbacks(&mut self, shared: Weak<SharedState>) {
        if self.callbacks.is_some() {
            return;
        }
        let (sender, receiver) = crossbeam_channel::unbounded::<(Callback, TaskResult)>();
        let call = move || {
            for (callback, outcome) in receiver {
                if catch_unwind(AssertUnwindSafe(|| callback(outcome))).is_err() {
                    tracing::error!("a callback of a task panicked");
                }
                // Without the pool nobody waits for it.
                if let Some(shared) = shared.upgrade() {
                    shared.change(|state| state.unfinished_callbacks -= 1);
                }
            }
        };
        match std::thread::Builder::new().name("pushflow-callbacks".into()).spawn(call) {
            Ok(thread) => (self.callbacks, self.callback_thread) = (Some(sender), Some(thread.thread().id())),
            Err(error) => tracing::error!(%error, "there is no thread for callbacks: they are called by the pool's"),
        }
    }

    fn is_done(&self) -> bool {
        let waits_for_callbacks =
            self.unfinished_callbacks > 0 && self.callback_thread != Some(std::thread::current().id());
        self.open.is_empty() && !waits_for_callbacks
    }

    fn is_cancelled(&self) -> bool {
        self.cancellation.as_ref().is_some_and(Cancellation::is_cancelled)
    }

    fn end(&mut self, attempt: AttemptId, outcome: TaskResult) {
        match self.open.remove(&attempt) {
            Some(Recipient::Pending) => drop(self.outcomes.insert(attempt, outcome)),
            Some(Recipient::Callback(callback)) => match &self.callbacks {
                Some(callbacks) => {
                    self.unfinished_callbacks += 1;
                    callbacks.send((callback, outcome)).ok();
                }
                None => callback(outcome),
            },
            Some(Recipient::None) | None => {}
        }
    }
}

/// Prints what tasks have printed, and gives the other events. With no lock held: somebody who reads too slowly must not
/// hold up whoever asks the pool.
pub(crate) fn print_output(events: Vec<PoolEvent>) -> Vec<PoolEvent> {
    let mut others = Vec::with_capacity(events.len());
    for event in events {
        match event {
            PoolEvent::Output { stream: Stream::Stdout, bytes, .. } => print(io::stdout(), &bytes),
            PoolEvent::Output { stream: Stream::Stderr, bytes, .. } => print(io::stderr(), &bytes),
            other => others.push(other),
        }
    }
    others
}

/// What tasks print goes where this process prints, past the standard library's lock and buffer: the program may hold
/// that lock while it waits for the pool. That nobody reads it is no error of the task.
fn print(file: impl AsFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match nix::unistd::write(&file, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let mut polled = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                poll(&mut polled, PollTimeout::NONE).ok();
            }
            Err(_) => return,
        }
    }
}

/// A task that was submitted.
#[must_use = "the outcome is dropped with it"]
pub struct Pending<'a> {
    pool: &'a TaskPool,
    attempt: AttemptId,
    taken: bool,
}

impl Pending<'_> {
    /// Waits for the outcome.
    ///
    /// # Errors
    /// However the attempt failed. In a task, [`ErrorKind::Stopped`] when the task's own attempt is to end; the one
    /// that was waited for is interrupted then.
    pub fn wait(self) -> TaskResult {
        match self.wait_timeout(None) {
            Ok(outcome) => outcome,
            Err(pending) => {
                pending.interrupt();
                Err(TaskError::new(ErrorKind::Stopped, "the attempt that waited for this task was interrupted"))
            }
        }
    }

    /// Waits for the outcome, at most `limit`; gives itself back when that was too short.
    ///
    /// # Errors
    /// The task that has not ended.
    pub fn wait_timeout(mut self, limit: Option<Duration>) -> Result<TaskResult, Self> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let outcome = self.pool.wait(deadline, |state| state.outcomes.remove(&self.attempt));
        self.taken = outcome.is_some();
        outcome.ok_or(self)
    }

    /// Asks the attempt to end; it fails at once if it has not started.
    pub fn interrupt(&self) {
        if let Some(pool) = &*self.pool.lock() {
            pool.interrupt(self.attempt);
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        self.pool.shared.look(|state| {
            state.outcomes.remove(&self.attempt);
            if let Some(recipient) = state.open.get_mut(&self.attempt) {
                *recipient = Recipient::None;
            }
        });
    }
}
