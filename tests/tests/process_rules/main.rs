//! The process rules, event by event and pool by pool, and the page `docs/process-rules.md`, which these tests write.
//!
//! - [`lifetime`]: what ends with what, and what may finish.

mod lifetime;
