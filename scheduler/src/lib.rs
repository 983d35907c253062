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
//! let options = RunOptions::new().pool(PoolType::Thread);
//! let result = workflow.run(Data::new().with("name", "World"), &options)?.into_result()?;
//! assert_eq!(result.value("reply")?, Some(&"Hello World!".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod deadlines;
mod delayed;
pub mod doctor;
mod error;
mod event;
mod explanation;
mod observer;
mod open_timeout;
mod options;
mod outcome;
mod pools;
mod preflight;
mod python_classes;
mod reactor;
mod run;
mod run_input;
mod stop_handle;
mod stop_signals;
mod tasks;
mod workflow;

pub use error::RunError;
pub use event::{EventKind, RunId, WorkflowEvent};
pub use explanation::{Explanation, OpenAttempt};
pub use observer::{Lossy, Observer};
pub use options::{PythonSettings, RunOptions};
pub use outcome::{Outcome, RunFailure};
pub use pushflow_graph::ewoks::{Input, InputNodes, LoadError, LoadOptions, TaskClasses, UnknownClass, parse_inputs};
pub use pushflow_graph::{
    ActorId, Behaviour, Graph, GraphError, Link, Retries, Router, Submodel, Warning, WarningKind,
};
#[doc(hidden)]
pub use pushflow_pool::__private;
pub use pushflow_pool::green;
pub use pushflow_pool::run::{PythonError, find_interpreter};
pub use pushflow_pool::{
    AtExit, Cancellation, Cancelled, CurrentProcess, OpenError, POLICIES, Pending, Policy, PoolClosed, PoolOptions,
    PoolType, Process, ProcessFamily, ProcessKind, StartMethod, Stream, TaskContext, TaskPool, TaskResult,
    UnknownPoolType, UnknownStartMethod, current_process, task,
};
pub use pushflow_protocol::{
    AttemptId, CommandTask, ErrorCause, ErrorDetails, ErrorKind, EwoksClass, EwoksTask, EwoksWork, Exit, Family,
    ProcessClass, PythonOptions, TaskError, TaskSpec,
};
pub use pushflow_value::{
    Blob, CodecError, Data, JsonError, Key, List, Map, Payload, Value, from_value, parse_json, to_value,
};
pub use pushflow_worker::init;
pub use python_classes::PythonClasses;
pub use reactor::{ActorError, Ending, EndingKind, Execution, Limits, Output, Outputs};
pub use run::Run;
pub use stop_handle::StopHandle;
pub use stop_signals::StopSignal;
pub use workflow::Workflow;
