//! Tasks and where they run.
//!
//! A task is described by a [`TaskSpec`](pushflow_protocol::TaskSpec); [`run`] executes one attempt of it, in whatever
//! process that is. A [`Pool`] decides where: [`ThreadPool`] on threads of the scheduler's own process,
//! [`GreenPool`](green::GreenPool) as green tasks on one of them, [`ProcessPool`] in isolated worker processes. Every
//! process is started by the guardian, so that none outlives its time.

mod attempt;
mod context;
mod current;
mod exit;
pub mod green;
mod guarded;
mod guardian;
pub mod lookup;
mod machine;
mod options;
mod policy;
mod process;
mod registry;
pub mod run;
mod single_process;
pub mod snapshot;
mod task_pool;
mod thread;

/// The build of this program: programs talk to each other only if they are of the same one.
pub const BUILD: &str = env!("PUSHFLOW_BUILD");

pub use attempt::{Attempt, EventSink, Pool, PoolEvent, Stream};
pub use context::{Cancellation, Cancelled, TaskContext};
pub use current::{CurrentProcess, become_worker, current_process};
pub use guarded::WorkerLauncher;
pub use guardian::GuardianError;
pub use lookup::LookupError;
pub use machine::{Machine, worker_program};
pub use options::{PoolOptions, PoolType, StartMethod, UnknownPoolType, UnknownStartMethod};
pub use policy::{AtExit, POLICIES, Policy};
pub use process::{OpenError, ProcessPool};
#[doc(hidden)]
pub use registry::call as __private;
pub use registry::{FindTaskError, RegisteredTask, find_task, own_tasks, registered_tasks, run_rust, task};
pub use single_process::{Process, ProcessFamily, ProcessKind};
pub use task_pool::{Pending, PoolClosed, TaskPool, TaskResult, open_pool};
pub use thread::ThreadPool;
