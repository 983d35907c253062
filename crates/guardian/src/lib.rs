//! The processes that start and end all others, so that none outlives its time: the guardian and its keepers.
//!
//! [`client`](GuardianClient) is the side of whoever needs processes: a scheduler, or a worker. [`serve`](run_guardian) is the
//! guardian itself, the worker program in another role. Both speak [`ToGuardian`] and [`FromGuardian`] over a socket that
//! also carries files ([`fd_message`]). [`Launcher`] is how attempts ask for processes. The *zygote* is a copy of the calling
//! program as it was at `init()`, from which a guardian can be forked.

mod build_id;
mod client;

mod current;
mod interrupt;
mod launch;
mod launcher;
pub mod lookup;
mod messages;
pub mod role;
mod server;
mod worker_program;
mod zygote;

pub use build_id::BUILD;
pub use client::{GuardianClient, GuardianError, Listener, ProcessEvent};
pub use current::{CurrentProcess, become_worker, current_process};
pub use interrupt::{Interrupted, Interrupter, RegisteredChild};
pub use launch::{
    Child, Launch, LaunchError, Launcher, classify_launch_error, find_program, is_executable, resolve_program,
};
pub use launcher::{GuardedLauncher, StartedProcesses, StopListener, WorkerLauncher};
pub use messages::{
    FromGuardian, FromZygote, KeeperReport, OnSchedulerExit, ProcessId, ProcessSource, StartFailure, StartRequest,
    ToGuardian, ToZygote, WORKER_PID, WarmStart,
};
pub use server::{keep_adopted, run_guardian};
pub use worker_program::{WorkerFiles, WorkerProgram};
pub use zygote::start_zygote;
