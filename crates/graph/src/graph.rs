//! [`Graph`]: actors and the links between them, as data. This file has the methods that read a graph; `build.rs` has
//! those that build one.

use std::collections::HashMap;
use std::time::Duration;

use petgraph::Direction;
use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use petgraph::visit::EdgeRef;
use pushflow_model::{PoolType, TaskSpec};

use crate::actor::ActorIds;
use crate::scope::Scopes;
use crate::{Actor, ActorId, ActorKind, Link, LinkId, Retries, Scope, ScopeId, Task, Work};

/// Where a graph comes from. How a run ends depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Code built the graph. A run that never reaches the stop actor has stalled.
    #[default]
    Code,
    /// The graph was read from an ewoks graph file. A run that reaches no end node has finished, with an empty result.
    Ewoks,
}

/// The limits that a graph sets for its runs. The options of a run override them.
///
/// ```
/// use std::time::Duration;
/// use pushflow_graph::{Graph, RunSettings};
///
/// let settings = RunSettings::default().with_timeout(Duration::from_secs(60)).with_max_rounds(100);
/// let mut graph = Graph::new("nightly");
/// graph.set_settings(settings);
/// assert_eq!(graph.settings(), settings);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunSettings {
    /// The longest time that a run may take.
    pub timeout: Option<Duration>,
    /// The longest time from the start of an attempt to its end, for task actors without a limit of their own.
    pub attempt_timeout: Option<Duration>,
    /// The greatest number of times that an actor may run in one run, for actors without a limit of their own.
    pub max_rounds: Option<u64>,
}

impl RunSettings {
    /// The same settings with this limit on how long a run may take.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        RunSettings { timeout: Some(timeout), ..self }
    }

    /// The same settings with this limit on how long each attempt may take.
    #[must_use]
    pub fn with_attempt_timeout(self, timeout: Duration) -> Self {
        RunSettings { attempt_timeout: Some(timeout), ..self }
    }

    /// The same settings with this limit on how often each actor may run in one run.
    #[must_use]
    pub fn with_max_rounds(self, rounds: u64) -> Self {
        RunSettings { max_rounds: Some(rounds), ..self }
    }
}

/// Actors and the links between them.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The name of the graph, for people. It need not be unique.
    pub name: String,
    pub(crate) graph: DiGraph<Actor, Link>,
    pub(crate) ids: ActorIds,
    pub(crate) by_name: HashMap<String, ActorId>,
    pub(crate) start: Option<ActorId>,
    pub(crate) stop: Option<ActorId>,
    pub(crate) origin: Origin,
    pub(crate) labels: HashMap<ActorId, String>,
    pub(crate) scopes: Scopes,
    pub(crate) rounds: HashMap<ActorId, u64>,
    pub(crate) times: HashMap<ActorId, Duration>,
    pub(crate) retries: HashMap<ActorId, Retries>,
    pub(crate) pools: HashMap<ActorId, PoolType>,
    pub(crate) settings: RunSettings,
}

impl Graph {
    /// A graph without actors.
    pub fn new(name: impl Into<String>) -> Self {
        Graph { name: name.into(), ..Self::default() }
    }

    /// The id of the actor at this position.
    pub(crate) fn id(&self, index: usize) -> ActorId {
        self.ids.at(index as u32)
    }

    /// Where the graph comes from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The start actor, if the graph has one.
    pub fn start(&self) -> Option<ActorId> {
        self.start
    }

    /// The stop actor, if the graph has one.
    pub fn stop(&self) -> Option<ActorId> {
        self.stop
    }

    /// The actor with this id.
    ///
    /// # Panics
    /// When the id belongs to another graph and lies beyond the actors of this one.
    pub fn actor(&self, id: ActorId) -> &Actor {
        &self.graph[NodeIndex::new(id.index())]
    }

    /// The label of the actor, for people (ewoks `label`). It need not be unique. An actor without a label has its name
    /// for one.
    ///
    /// # Panics
    /// When the id belongs to another graph and lies beyond the actors of this one.
    pub fn label(&self, id: ActorId) -> &str {
        self.labels.get(&id).unwrap_or(&self.actor(id).name)
    }

    /// The actors with a limit of their own on how often they may run in one run, each with its limit.
    pub fn round_limits(&self) -> impl Iterator<Item = (ActorId, u64)> {
        self.rounds.iter().map(|(&actor, &rounds)| (actor, rounds))
    }

    /// The task actors with a limit of their own on the time of an attempt, each with its limit.
    pub fn time_limits(&self) -> impl Iterator<Item = (ActorId, Duration)> {
        self.times.iter().map(|(&actor, &time)| (actor, time))
    }

    /// The task actors that are tried again after a failure, each with its number of tries.
    pub fn retries(&self) -> impl Iterator<Item = (ActorId, Retries)> {
        self.retries.iter().map(|(&actor, &retries)| (actor, retries))
    }

    /// The name of the pool on which the attempts of a task actor run; `None` for the pool of the run.
    pub fn pool_of(&self, actor: ActorId) -> Option<PoolType> {
        self.pools.get(&actor).copied()
    }

    /// The limits that the graph sets for its runs. In a graph file they stand under the key `pushflow` of the graph.
    pub fn settings(&self) -> RunSettings {
        self.settings
    }

    /// The number of actors.
    pub fn actor_count(&self) -> usize {
        self.graph.node_count()
    }

    /// The number of links.
    pub fn link_count(&self) -> usize {
        self.graph.edge_count()
    }

    /// The actor with this name.
    pub fn find(&self, name: &str) -> Option<ActorId> {
        self.by_name.get(name).copied()
    }

    /// All actors, in the order in which they were added.
    pub fn actors(&self) -> impl Iterator<Item = (ActorId, &Actor)> {
        self.graph.node_weights().enumerate().map(|(index, actor)| (self.id(index), actor))
    }

    /// The tasks of all task actors, each with its actor, in the order in which the actors were added. Actors that run
    /// no task ([`Work::Identity`]) are left out.
    ///
    /// ```
    /// use pushflow_graph::Graph;
    /// use pushflow_model::TaskSpec;
    ///
    /// let mut graph = Graph::new("thumbnails");
    /// graph.add_start("Start")?;
    /// let resize = graph.add_task("resize", TaskSpec::rust("resize"))?;
    /// assert_eq!(graph.tasks().collect::<Vec<_>>(), [(resize, &TaskSpec::rust("resize"))]);
    /// # Ok::<(), pushflow_graph::GraphError>(())
    /// ```
    pub fn tasks(&self) -> impl Iterator<Item = (ActorId, &TaskSpec)> {
        self.actors().filter_map(|(id, actor)| match &actor.kind {
            ActorKind::Task(Task { work: Work::Attempt(spec), .. }) => Some((id, spec)),
            _ => None,
        })
    }

    /// All links with their sources and targets, in the order in which they were added.
    pub fn links(&self) -> impl Iterator<Item = (LinkId, ActorId, ActorId, &Link)> {
        self.graph.raw_edges().iter().enumerate().map(|(index, edge)| {
            let source = self.id(edge.source().index());
            let target = self.id(edge.target().index());
            (LinkId(index as u32), source, target, &edge.weight)
        })
    }

    /// The link with this id.
    ///
    /// # Panics
    /// When the id belongs to another graph and lies beyond the actors of this one.
    pub fn link(&self, id: LinkId) -> &Link {
        &self.graph[EdgeIndex::new(id.index())]
    }

    /// The links into an actor with their sources, in the order in which they were added.
    pub fn incoming(&self, id: ActorId) -> Vec<(LinkId, ActorId)> {
        self.adjacent(id, Direction::Incoming)
    }

    /// The links out of an actor with their targets, in the order in which they were added.
    pub fn outgoing(&self, id: ActorId) -> Vec<(LinkId, ActorId)> {
        self.adjacent(id, Direction::Outgoing)
    }

    /// Whether the errors of an actor stay hidden from the handlers of its scopes ([`Graph::contain_errors`]).
    pub fn contains_errors(&self, actor: ActorId) -> bool {
        self.scopes.contained.contains(&actor)
    }

    /// All scopes: the workflow itself first, and each submodel after the scope around it.
    pub fn scopes(&self) -> impl Iterator<Item = (ScopeId, &Scope)> {
        self.scopes.all.iter().enumerate().map(|(index, scope)| (ScopeId(index as u32), scope))
    }

    /// The innermost scope of each actor, by the position of the actor.
    pub fn scope_of_each(&self) -> Vec<ScopeId> {
        let mut of_each = vec![ScopeId::WORKFLOW; self.actor_count()];
        for (id, scope) in self.scopes() {
            of_each[scope.actors.start as usize..scope.actors.end as usize].fill(id);
        }
        of_each
    }

    /// The path of an actor, such as `/workflow/submodel/actor`. Each `%` in it becomes a space (`docs/parity.md` P15,
    /// P65, P79).
    ///
    /// ```
    /// use pushflow_graph::Graph;
    ///
    /// let mut graph = Graph::new("50% done");
    /// let fork = graph.add_fork("fork")?;
    /// assert_eq!(graph.path(fork), "/50  done/fork");
    /// # Ok::<(), pushflow_graph::GraphError>(())
    /// ```
    ///
    /// # Panics
    /// When the id belongs to another graph and lies beyond the actors of this one.
    pub fn path(&self, actor: ActorId) -> String {
        format!("/{}/{}", self.name, self.actor(actor).name).replace('%', " ")
    }

    fn adjacent(&self, id: ActorId, direction: Direction) -> Vec<(LinkId, ActorId)> {
        let mut links: Vec<_> = self
            .graph
            .edges_directed(NodeIndex::new(id.index()), direction)
            .map(|edge| {
                let other = if direction == Direction::Outgoing { edge.target() } else { edge.source() };
                (LinkId(edge.id().index() as u32), self.id(other.index()))
            })
            .collect();
        links.sort_unstable();
        links
    }
}
