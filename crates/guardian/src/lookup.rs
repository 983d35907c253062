//! Which program runs as worker and guardian.
//!
//! A program with tasks of its own comes before a `pushflow-worker` beside it: no other program knows these tasks.
//! The tasks of the probe, whose names begin with `pushflow.`, do not count: `pushflow-worker` has them too. A program
//! without tasks of its own takes the small `pushflow-worker` if there is one.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use crate::late_init::{LateInit, late_init, late_init_of_own_tasks};
use crate::role::ROLE;

/// The options with which users choose the worker program, on the command line and from Rust.
const WORKER_OPTION: &str = "--worker or PoolOptions::worker";
/// The variable with which users choose the worker program.
const WORKER_VARIABLE: &str = "PUSHFLOW_WORKER";
/// The name of the worker program.
const WORKER_NAME: &str = "pushflow-worker";

/// Whether the running program has called `init()`, and whether it has tasks of its own.
static THIS_PROGRAM: AtomicU8 = AtomicU8::new(NO_INIT);
const NO_INIT: u8 = 0;
const SERVES: u8 = 1;
const SERVES_OWN_TASKS: u8 = 2;

/// Records that the running program has called `init()`, so that it would serve as worker if it was started again.
///
/// `has_own_tasks` is whether the program has Rust tasks that no other program knows.
pub fn this_program_serves(has_own_tasks: bool) {
    THIS_PROGRAM.store(if has_own_tasks { SERVES_OWN_TASKS } else { SERVES }, Ordering::Relaxed);
}

/// A program that may serve as worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Its file.
    pub(crate) path: PathBuf,
    /// Whether the user named it. Then there is no other candidate.
    pub(crate) named: bool,
}

/// Why no worker program was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The user named a file that does not exist.
    #[error("the worker program {path:?} ({origin}) is not there")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The option or variable with which the user named it.
        origin: &'static str,
    },
    /// The user named none, and there is none in the usual places.
    #[error(
        "there is no worker program: call pushflow::init() first thing in main, or set PUSHFLOW_WORKER, or put \
         pushflow-worker beside this program or on PATH"
    )]
    None,
    /// The user named none, there is none in the usual places, and the file of this program is not known.
    #[error("there is no worker program: this program's own file can't be known ({reason})")]
    Unknown {
        /// Why.
        reason: String,
    },
    /// This program would be its own worker, but called `init()` too late.
    #[error(transparent)]
    LateInit(#[from] LateInit),
    /// This program was itself started as a worker and has not begun to serve.
    #[error(
        "this program was started as a worker, but opens a pool before it serves: call pushflow::init() first thing in \
         main"
    )]
    InsideWorker,
}

/// The programs that may serve as worker, best first; at least one.
///
/// In this order:
/// 1. the program that the user named, or that the variable `PUSHFLOW_WORKER` names: then it is the only candidate;
/// 2. this program, if it called `init()` and has tasks of its own, which no other program knows;
/// 3. `pushflow-worker` beside this program;
/// 4. this program, if it called `init()`;
/// 5. `pushflow-worker` on `PATH`.
///
/// # Errors
/// When a named program does not exist, when there is no candidate, or when this program was started as a worker and
/// does not serve yet.
pub(crate) fn candidates(explicit: Option<&Path>) -> Result<Vec<Candidate>, LookupError> {
    if env::var_os(ROLE).is_some() {
        return Err(LookupError::InsideWorker);
    }
    if let Some(path) = explicit {
        return named(path.to_owned(), WORKER_OPTION);
    }
    if let Some(path) = env::var_os(WORKER_VARIABLE).filter(|path| !path.is_empty()) {
        return named(path.into(), WORKER_VARIABLE);
    }
    let (this, unknown) = match env::current_exe() {
        Ok(this) => (Some(this), None),
        Err(error) => (None, Some(LookupError::Unknown { reason: error.to_string() })),
    };
    let this_program = THIS_PROGRAM.load(Ordering::Relaxed);
    let serves = this.clone().filter(|_| this_program != NO_INIT);
    let beside = this.as_deref().and_then(Path::parent).map(|folder| folder.join(WORKER_NAME));
    let own_tasks = this_program == SERVES_OWN_TASKS;
    let mut found: Vec<PathBuf> = Vec::new();
    found.extend(serves.clone().filter(|_| own_tasks));
    found.extend(beside.filter(|path| path.is_file()));
    found.extend(serves.filter(|_| !own_tasks));
    found.extend(on_path(env::var_os("PATH").unwrap_or_default()));
    match found.is_empty() {
        true => Err(late_init().map(LookupError::from).or(unknown).unwrap_or(LookupError::None)),
        false => Ok(found.into_iter().map(unnamed).collect()),
    }
}

/// Checks that the workers of a pool will know the Rust tasks of the running program. `explicit` is the worker program
/// that the user named for the pool.
///
/// # Errors
/// When the program has tasks of its own, called `init()` too late to be its own worker, and no other was named.
pub fn check_own_tasks(explicit: Option<&Path>) -> Result<(), LookupError> {
    match late_init_of_own_tasks() {
        Some(late) if named_by(explicit).is_none() => Err(late.into()),
        _ => Ok(()),
    }
}

/// How the user named a worker program: by the option, by the variable, or not at all.
pub(crate) fn named_by(explicit: Option<&Path>) -> Option<&'static str> {
    let by_variable = || env::var_os(WORKER_VARIABLE).is_some_and(|path| !path.is_empty()).then_some(WORKER_VARIABLE);
    explicit.map(|_| WORKER_OPTION).or_else(by_variable)
}

fn unnamed(path: PathBuf) -> Candidate {
    Candidate { path, named: false }
}

fn named(path: PathBuf, origin: &'static str) -> Result<Vec<Candidate>, LookupError> {
    match std::path::absolute(&path) {
        Ok(path) if path.is_file() => Ok(vec![Candidate { path, named: true }]),
        _ => Err(LookupError::Missing { path, origin }),
    }
}

fn on_path(path: OsString) -> Option<PathBuf> {
    env::split_paths(&path).map(|folder| folder.join(WORKER_NAME)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_worker_that_is_missing_is_said_by_name() {
        let error = candidates(Some(Path::new("/no/such/worker"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the worker program \"/no/such/worker\" (--worker or PoolOptions::worker) is not there"
        );
    }

    #[test]
    fn a_named_worker_is_the_only_candidate() {
        let found = candidates(Some(Path::new("/bin/true"))).unwrap();
        assert_eq!(found, [Candidate { path: "/bin/true".into(), named: true }]);
    }
}
