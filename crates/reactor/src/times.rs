//! [`Times`]: how long a run, its attempts, and the wait for interrupted attempts may take.

use std::collections::HashMap;
use std::time::Duration;

use pushflow_graph::{ActorId, Graph};

/// How long a run and its attempts may take. All times are those of the `now` of [`super::Reactor::on`].
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// When the run reaches its deadline; `None`, the default, for no deadline.
    pub deadline: Option<Duration>,
    /// How long an attempt may run whose actor has no limit of its own ([`pushflow_graph::Graph::limit_time`]); no limit
    /// by default.
    pub attempt_timeout: Option<Duration>,
    /// How long after its interrupt an attempt may take to end. The reactor then gives it up, so that a run never waits
    /// for an attempt that nothing can end.
    pub patience: Duration,
    /// The actors whose attempts have another patience.
    pub patience_of: HashMap<ActorId, Duration>,
}

impl Times {
    /// How long after its interrupt an attempt of this actor may take to end.
    pub(super) fn patience(&self, actor: ActorId) -> Duration {
        self.patience_of.get(&actor).copied().unwrap_or(self.patience)
    }
}

/// How long attempts may run, by actor.
#[derive(Debug, Default)]
pub(super) struct TimeLimits {
    general: Option<Duration>,
    own: HashMap<ActorId, Duration>,
}

impl TimeLimits {
    /// The limits of the graph's actors, and the general limit for all others.
    pub(super) fn new(graph: &Graph, general: Option<Duration>) -> TimeLimits {
        TimeLimits { general, own: graph.time_limits().collect() }
    }

    /// How long an attempt of this actor may run; `None` without a limit.
    pub(super) fn of(&self, actor: ActorId) -> Option<Duration> {
        self.own.get(&actor).copied().or(self.general)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_an_actor_wins_over_the_general_one() {
        let second = Duration::from_secs;
        let mut graph = Graph::new("limits");
        let [own, other] = ["own", "other"].map(|name| {
            let task = pushflow_model::TaskSpec::rust("task");
            graph.add_task(name, task).expect("the names differ")
        });
        graph.limit_time(own, second(5)).expect("it runs a task");
        let limits = |general| TimeLimits::new(&graph, general);
        assert_eq!([own, other].map(|actor| limits(Some(second(1))).of(actor)), [Some(second(5)), Some(second(1))]);
        assert_eq!([own, other].map(|actor| limits(None).of(actor)), [Some(second(5)), None]);
    }
}
