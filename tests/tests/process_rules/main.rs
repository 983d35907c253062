//! The process rules, event by event and pool by pool, and the page `docs/process-rules.md`, which these tests write.
//!
//! - [`lifetime`]: which processes end with which event, and which tasks may finish.
//! - [`submitter`]: what the submitter of a misbehaving task sees.

mod lifetime;
mod submitter;
