//! The interface of pushflow to Linux, and the only crate with unsafe code.
//!
//! Every public function is safe to call. Where a system call is sound only under a condition, such as a single thread,
//! the function checks the condition and fails without it. Each unsafe block says why it is sound.
//!
//! System calls are made with `rustix` (descriptors, memory, sockets) and `nix` (processes, signals, limits), and with
//! `libc` where neither has a function that does the same: `clone` with flags, `_exit`, `atexit`, `fflush`, and the
//! actions of real-time signals.

pub mod coroutine;
pub mod environment;
mod exec;
mod exit_hook;
pub mod files;
pub mod fork;
pub mod limits;
mod mapping;
mod memory_file;
pub mod pidfd;
pub mod process_tree;
mod shared_words;
mod signal_watch;
pub mod signals;
pub mod slab;
pub mod socket;
pub mod wait;

pub use coroutine::{Coroutine, Stack};
pub use exec::{Image, spawn_session_leader};
pub use exit_hook::ExitHook;
pub use fork::{Fork, fork, fork_with_clone_parent, fork_without_sigchld};
pub use pidfd::PidFd;
pub use shared_words::{SharedWords, WORDS};
pub use signal_watch::{SignalWatch, signal_pipe};
pub use socket::SeqPacket;
