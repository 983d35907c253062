//! The worker program as a library: serving tasks, and being the guardian.
//!
//! A program becomes a worker or a guardian if it is started with the variable `PUSHFLOW_ROLE` and calls [`init`]: the
//! program `pushflow-worker` does nothing else, and any program that uses pushflow can.

mod attempt_output;
mod job_queue;
mod receive_turn;
mod replies;
mod serve;
mod signals;

use std::process::ExitCode;
use std::sync::Once;

use pushflow_execute::own_tasks;
use pushflow_guardian::{
    LateInit, WorkerFiles, WorkerProgram, keep_adopted, note_late_init, role, run_guardian, start_zygote,
    this_program_serves,
};
use pushflow_os::{SeqPacket, environment, files};
use pushflow_protocol::{CONTROL_SOCKET, GUARDIAN_SOCKET, SHARED_WORDS};
use pushflow_python::python_source;

/// Makes this program able to serve as its own worker. Call it first thing in `main`, before any thread is started.
///
/// If a scheduler has started the program as a worker or guardian, the program serves inside this function and never
/// returns from it. Otherwise the function returns at once, and from then on process pools may start this program again
/// as a worker: so its own `#[task]` functions are known there. The function also forks a zygote, which sleeps
/// until the program ends or a pool with the start method `fork` needs it.
///
/// In a program that has more than one thread already, as it has under `#[tokio::main]`, the function writes a warning
/// to standard error, once. Rust tasks run on threads nevertheless. A program with `#[task]` functions can then open no
/// process pool, unless another worker program is named, and the start method `fork` is refused. With tokio, call the
/// function in a plain `fn main` and build the runtime after it.
pub fn init() {
    match own_role() {
        Some(role) => std::process::exit(i32::from(!serve_as(&role))),
        None => {
            static FIRST_CALL: Once = Once::new();
            FIRST_CALL.call_once(become_own_worker);
        }
    }
}

/// Records that this program serves as its own worker, or warns that it can't, and makes the zygote.
fn become_own_worker() {
    let has_own_tasks = own_tasks().next().is_some();
    match environment::thread_count() {
        // In a worker these threads would run before it serves, too, and it would refuse to serve.
        Ok(threads) if threads > 1 => {
            let late = LateInit { threads };
            eprintln!("warning: {late}");
            note_late_init(late, has_own_tasks);
        }
        _ => this_program_serves(has_own_tasks),
    }
    // With more threads there is no zygote; the start method `fork` then says why.
    start_zygote(WORKER_PROGRAM);
}

/// The `main` of `pushflow-worker`: serves, or says that it is not to be started by hand.
pub fn main() -> ExitCode {
    init();
    eprintln!("pushflow-worker is started by pushflow itself; to run a workflow use: pushflow run GRAPH");
    ExitCode::from(2)
}

fn own_role() -> Option<String> {
    std::env::var_os(role::ROLE).map(|role| role.to_string_lossy().into_owned())
}

/// Serves in a role; returns whether that succeeded. If not, the reason is on standard error.
fn serve_as(role: &str) -> bool {
    // What this process starts is neither worker nor guardian.
    let served = environment::remove(role::ROLE).and_then(|()| match role {
        role::GUARDIAN => guardian(),
        role::WORKER => worker(),
        role::KEEPER => keep_adopted(std::env::args_os()),
        other => Err(std::io::Error::other(format!(
            "PUSHFLOW_ROLE is {other:?}, which is none of guardian, worker and keeper"
        ))),
    });
    role::report_failure(role, &served);
    served.is_ok()
}

/// What the guardian needs of this program.
const WORKER_PROGRAM: WorkerProgram = WorkerProgram { serve: serve::run, python_source };

fn worker() -> std::io::Result<()> {
    let file = files::take_inherited;
    serve::run(WorkerFiles {
        control: file(CONTROL_SOCKET)?,
        shared: file(SHARED_WORDS)?,
        guardian: file(GUARDIAN_SOCKET)?,
    })
}

fn guardian() -> std::io::Result<()> {
    // What the scheduler had inherited itself, from a shell say, is not for the guardian and its workers to keep open.
    files::close_all_except(&[0, 1, 2])?;
    let socket = SeqPacket::from_fd(files::take_inherited(0)?);
    // Its number stays taken: whatever reads standard input reads nothing.
    std::mem::forget(std::fs::File::open("/dev/null")?);
    run_guardian(socket, Vec::new(), WORKER_PROGRAM)
}
