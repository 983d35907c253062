//! One attempt of any task, in whatever process that is.
//!
//! [`execute`] runs an attempt: a Rust task from the registry ([`task`]), a command, a script, or a Python task through a
//! [`Runner`]'s interpreter. A task sees its attempt through [`TaskContext`].

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
