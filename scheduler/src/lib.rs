//! pushflow runs graphs of tasks, cyclic or not, by pushing data from actor to actor. The tasks are Rust functions,
//! Python functions, programs and scripts; they run on threads or in isolated worker processes.
//!
//! A [`Workflow`] is built in Rust, or loaded from an [ewoks] graph file. [`Workflow::run`] runs it with [`RunOptions`]
//! and returns an [`Outcome`], which says how the run ended, with the result and every error.
//!
//! # A task
//!
//! Data travels as [`Data`], a map from names to values. An actor that runs a task hands on what it received, with the
//! entries that the task returned on top.
//!
//! ```
//! use pushflow::{Data, PoolType, RunOptions, TaskSpec, Workflow, task};
//!
//! #[task]
//! fn greet(name: String) -> Data {
//!     Data::new().with("reply", format!("Hello {name}!"))
//! }
//!
//! let mut workflow = Workflow::new("hello");
//! let start = workflow.start()?;
//! let greeter = workflow.task("greeter", TaskSpec::rust("greet"))?;
//! let stop = workflow.stop()?;
//! workflow.connect(start, greeter)?;
//! workflow.connect(greeter, stop)?;
//!
//! let options = RunOptions::new().pool(PoolType::Thread);
//! let result = workflow.run(Data::new().with("name", "World"), &options)?.into_result()?;
//! assert_eq!(result.value("reply")?, Some(&"Hello World!".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `PoolType::Thread` runs the tasks on threads of this program. With [`PoolType::Process`], the default, they run in
//! worker processes: then a `main` function calls [`init`] first, because each worker is this program, started again.
//!
//! # A branch and an error handler
//!
//! A router looks at one entry of the data and hands the data on from the port that has its value, or from the port
//! `"other"`. An error handler receives what had reached the actor that failed, with the entry `WorkflowException` on
//! top.
//!
//! ```
//! use pushflow::{Data, PoolType, RunOptions, TaskSpec, Workflow, task};
//!
//! #[task]
//! fn halve(number: i64) -> Result<Data, String> {
//!     if number % 2 != 0 {
//!         return Err(format!("{number} is odd"));
//!     }
//!     Ok(Data::new().with("number", number / 2))
//! }
//!
//! let mut workflow = Workflow::new("halve until it is 1");
//! let (start, stop) = (workflow.start()?, workflow.stop()?);
//! let halve = workflow.task("halve", TaskSpec::rust("halve"))?;
//! let is_one = workflow.router("is it 1?", "number", [1])?;
//! let handler = workflow.error_handler("odd number")?;
//! workflow.connect(start, halve)?;
//! workflow.connect(halve, is_one)?;
//! workflow.connect_port(is_one, 1, stop)?;
//! workflow.connect_port(is_one, "other", halve)?;
//! workflow.connect_on_error(halve, handler)?;
//! workflow.connect(handler, stop)?;
//!
//! let run = |number: i64| workflow.run(Data::new().with("number", number), &RunOptions::new().pool(PoolType::Thread));
//! assert_eq!(run(8)?.into_result()?.value("number")?, Some(&1.into()));
//!
//! // 12, 6, 3: the handler takes the error, so that the run finishes, and the outcome lists the error as handled.
//! let outcome = run(12)?;
//! assert!(outcome.is_finished());
//! assert_eq!(outcome.ending.handled[0].to_string(), "actor \"halve\" (attempt 3): Error: 3 is odd");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Without the handler the run fails, and the error of [`Outcome::into_result`] names the actor and its error.
//!
//! # What it promises
//!
//! - **A run never hangs.** Each attempt of a task ends in exactly one way, whatever the task does, and so does the
//!   run. [`RunOptions::timeout`] and [`RunOptions::attempt_timeout`] end tasks that never return.
//! - **A run never leaks.** Within a second of the end of the program, even by `kill -9`, no process is left that it
//!   started; tasks that run may finish first, within [`PoolOptions::orphan_grace`].
//! - **A run is never silent.** It ends as one of the five [`EndingKind`]s, and each [`ActorError`] names the actor,
//!   the attempt, the process and the last lines of its standard error.
//! - **One answer.** The same graph and inputs give the same result on every pool that takes its tasks, unless the
//!   graph itself races.
//! - **Constant cost.** A loop may go round for ever: memory, processes and stack stay as they were.
//!
//! The first two hold in full on process pools only. On the pools `thread` and `gevent` tasks live in this program: a
//! task that exits ends the program, and a task that never returns can be reported, but not ended.
//!
//! # Where to go on
//!
//! - Workflows: [`Workflow`] has one method for each kind of actor and link, [`Workflow::load`] reads a graph file, and
//!   [`Workflow::check`] finds what looks like a mistake. Graph files are described in `docs/ewoks.md`, Python tasks in
//!   `docs/python.md`.
//! - Tasks: [`task`](macro@task) for Rust functions, [`TaskSpec`] for all others, [`TaskContext`] for what a running
//!   task can ask.
//! - Runs: [`RunOptions`], [`Observer`] for what happens in a run, [`Run`] and [`StopHandle`] to stop it from
//!   elsewhere.
//! - Pools without a workflow: [`TaskPool`] and [`Process`]; [`green`] for ten thousand tasks on one thread.
//! - [`doctor`] examines whether this machine has what runs need.
//!
//! Options structs are `#[non_exhaustive]`: build them with `new` and their methods, or assign their fields. Enums that
//! may grow are `#[non_exhaustive]` too.
//!
//! [ewoks]: https://ewokscore.readthedocs.io

mod deadlines;
mod delayed;
pub mod doctor;
mod error;
mod event;
mod explanation;
pub mod green;
mod observer;
mod open_timeout;
mod options;
mod outcome;
mod pools;
mod preflight;
mod python_classes;
mod run;
mod run_input;
mod stop_handle;
mod stop_signals;
mod tasks;
mod unobserved;
mod workflow;

pub use error::RunError;
pub use event::{EventKind, RunId, WorkflowEvent};
pub use explanation::{Explanation, OpenAttempt};
pub use observer::{Lossy, Observer};
pub use options::{PythonSettings, RunOptions};
pub use outcome::{Outcome, RunFailure};
#[doc(hidden)]
pub use pushflow_execute::__private;
pub use pushflow_execute::{FindTaskError, TaskContext, task};
pub use pushflow_graph::ewoks::{
    Element, Input, InputNodes, LoadError, LoadOptions, Position, Problem, TaskClasses, UnknownClass, parse_inputs,
};
pub use pushflow_graph::{
    Actor, ActorId, ActorKind, Arrival, Behaviour, Condition, FieldMap, Graph, GraphError, Link, LinkId, Mapping,
    Origin, Passing, Port, Retries, Router, RunSettings, Scope, ScopeId, Submodel, Task, Test, Warning, WarningKind,
    Work,
};
pub use pushflow_green::{Cancellation, Cancelled};
pub use pushflow_guardian::{CurrentProcess, GuardianError, LateInit, LookupError, current_process};
pub use pushflow_model::{
    AttemptId, CommandTask, ErrorCause, ErrorDetails, ErrorKind, EwoksClass, EwoksTask, EwoksWork, Exit, Family,
    ProcessClass, PythonOptions, PythonTask, Returns, ScriptTask, TaskError, TaskModule, TaskSpec,
};
pub use pushflow_model::{
    Blob, CodecError, ConvertError, Data, DurationError, JsonError, Key, List, Map, Opaque, Outline, Payload, Value,
    from_value, parse_duration, parse_json, to_value,
};
pub use pushflow_model::{PoolType, StartMethod, UnknownPoolType, UnknownStartMethod};
pub use pushflow_pool::{
    AtExit, NestedPools, OpenError, POLICIES, Pending, Policy, PoolClosed, PoolOptions, Process, ProcessFamily,
    ProcessKind, Stream, SubmitError, TaskPool, TaskResult, default_pool,
};
pub use pushflow_python::{PythonError, find_interpreter};
pub use pushflow_reactor::{ActorError, Ending, EndingKind, Execution, Limits, Output, Outputs};
pub use pushflow_worker::init;
pub use python_classes::PythonClasses;
pub use run::Run;
pub use stop_handle::StopHandle;
pub use stop_signals::StopSignal;
pub use workflow::Workflow;
