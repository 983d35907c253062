//! [`LateInit`]: a call of `init()` that came too late, because the program had more than one thread already.
//!
//! The same program, started again as a worker, would call `init()` just as late, and a worker must begin with one
//! thread. So a program whose `init()` came too late is no candidate for the worker program.

use std::sync::OnceLock;

static LATE_INIT: OnceLock<(LateInit, bool)> = OnceLock::new();

/// The running program called `init()` too late. It displays itself as one sentence that says what to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "pushflow::init() must come first in main, before any thread is started, but {threads} threads ran already when it \
     was called, so that this program can't be its own worker: with tokio, call it in a plain fn main and build the \
     runtime after it, see docs/rust.md"
)]
pub struct LateInit {
    /// How many threads the program had then.
    pub threads: usize,
}

/// Records that the running program called `init()` when it had so many threads already.
///
/// `has_own_tasks` is whether the program has Rust tasks that no other program knows.
pub fn note_late_init(late: LateInit, has_own_tasks: bool) {
    LATE_INIT.get_or_init(|| (late, has_own_tasks));
}

/// Whether the running program called `init()` too late.
pub(crate) fn late_init() -> Option<LateInit> {
    LATE_INIT.get().map(|&(late, _)| late)
}

/// The same of a program with Rust tasks of its own.
pub(crate) fn late_init_of_own_tasks() -> Option<LateInit> {
    LATE_INIT.get().filter(|(_, has_own_tasks)| *has_own_tasks).map(|&(late, _)| late)
}
