//! [`Pending`]: a submitted task, whose outcome a thread waits for or a future polls.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pushflow_model::{AttemptId, Data, ErrorKind, TaskError, TaskSpec};
use serde::de::DeserializeOwned;

use super::state::Recipient;
use super::{PoolClosed, TaskPool};
use crate::attempt::TaskResult;

/// A task that was submitted.
///
/// Wait for its outcome on a thread ([`Pending::wait`]) or in `async` code: a `Pending` is a future of its
/// [`TaskResult`], which any executor can poll, on any thread. Dropped, the task runs on and its outcome is dropped.
///
/// ```no_run
/// use pushflow_execute::task;
/// use pushflow_model::{Data, PoolType, TaskSpec};
/// use pushflow_pool::{PoolOptions, TaskPool};
///
/// #[task(crate = pushflow_execute)]
/// fn double(number: i64) -> i64 {
///     2 * number
/// }
///
/// async fn double_twice(pool: &TaskPool) -> Result<i64, Box<dyn std::error::Error>> {
///     let doubled: i64 = pool.submit(TaskSpec::rust("double"), Data::new().with("number", 21))?.await?.returned()?;
///     Ok(pool.submit(TaskSpec::rust("double"), Data::new().with("number", doubled))?.await?.returned()?)
/// }
/// ```
#[must_use = "the outcome is dropped with it"]
pub struct Pending<'a> {
    pool: &'a TaskPool,
    attempt: AttemptId,
    taken: bool,
}

impl TaskPool {
    /// Submits a task, whose outcome can be waited for.
    ///
    /// # Errors
    /// When the pool was closed.
    pub fn submit(&self, task: TaskSpec, inputs: Data) -> Result<Pending<'_>, PoolClosed> {
        let attempt = self.submit_for(task, inputs, Recipient::Pending(None))?;
        Ok(Pending { pool: self, attempt, taken: false })
    }
}

impl Pending<'_> {
    /// Waits for the outcome.
    ///
    /// # Errors
    /// However the attempt failed. On a pool that a task opened through [`crate::NestedPools`], [`ErrorKind::Stopped`] when
    /// the task's own attempt is to end; the submitted task is interrupted then.
    pub fn wait(self) -> TaskResult {
        self.wait_timeout(None).unwrap_or_else(|pending| pending.give_up())
    }

    /// Waits for the outcome, and makes it the Rust value that the task function returned: see [`Data::returned`].
    ///
    /// ```no_run
    /// # use pushflow_model::{Data, PoolType, TaskSpec};
    /// # use pushflow_pool::{PoolOptions, TaskPool};
    /// # let pool = TaskPool::open(PoolType::Process, &PoolOptions::default())?;
    /// // The task is `#[task] fn double(number: i64) -> i64`.
    /// let inputs = Data::new().with("number", 21);
    /// assert_eq!(pool.submit(TaskSpec::rust("double"), inputs)?.wait_as::<i64>()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Pending::wait`]; [`ErrorKind::BadResult`] when the result does not fit the type.
    pub fn wait_as<T: DeserializeOwned>(self) -> Result<T, TaskError> {
        self.wait()?.returned().map_err(|error| {
            TaskError::new(
                ErrorKind::BadResult,
                format!("the result does not fit the type that is waited for: {error}"),
            )
        })
    }

    /// Waits for the outcome, at most `limit`.
    ///
    /// # Errors
    /// The `Pending` itself, when the task has not ended in that time, or when in a task the task's own attempt is to
    /// end.
    pub fn wait_timeout(mut self, limit: Option<Duration>) -> Result<TaskResult, Self> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let outcome = self.pool.shared.wait(deadline, |state| state.take_outcome(self.attempt));
        self.taken = outcome.is_some();
        outcome.ok_or(self)
    }

    /// Asks the attempt to end. An attempt that has not started fails at once.
    pub fn interrupt(&self) {
        if let Some(pool) = &*self.pool.lock() {
            pool.interrupt(self.attempt);
        }
    }

    /// The attempt around the pool is to end, and this one with it.
    fn give_up(&self) -> TaskResult {
        self.interrupt();
        Err(TaskError::new(ErrorKind::Stopped, "the attempt that waited for this task was interrupted"))
    }
}

/// The waker is kept with the attempt, and the pool's callback thread, which the first poll starts, wakes it without a
/// lock: a waker may use and drop the pool. No runtime is needed.
///
/// # Panics
/// Polled again after it was ready.
impl Future for Pending<'_> {
    type Output = TaskResult;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TaskResult> {
        assert!(!self.taken, "a `Pending` is polled again after it was ready");
        let (attempt, waker) = (self.attempt, context.waker().clone());
        // Where there is no thread, the one on which the attempt's end arrives wakes the future.
        if let Err(error) = self.pool.shared.start_callbacks() {
            tracing::debug!(%error, "no thread for callbacks");
        }
        let (found, unneeded) = self.pool.shared.look(|state| state.poll(attempt, waker));
        drop(unneeded);
        let outcome = match found {
            Poll::Ready(Some(outcome)) => outcome,
            Poll::Ready(None) => {
                let stopped = self.give_up();
                drop(self.pool.shared.look(|state| state.forget(attempt)));
                stopped
            }
            Poll::Pending => return Poll::Pending,
        };
        self.taken = true;
        Poll::Ready(outcome)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.taken {
            drop(self.pool.shared.look(|state| state.forget(self.attempt)));
        }
    }
}
