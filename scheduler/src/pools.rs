//! [`Pools`]: the pools of one run: the one that the run asked for, and those that nodes ask for.
//!
//! Each pool that some task runs on is opened once, with the same options. A run without tasks has the one that it asked
//! for, so that what is wrong with that is said.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pushflow_graph::{ActorId, Graph};
use pushflow_pool::{Attempt, Pool, PoolType};
use pushflow_protocol::AttemptId;

use crate::tasks::tasks;

/// On which pool the attempts of a task actor run.
pub(crate) fn pool_type(graph: &Graph, actor: ActorId, usual: PoolType) -> PoolType {
    graph.pool_of(actor).and_then(|name| name.parse().ok()).unwrap_or(usual)
}

/// The pools of a run that is to begin on this one.
pub(crate) fn needed(graph: &Graph, usual: PoolType) -> Vec<PoolType> {
    let mut needed = Vec::new();
    for (actor, _) in tasks(graph) {
        let pool = pool_type(graph, actor, usual);
        if !needed.contains(&pool) {
            needed.push(pool);
        }
    }
    if needed.is_empty() { vec![usual] } else { needed }
}

/// Open pools, and which of them is whose.
pub(crate) struct Pools {
    pools: Vec<Box<dyn Pool>>,
    /// Of the actors that are not on the first one.
    others: HashMap<ActorId, usize>,
}

impl Pools {
    /// These pools, for the actors of a graph.
    pub(crate) fn new(pools: Vec<(PoolType, Box<dyn Pool>)>, graph: &Graph, usual: PoolType) -> Pools {
        let place = |actor| {
            let wanted = pool_type(graph, actor, usual);
            pools.iter().position(|(pool, _)| *pool == wanted)
        };
        let of_actor = tasks(graph).filter_map(|(actor, _)| Some((actor, place(actor)?)));
        let others = of_actor.filter(|&(_, place)| place > 0).collect();
        Pools { pools: pools.into_iter().map(|(_, pool)| pool).collect(), others }
    }

    /// In place of those that were given up while they were opened.
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

    /// Hands over attempts, in this order on each pool.
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

    /// See [`Pool::close`]: each pool in its turn, all of them until the same moment.
    pub(crate) fn close(&mut self, deadline: Instant) {
        for pool in &mut self.pools {
            pool.close(Some(deadline));
        }
    }
}
