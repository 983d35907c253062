//! [`Pools`]: the pools of one run: the usual pool, which its options name, and those that single actors name.
//!
//! A run opens each pool that some task runs on once, all with the same options. A run without tasks opens the usual
//! pool, so that an error of its options is reported.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pushflow_graph::{ActorId, Graph};
use pushflow_model::{AttemptId, PoolType};
use pushflow_pool::{Attempt, Pool};

/// The pool on which the attempts of a task actor run.
pub(crate) fn pool_type(graph: &Graph, actor: ActorId, usual: PoolType) -> PoolType {
    graph.pool_of(actor).unwrap_or(usual)
}

/// The pools that a run of the graph needs, each once.
pub(crate) fn needed(graph: &Graph, usual: PoolType) -> Vec<PoolType> {
    let mut needed = Vec::new();
    for (actor, _) in graph.tasks() {
        let pool = pool_type(graph, actor, usual);
        if !needed.contains(&pool) {
            needed.push(pool);
        }
    }
    if needed.is_empty() { vec![usual] } else { needed }
}

/// Open pools, and the pool of each task actor.
pub(crate) struct Pools {
    pools: Vec<Box<dyn Pool>>,
    /// The index of the pool of each task actor that is not on the first pool.
    others: HashMap<ActorId, usize>,
}

impl Pools {
    /// These pools, for the task actors of a graph.
    pub(crate) fn new(pools: Vec<(PoolType, Box<dyn Pool>)>, graph: &Graph, usual: PoolType) -> Pools {
        let place = |actor| {
            let wanted = pool_type(graph, actor, usual);
            pools.iter().position(|(pool, _)| *pool == wanted)
        };
        let of_actor = graph.tasks().filter_map(|(actor, _)| Some((actor, place(actor)?)));
        let others = of_actor.filter(|&(_, place)| place > 0).collect();
        Pools { pools: pools.into_iter().map(|(_, pool)| pool).collect(), others }
    }

    /// No pools, for a run whose opening was cancelled.
    pub(crate) fn none() -> Pools {
        Pools { pools: Vec::new(), others: HashMap::new() }
    }

    /// Whether these are [`Pools::none`].
    pub(crate) fn is_none(&self) -> bool {
        self.pools.is_empty()
    }

    fn place(&self, actor: ActorId) -> usize {
        if self.others.is_empty() { 0 } else { self.others.get(&actor).copied().unwrap_or(0) }
    }

    fn of(&self, actor: ActorId) -> &dyn Pool {
        self.pools[self.place(actor)].as_ref()
    }

    /// Submits attempts to their pools, in this order on each pool.
    pub(crate) fn submit(&self, attempts: Vec<(ActorId, Attempt)>) {
        let mut shares: Vec<Vec<Attempt>> = self.pools.iter().map(|_| Vec::new()).collect();
        for (actor, attempt) in attempts {
            shares[self.place(actor)].push(attempt);
        }
        for (pool, share) in self.pools.iter().zip(shares).filter(|(_, share)| !share.is_empty()) {
            pool.submit(share);
        }
    }

    /// See [`Pool::interrupt`].
    pub(crate) fn interrupt(&self, actor: ActorId, attempt: AttemptId) {
        self.of(actor).interrupt(attempt);
    }

    /// See [`Pool::give_up`].
    pub(crate) fn give_up(&self, actor: ActorId, attempt: AttemptId) {
        self.of(actor).give_up(attempt);
    }

    /// See [`Pool::patience`].
    pub(crate) fn patience(&self, actor: ActorId) -> Duration {
        self.of(actor).patience()
    }

    /// See [`Pool::close`]: closes one pool after the other, all with the same deadline.
    pub(crate) fn close(&mut self, deadline: Instant) {
        for pool in &mut self.pools {
            pool.close(Some(deadline));
        }
    }
}
