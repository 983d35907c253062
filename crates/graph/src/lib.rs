//! Actors and links as data: built from code or read from an ewoks graph file, and validated before anything runs.
//!
//! This crate runs nothing. The scheduler's reactor reads a [`Graph`] and decides what to trigger when.

mod condition;
mod model;

pub use condition::{Condition, Test, ewoks_equal};
pub use model::{
    Actor, ActorId, ActorKind, Arrival, FieldMap, Graph, GraphError, Link, LinkId, Mapping, Passing, Port, Router,
    Task, Work,
};
