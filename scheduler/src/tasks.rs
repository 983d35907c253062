//! The task actors of a graph.

use std::collections::HashMap;
use std::sync::Arc;

use pushflow_graph::{ActorId, ActorKind, Graph, Work};
use pushflow_protocol::TaskSpec;

/// The actors whose task is an attempt on a pool, with that task.
pub(crate) fn tasks(graph: &Graph) -> impl Iterator<Item = (ActorId, &TaskSpec)> {
    graph.actors().filter_map(|(id, actor)| match &actor.kind {
        ActorKind::Task(task) => match &task.work {
            Work::Attempt(spec) => Some((id, spec)),
            Work::Identity => None,
        },
        _ => None,
    })
}

pub(crate) fn task_names(graph: &Graph) -> HashMap<ActorId, Arc<str>> {
    tasks(graph).map(|(id, _)| (id, Arc::from(graph.actor(id).name.as_str()))).collect()
}
