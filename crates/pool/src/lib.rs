//! The pools: where attempts run.
//!
//! A [`Pool`] decides where the attempts of tasks run: [`ThreadPool`] on threads of the scheduler's own process,
//! [`GreenPool`] as green tasks on one such thread, [`ProcessPool`] in isolated worker processes. [`TaskPool`] runs
//! single tasks on any pool, [`Process`] runs one task in a process of its own, and [`NestedPools`] opens both inside a
//! task.

mod attempt;
mod error;
mod exit;
mod in_process;
mod machine;
mod nested;
mod options;
mod policy;
mod process;
mod single_process;
mod task_output;
mod task_pool;

pub use attempt::{Attempt, EventSink, Pool, PoolEvent, Stream, TaskResult};
pub use error::OpenError;
pub use in_process::{GreenPool, ThreadPool};
pub use machine::{Machine, worker_program};
pub use nested::NestedPools;
pub use options::{PoolOptions, default_pool};
pub use policy::{AtExit, POLICIES, Policy, ProcessFamily, ProcessKind};
pub use process::ProcessPool;
pub use single_process::Process;
pub use task_output::print_unlocked;
pub use task_pool::{Pending, PoolClosed, SubmitError, TaskPool, open_pool};
