//! [`Rounds`]: how often each actor has run, where that is limited.
//!
//! The limit is on the executions of one actor in one run, whatever triggered them. The cycle that goes round most
//! often reaches the limit first, and the error names that cycle. A run without limits counts nothing.

use std::collections::{HashMap, VecDeque};

use pushflow_graph::{ActorId, Graph};
use pushflow_model::{ErrorKind, TaskError};

/// How many actors of a cycle a message names.
const NAMED: usize = 10;

/// How often each actor has run.
#[derive(Debug)]
pub(super) struct Rounds {
    /// One for each actor; empty in a run without limits.
    counts: Vec<u64>,
    /// The limit of actors without one of their own.
    limit: u64,
    own: HashMap<ActorId, u64>,
}

impl Rounds {
    pub(super) fn new(graph: &Graph, limit: Option<u64>) -> Self {
        let own: HashMap<ActorId, u64> = graph.round_limits().collect();
        let limited = limit.is_some() || !own.is_empty();
        let counts = if limited { vec![0; graph.actor_count()] } else { Vec::new() };
        Rounds { counts, limit: limit.unwrap_or(u64::MAX), own }
    }

    /// Counts one execution. Returns the limit of the actor if this execution exceeds it.
    pub(super) fn count(&mut self, actor: ActorId) -> Option<u64> {
        let count = self.counts.get_mut(actor.index())?;
        *count += 1;
        let limit = if self.own.is_empty() { self.limit } else { *self.own.get(&actor).unwrap_or(&self.limit) };
        (*count > limit).then_some(limit)
    }
}

/// The error of an actor that was triggered more often than its limit.
pub(super) fn too_many(graph: &Graph, actor: ActorId, limit: u64) -> TaskError {
    let why = match cycle_through(graph, actor) {
        Some(cycle) => format!("the cycle {} has not ended by then", shown(graph, &cycle)),
        None => "it is in no cycle, but was triggered that often".to_owned(),
    };
    let times = if limit == 1 { "once".to_owned() } else { format!("{limit} times") };
    let message = format!(
        "the actor may run {times} in one run (max_rounds), and {why}: correct what ends it, or allow more rounds"
    );
    let mut error = TaskError::new(ErrorKind::BadResult, message);
    error.type_name = "TooManyRounds".to_owned();
    error
}

/// A shortest cycle through an actor: from that actor to the one before it.
fn cycle_through(graph: &Graph, actor: ActorId) -> Option<Vec<ActorId>> {
    let mut came_from: HashMap<ActorId, ActorId> = HashMap::new();
    let mut next = VecDeque::from([actor]);
    while let Some(here) = next.pop_front() {
        for (_, target) in graph.outgoing(here) {
            if target == actor {
                let mut cycle: Vec<ActorId> =
                    std::iter::successors(Some(here), |at| came_from.get(at).copied()).collect();
                cycle.reverse();
                return Some(cycle);
            }
            if let std::collections::hash_map::Entry::Vacant(new) = came_from.entry(target) {
                new.insert(here);
                next.push_back(target);
            }
        }
    }
    None
}

fn shown(graph: &Graph, cycle: &[ActorId]) -> String {
    let name = |id: &ActorId| format!("{:?}", graph.actor(*id).name);
    let mut names: Vec<String> = cycle.iter().take(NAMED).map(name).collect();
    if cycle.len() > NAMED {
        names.push(format!("({} more)", cycle.len() - NAMED));
    }
    names.extend(cycle.first().map(name));
    names.join(" -> ")
}
