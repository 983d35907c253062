//! What the scheduler, its guardian and its workers say to each other, and the transport under it.

mod error;
mod task;

pub use error::{ErrorKind, TaskError};
pub use task::{CommandTask, PythonTask, Returns, ScriptTask, TaskSpec};
