//! [`Machine`]: what runs need of the machine and of this program, asked of them.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit};
use pushflow_guardian::{Guardian, GuardianError};
use pushflow_model::StartMethod;
use pushflow_os::{PidFd, SharedWords};

use crate::process::file_limits;

/// What the machine and this program can do.
#[derive(Debug)]
pub struct Machine {
    /// How many files this process may have open, and how many it could ask for.
    pub open_files: io::Result<(u64, u64)>,
    /// How many workers of a process pool fit into that.
    pub workers_that_fit: io::Result<usize>,
    /// Whether memory can be shared between processes (`memfd_create`).
    pub shared_memory: io::Result<()>,
    /// Whether processes have files (`pidfd_open`).
    pub pidfds: io::Result<()>,
    /// Whether this program was built so that a panic ends it, and with it the worker of a task that panics.
    pub panics_abort: bool,
}

impl Machine {
    /// Looks.
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

/// The worker program that pools take, found and started as they do.
///
/// # Errors
/// When there is none, or it is of another build.
pub fn worker_program(explicit: Option<&Path>) -> Result<PathBuf, GuardianError> {
    Ok(Guardian::shared(explicit, StartMethod::Spawn)?.program.clone())
}
