//! [`Machine`]: the abilities of the machine and of this program that runs need.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit};
use pushflow_guardian::{GuardianClient, GuardianError};
use pushflow_model::StartMethod;
use pushflow_os::{PidFd, SharedWords};

use crate::process::file_limits;

/// The abilities of the machine and of this program.
#[derive(Debug)]
pub struct Machine {
    /// The soft and the hard limit of open files of this process.
    pub open_files: io::Result<(u64, u64)>,
    /// How many workers of a process pool fit into the soft limit.
    pub workers_that_fit: io::Result<usize>,
    /// Whether memory can be shared between processes (`memfd_create`).
    pub shared_memory: io::Result<()>,
    /// Whether processes can be opened as files (`pidfd_open`).
    pub pidfds: io::Result<()>,
    /// Whether this program was built so that a panic ends it, and with it the worker of a task that panics.
    pub panics_abort: bool,
}

impl Machine {
    /// Finds them out.
    pub fn look() -> Machine {
        Machine {
            open_files: getrlimit(Resource::RLIMIT_NOFILE).map_err(io::Error::from),
            workers_that_fit: file_limits::workers_that_fit(),
            shared_memory: SharedWords::new().map(drop),
            pidfds: PidFd::open(nix::unistd::getpid()).map(drop),
            panics_abort: cfg!(panic = "abort"),
        }
    }
}

/// The worker program that pools use, found and started as pools do.
///
/// # Errors
/// When there is no worker program, or it is of another build.
pub fn worker_program(explicit: Option<&Path>) -> Result<PathBuf, GuardianError> {
    Ok(GuardianClient::shared(explicit, StartMethod::Spawn)?.program.clone())
}
