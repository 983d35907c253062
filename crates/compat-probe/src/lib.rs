//! Proves, on the machine at hand, which task runs on which pool, and compares that with what the original says of itself.
//!
//! ```text
//! arguments ─▶ matrix: every combination ─▶ parallel: some at a time ─▶ isolation: each in a process of its own
//!                                                                        │      under a deadline
//!                     baseline: what the original says                       ▼
//!                          │                            child: runs it, and says how it went
//!                          ▼                                             │
//!     exit code ◀─ report ◀─ matrix: verdicts judged ◀───────────────────┘
//! ```
//!
//! It is the program `pushflow-probe`, and `pushflow probe` and `pushflow daemonic`. Each of these programs runs a
//! combination when it is started again with a hidden command (`child.rs`).

mod arguments;
mod baseline;
mod child;
mod daemonic;
mod daemonic_flag;
mod exit;
mod interruption;
mod isolation;
mod matrix;
mod names;
mod parallel;
mod probe;
mod process_under_test;
mod progress;
mod report;
mod request;
mod verdict;

pub use arguments::{ChildArguments, DaemonicArguments, ProbeArguments};
pub use child::run_child;
pub use daemonic::check_daemonic;
pub use probe::probe;
