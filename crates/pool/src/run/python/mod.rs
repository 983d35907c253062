//! Python tasks: an interpreter process of its own for each worker, started at first use and used again.

mod channel;
mod host;
mod message;
mod options;
mod pickle;
mod source;

pub use host::PythonHost;
pub use options::{PythonError, find_interpreter};
