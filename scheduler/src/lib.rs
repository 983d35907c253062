//! pushflow runs graphs of tasks, cyclic or not, by pushing data from actor to actor; the tasks run on threads or in
//! isolated worker processes.
//!
//! A [`Workflow`] is built from code or loaded from an ewoks graph file, and run with [`RunOptions`]; every run ends in
//! an [`Outcome`] that says how, with the result and every error.
//!
//! ```
//! use pushflow::{Data, PoolType, RunOptions, TaskSpec, Workflow, task};
//!
//! #[task]
//! fn greet(name: String) -> Result<Data, String> {
//!     Ok(Data::new().with("reply", format!("Hello {name}!")))
//! }
//!
//! let mut workflow = Workflow::new("hello");
//! let start = workflow.start()?;
//! let greeter = workflow.task("greeter", TaskSpec::rust("greet"))?;
//! let stop = workflow.stop()?;
//! workflow.connect(start, greeter)?;
//! workflow.connect(greeter, stop)?;
//!
//! // On threads of this program; `PoolType::Process` needs `pushflow::init()` first thing in `main`.
//! let options = RunOptions { pool: PoolType::Thread, ..RunOptions::default() };
//! let outcome = workflow.run(Data::new().with("name", "World"), &options)?;
//! let result = outcome.result.expect("the stop actor was reached");
//! assert_eq!(result.value("reply")?, Some(&"Hello World!".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod classes;
mod deadlines;
mod delayed;
pub mod doctor;
mod event;
pub mod green;
mod handle;
mod observer;
mod opening;
mod options;
mod outcome;
mod pools;
mod preflight;
pub mod reactor;
mod run;
mod stop_signals;
mod workflow;

pub use classes::PythonClasses;
pub use event::{EventKind, RunId, WorkflowEvent};
pub use handle::{Explanation, OpenAttempt, StopHandle};
pub use observer::{Lossy, Observer};
pub use options::{PythonSettings, RunOptions};
pub use outcome::{Outcome, RunError};
#[doc(hidden)]
pub use pushflow_execute::__private;
pub use pushflow_graph::ewoks::{Input, InputNodes, LoadError, LoadOptions, TaskClasses, UnknownClass, parse_inputs};
pub use pushflow_graph::{
    ActorId, Behaviour, Graph, GraphError, Link, Retries, Router, Submodel, Warning, WarningKind,
};

pub use pushflow_execute::{TaskContext, task};
pub use pushflow_green::{Cancellation, Cancelled};
pub use pushflow_guardian::{CurrentProcess, current_process};
pub use pushflow_model::{
    AttemptId, CommandTask, ErrorCause, ErrorDetails, ErrorKind, EwoksClass, EwoksTask, EwoksWork, Exit, Family,
    ProcessClass, PythonOptions, TaskError, TaskSpec,
};
pub use pushflow_model::{
    Blob, CodecError, Data, JsonError, Key, List, Map, Payload, Value, from_value, parse_json, to_value,
};
pub use pushflow_model::{PoolType, StartMethod, UnknownPoolType, UnknownStartMethod};
pub use pushflow_pool::{
    AtExit, NestedPools, OpenError, POLICIES, Pending, Policy, PoolClosed, PoolOptions, Process, ProcessFamily,
    ProcessKind, Stream, SubmitError, TaskPool, TaskResult, default_pool,
};
pub use pushflow_python::{PythonError, find_interpreter};
pub use pushflow_worker::init;
pub use reactor::{ActorError, EndingKind, Execution, Limits, Output, Outputs};
pub use run::Run;
pub use stop_signals::StopSignal;
pub use workflow::Workflow;
