//! [`WorkerProgram`]: the parts of the worker program that stand above this crate. `init()` hands them to the guardian.

use std::io;
use std::os::fd::OwnedFd;

use pushflow_model::TaskModule;

/// The functions of the worker program that the guardian calls.
#[derive(Clone, Copy)]
pub struct WorkerProgram {
    /// Serves as a worker until the scheduler closes the channel. A forked worker calls it instead of `exec`.
    pub serve: fn(WorkerFiles) -> io::Result<()>,
    /// The source of the Python host that imports these modules, which a warm interpreter runs.
    pub python_source: fn(&[TaskModule]) -> Vec<u8>,
}

/// The files that a worker is started with.
pub struct WorkerFiles {
    /// The control socket.
    pub control: OwnedFd,
    /// The memory file of the shared words.
    pub shared: OwnedFd,
    /// The socket to the guardian.
    pub guardian: OwnedFd,
}
