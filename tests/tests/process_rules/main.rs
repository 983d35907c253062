//! The process rules, event by event and pool by pool, and the page `docs/process-rules.md`, which these tests write.
//!
//! - [`lifetime`]: what ends with what, and what may finish.
//! - [`submitter`]: what whoever submits a task that misbehaves hears of it.

mod lifetime;
mod submitter;
