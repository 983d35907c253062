//! Runs one attempt of any task, in whatever process that is.
//!
//! [`execute`] is the entry point. It runs a Rust task from the registry, and gives every other task to a [`Runner`], which
//! starts programs and keeps a Python interpreter from one attempt to the next.
//!
//! | file | content |
//! |---|---|
//! | `execute.rs` | [`execute`]: chooses the registry or the runner, and marks interrupted attempts as stopped |
//! | `registry.rs` | [`task`], [`find_task`] and [`run_rust`]: the `#[task]` functions of this program |
//! | `registry/call.rs` | the code that `#[task]` calls to unpack inputs and pack results |
//! | `registry/panics.rs` | the panic of a task as an error with its source location |
//! | `registry/available_names.rs` | messages about missing names |
//! | `context.rs` | [`TaskContext`]: the attempt, as its Rust task sees it |
//! | `runner.rs` | [`Runner`]: commands, scripts and Python tasks |
//! | `command.rs`, `template.rs` | command tasks, and the inputs in their arguments |
//! | `script.rs` | script tasks of ewoks |
//! | `program.rs`, `pipes.rs` | runs one program, and reads its output until it has ended |
//!
//! ```
//! use pushflow_execute::{execute, task};
//! use pushflow_guardian::Interrupter;
//! use pushflow_model::{AttemptId, Data, TaskSpec, Value};
//!
//! #[task(crate = pushflow_execute)]
//! fn double(value: i64) -> Data {
//!     Data::new().with("value", 2 * value)
//! }
//!
//! let (task, inputs) = (TaskSpec::rust("double"), Data::new().with("value", 21));
//! let result = execute(None, &task, &inputs, ("doubler".into(), AttemptId(1)), &Interrupter::new()).unwrap();
//! assert_eq!(result.value("value").unwrap(), Some(&Value::Int(42)));
//! ```

mod command;
mod context;
mod execute;
mod pipes;
mod program;
mod registry;
mod runner;
mod script;
mod template;

#[cfg(test)]
mod tests;

pub use context::TaskContext;
pub use execute::execute;
#[doc(hidden)]
pub use registry::call as __private;
pub use registry::{FindTaskError, RegisteredTask, find_task, own_tasks, registered_tasks, run_rust, task};
pub use runner::Runner;
