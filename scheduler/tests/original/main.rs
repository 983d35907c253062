//! The example workflows that the original has as tests, rebuilt with Rust tasks on the pool `thread`, with their results.

mod stopping;
mod tasks;
mod workflows;
