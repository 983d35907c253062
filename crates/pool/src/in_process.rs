//! The pools whose attempts run in this process: on threads, or as green tasks on one.

mod green;
mod processes;
mod thread;

pub use green::GreenPool;
pub use thread::ThreadPool;
