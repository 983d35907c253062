//! Tests, on the machine at hand, which task runs on which pool, and compares the results with what the documents of the
//! original (pypushflow) claim.
//!
//! ```text
//! arguments ─▶ matrix: every combination ─▶ parallel: some at a time ─▶ isolation: each in a process of its own
//!                                                                        │         under a deadline
//!                     baseline: what the original claims                 ▼
//!                          │                            child: runs it, and prints a verdict
//!                          ▼                                             │
//!     exit code ◀─ report ◀─ matrix: verdicts compared ◀─────────────────┘
//! ```
//!
//! The probe is the program `pushflow-probe`, and the commands `pushflow probe` and `pushflow daemonic`. To run one
//! combination, each of these programs starts itself once more with a hidden command (`child.rs`).

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
