//! Tasks and where they run.
//!
//! A task is described by a [`TaskSpec`](pushflow_protocol::TaskSpec); [`run`] executes one attempt of it, in whatever
//! process that is. A [`Pool`] decides where: [`ThreadPool`] on threads of the scheduler's own process,
//! [`GreenPool`](green::GreenPool) as green tasks on one of them, [`ProcessPool`] in isolated worker processes. Every process is started by the guardian, so that none outlives its time.

mod attempt;
mod context;
pub mod green;
mod guarded;
mod guardian;
pub mod lookup;
mod options;
mod process;
mod registry;
pub mod run;
pub mod snapshot;
mod thread;

pub use attempt::{Attempt, EventSink, Pool, PoolEvent, Stream};
pub use context::{Cancellation, Cancelled, TaskContext};
pub use guardian::GuardianError;
pub use lookup::LookupError;
pub use options::{PoolOptions, PoolType, StartMethod, UnknownPoolType, UnknownStartMethod};
pub use process::{OpenError, ProcessPool};
#[doc(hidden)]
pub use registry::call as __private;
pub use registry::{FindTaskError, RegisteredTask, find_task, registered_tasks, run_rust, task};
pub use thread::ThreadPool;
