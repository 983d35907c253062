//! Python tasks: an interpreter process of its own for each worker, or one for all threads of a pool, started at first use
//! and used again.

mod buffers;
mod channel;
mod failures;
mod host;
mod message;
mod options;
mod pickle;
mod python_text;
mod shared;
mod shared_process;
mod source;

pub use host::PythonHost;
pub use message::PythonCall;
pub use options::{ChosenBy, PythonError, choose_interpreter, find_interpreter};
pub use python_text::{is_true, python_text};
pub use shared::SharedPython;
pub use source::source as python_source;
