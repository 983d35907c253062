//! [`WorkerProgram`]: the parts of the worker program that stand above this crate, given to the guardian by `init()`.

use std::io;
use std::os::fd::OwnedFd;

use pushflow_model::TaskModule;

/// What the guardian needs of the program that it runs in.
#[derive(Clone, Copy)]
pub struct WorkerProgram {
    /// Serves as a worker until the scheduler closes the channel: what a forked worker does instead of `exec`.
    pub serve: fn(WorkerFiles) -> io::Result<()>,
    /// The source of the Python host that imports these modules: what a warm interpreter runs.
    pub python_source: fn(&[TaskModule]) -> Vec<u8>,
}

/// The files that a worker is started with.
pub struct WorkerFiles {
    /// The control socket.
    pub control: OwnedFd,
    /// The memory of the shared words.
    pub shared: OwnedFd,
    /// The socket to the guardian.
    pub guardian: OwnedFd,
}
