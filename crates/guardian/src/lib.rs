//! The processes that start and end all others, so that none outlives its time: the guardian and its keepers.
//!
//! [`client`](Guardian) is the side of whoever needs processes: a scheduler, or a worker. [`serve`](run_guardian) is the
//! guardian itself, the worker program in another role. Both speak [`ToGuardian`] and [`FromGuardian`] over a socket that
//! also carries files ([`courier`]). [`Launcher`] is how attempts ask for processes. The *zygote* is a copy of the calling
//! program as it was at `init()`, from which a guardian can be forked.

mod build_id;
mod client;

mod current;
mod interrupt;
mod late_init;
mod launch;
mod launcher;
pub mod lookup;
mod messages;
pub mod role;
mod server;
mod worker_program;
mod zygote;

pub use build_id::BUILD;
pub use client::{Guardian, GuardianError, Listener, ProcessEvent};
pub use current::{CurrentProcess, become_worker, current_process};
pub use interrupt::{Guard, Interrupted, Interrupter};
pub use late_init::{LateInit, note_late_init};
pub use launch::{
    Child, Launch, LaunchError, Launcher, classify_launch_error, find_program, is_executable, resolve_program,
};
pub use launcher::{GuardedLauncher, Started, StopListener, WorkerLauncher};
pub use lookup::check_own_tasks;
pub use messages::{
    FromGuardian, FromSnapshot, KeeperReport, Launch as GuardianLaunch, OnOrphan, ProcessId, Source, StartFailure,
    ToGuardian, ToSnapshot, WORKER_PID, Warm,
};
pub use server::{keep_adopted, run_guardian};
pub use worker_program::{WorkerFiles, WorkerProgram};
pub use zygote::take as take_zygote;
