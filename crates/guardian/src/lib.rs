//! The processes that start and end all other processes of a run, so that no process outlives its time: the guardian
//! and its keepers.
//!
//! # Who is who
//! - The *scheduler* is the program that runs workflows. It starts no worker, command or interpreter itself: it asks a
//!   guardian for them ([`GuardianClient`]).
//! - The *guardian* ([`run_guardian`]) is a process with one thread. It runs no task. It starts all other processes,
//!   outlives the scheduler, and ends all processes that are left. It is the worker program in another role, or, with
//!   the start method `fork`, a fork of the zygote.
//! - A *keeper* is a fork of the guardian; each process has one of its own. The keeper starts the process, adopts all
//!   of its descendants (`PR_SET_CHILD_SUBREAPER`), reaps them, and exits when none is left. containerd calls such a
//!   process a shim.
//! - A *worker* is a process that runs tasks. It is a client of the guardian as the scheduler is: it asks for the
//!   commands, the interpreters and the workers of pools that its tasks need.
//! - The *zygote* is a fork of the calling program, which `init()` makes while the program has one thread. It sleeps
//!   until the scheduler needs a guardian for the start method `fork`.
//! - A *warm interpreter* is a Python interpreter that has imported the modules of tasks. It forks interpreters, each
//!   of which is ready in a fraction of the time. It runs no task itself and has no keeper.
//!
//! # Who is whose parent
//! ```text
//! scheduler ─┬─ guardian ─┬─ keeper ── worker ── processes that its tasks start themselves
//!            │            ├─ keeper ── worker of a pool that a task in the first worker opened
//!            │            ├─ keeper ── command, interpreter
//!            │            └─ warm interpreter
//!            └─ zygote
//! ```
//! A keeper that a warm interpreter has forked is a child of the guardian, too (`CLONE_PARENT`).
//!
//! # The life of a process
//! 1. A client sends a [`StartRequest`]. The guardian forks a keeper, and the keeper forks the process.
//! 2. The process sets its death signal, then leads a process group of its own, then executes its program or, as a fork
//!    of the guardian, serves as a worker. The client gets [`ProcessEvent::Started`] or [`ProcessEvent::NotStarted`].
//! 3. The process ends, or the client asks for its end, or the client itself ends. The client, if it is still there,
//!    gets [`ProcessEvent::Exited`].
//! 4. The guardian sends SIGKILL to all descendants of the keeper, again and again, until the keeper exits because it
//!    has no child left. If the process was a worker, the guardian also ends all processes that the worker had asked
//!    for.
//! 5. When nothing of all this is left, the client gets [`ProcessEvent::Gone`], the last event of the process.
//!
//! # Invariants
//! - Each process dies with its keeper, and each keeper with the guardian. Before it starts or opens
//!   anything, each of them sets its death signal (`PR_SET_PDEATHSIG`), and exits if its parent has ended before that.
//!   Only if the guardian itself is killed can processes remain that nobody ends: those that tasks started themselves.
//! - A process can't leave its tree. A descendant that double-forks, calls `setsid` or clears its environment remains
//!   below the keeper.
//! - The descendants of a keeper that was killed become children of the guardian. The guardian kills each child that is
//!   neither a keeper nor a warm interpreter.
//! - The processes that a worker asked for end with the worker. The processes that the scheduler asked for end with the
//!   scheduler, or after a grace ([`OnSchedulerExit`]).
//! - The guardian exits only when the scheduler has ended or closed its socket, and no process is left. The exception
//!   are processes that may not be killed because they belong to another user: the guardian reports them
//!   ([`ProcessEvent::Unkillable`]) and does not wait for them.
//! - No other process gets a signal because the kernel has given it the pid of one that has ended. The guardian sends
//!   signals to its own children only before it reaps them, to their descendants over pidfds, and to a process group
//!   only after a check that its leader has not been reaped.
//!
//! # Which file holds what
//! - `messages.rs`: the messages between the guardian, its clients, its keepers and the zygote. [`fd_message`] carries
//!   them.
//! - `client.rs`: the client's side of the socket to the guardian, and how a scheduler starts a guardian.
//! - `server.rs`: the guardian, its keepers and its warm interpreters.
//! - `zygote.rs`: the zygote.
//! - `launch.rs`: [`Launcher`], the interface by which attempts start processes; `launcher.rs`: the launchers over the
//!   guardian; `interrupt.rs`: [`Interrupter`], which interrupts a running attempt and its process.
//! - `lookup.rs`: which program runs as guardian and worker; `role.rs`: how the program learns its role; `build_id.rs`:
//!   from which sources it was built; `worker_program.rs`: the parts of the program that stand above this crate.
//! - `current.rs`: which process of a workflow the calling process is.
//!
//! [`fd_message`]: pushflow_protocol::fd_message

mod build_id;
mod client;
mod current;
mod interrupt;
mod late_init;
mod launch;
mod launcher;
mod lookup;
mod messages;
pub mod role;
mod server;
mod worker_program;
mod zygote;

pub use build_id::BUILD;
pub use client::{GuardianClient, GuardianError, Listener, ProcessEvent};
pub use current::{CurrentProcess, become_worker, current_process};
pub use interrupt::{Interrupted, Interrupter, RegisteredChild};
pub use late_init::{LateInit, note_late_init};
pub use launch::{
    Child, Launch, LaunchError, Launcher, classify_launch_error, find_program, is_executable, resolve_program,
};
pub use launcher::{GuardedLauncher, StartedProcesses, StopListener, WorkerLauncher};
pub use lookup::{LookupError, check_own_tasks, this_program_serves};
pub use messages::{OnSchedulerExit, ProcessId, ProcessSource, StartFailure, StartRequest, WarmStart};
pub use server::{keep_adopted, run_guardian};
pub use worker_program::{WorkerFiles, WorkerProgram};
pub use zygote::start_zygote;
