//! The names of a graph's task actors.

use std::collections::HashMap;
use std::sync::Arc;

use pushflow_graph::{ActorId, Graph};

/// The names of the actors whose task is an attempt on a pool.
pub(crate) fn task_names(graph: &Graph) -> HashMap<ActorId, Arc<str>> {
    graph.tasks().map(|(id, _)| (id, Arc::from(graph.actor(id).name.as_str()))).collect()
}
