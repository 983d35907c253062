//! Graphs of actors and links, as data. Code builds a [`Graph`], or [`ewoks`] reads one from a graph file;
//! [`Graph::validate`] checks it before a run.
//!
//! This crate runs nothing. The reactor of the scheduler reads a [`Graph`] and decides which actor it triggers when.
//!
//! ```
//! use pushflow_graph::{Graph, Link, Router};
//!
//! let mut graph = Graph::new("sort by size");
//! let start = graph.add_start("Start")?;
//! let size = graph.add_router("size", Router::new("is_big", [true, false]))?;
//! let stop = graph.add_stop("Stop")?;
//! graph.connect(start, size, Link::direct())?;
//! graph.connect(size, stop, Link::port(true))?;
//! graph.connect(size, stop, Link::port("other"))?;
//! graph.validate()?;
//! # Ok::<(), pushflow_graph::GraphError>(())
//! ```

mod actor;
mod build;
mod check;
mod condition;
mod equality;
mod error;
pub mod ewoks;
mod graph;
mod link;
mod retries;
mod router;
mod scope;
mod submodel;

pub use actor::{Actor, ActorId, ActorKind, Behaviour, Passing, Task, Work};
pub use check::{Warning, WarningKind};
pub use condition::{Condition, Test};
pub use equality::ewoks_equal;
pub use error::GraphError;
pub use graph::{Graph, Origin, RunSettings};
pub use link::{Arrival, FieldMap, Link, LinkId, Mapping};
pub use retries::Retries;
pub use router::{Port, Router};
pub use scope::{Scope, ScopeId};
pub use submodel::Submodel;
