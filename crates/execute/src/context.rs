//! [`TaskContext`]: the attempt, as its Rust task sees it.

use std::sync::Arc;
use std::time::Duration;

use pushflow_green::{Cancellation, Cancelled};
use pushflow_guardian::{CurrentProcess, current_process};

/// The attempt, as its Rust task sees it: a `#[task]` function takes it as a parameter of type `&TaskContext`.
///
/// A task that runs long should check for cancellation from time to time. Where a task shares its process with others,
/// this is the only way to end it.
///
/// ```
/// use std::time::Duration;
/// use pushflow_execute::{TaskContext, task};
/// use pushflow_green::{Cancellation, Cancelled};
///
/// #[task(crate = pushflow_execute)]
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

    /// The process in which the task runs.
    pub fn process(&self) -> CurrentProcess {
        current_process()
    }

    /// The request by which this attempt is asked to end.
    pub fn cancellation(&self) -> &Cancellation {
        &self.cancellation
    }

    /// Whether the attempt was asked to end; cheap enough for an inner loop.
    pub fn is_cancelled(&self) -> bool {
        self.cancellation.is_cancelled()
    }

    /// Returns an error when the attempt was asked to end, for use with `?`.
    ///
    /// # Errors
    /// When the attempt was asked to end.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// Sleeps. The sleep ends at once when the attempt is asked to end.
    ///
    /// # Errors
    /// When the attempt was asked to end, before or during the sleep.
    pub fn sleep(&self, duration: Duration) -> Result<(), Cancelled> {
        if self.cancellation.wait_timeout(duration) { Err(Cancelled) } else { Ok(()) }
    }
}
