//! [`Graph`]: actors and the links between them, as data; how to read it. How to build it: `build.rs`.

use std::collections::HashMap;
use std::time::Duration;

use petgraph::Direction;
use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use petgraph::visit::EdgeRef;
use pushflow_protocol::TaskSpec;

use crate::actor::GraphIdentity;
use crate::scope::Scopes;
use crate::{Actor, ActorId, ActorKind, Link, LinkId, Retries, Scope, ScopeId, Task, Work};

/// Where a graph comes from, where that decides how a run of it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Built from code: a run that never reaches the stop actor has stalled.
    #[default]
    Code,
    /// Read from an ewoks graph file: a run that reaches no end node is finished, with an empty result.
    Ewoks,
}

/// What a graph asks for of its runs, where whoever runs it asks for nothing else.
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
    /// How long a run may take.
    pub timeout: Option<Duration>,
    /// How long each attempt of a task may take from its start, where its actor has no limit of its own.
    pub attempt_timeout: Option<Duration>,
    /// How often an actor may run in one run, where it has no limit of its own.
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

/// Actors and links.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// What the graph is called.
    pub name: String,
    pub(crate) graph: DiGraph<Actor, Link>,
    pub(crate) identity: GraphIdentity,
    pub(crate) by_name: HashMap<String, ActorId>,
    pub(crate) start: Option<ActorId>,
    pub(crate) stop: Option<ActorId>,
    pub(crate) origin: Origin,
    pub(crate) labels: HashMap<ActorId, String>,
    pub(crate) scopes: Scopes,
    pub(crate) rounds: HashMap<ActorId, u64>,
    pub(crate) times: HashMap<ActorId, Duration>,
    pub(crate) retries: HashMap<ActorId, Retries>,
    pub(crate) pools: HashMap<ActorId, &'static str>,
    pub(crate) settings: RunSettings,
}

impl Graph {
    /// A graph without an actor.
    pub fn new(name: impl Into<String>) -> Self {
        Graph { name: name.into(), ..Self::default() }
    }

    /// The id of the actor at this position.
    pub(crate) fn id(&self, index: usize) -> ActorId {
        ActorId { index: index as u32, graph: self.identity }
    }

    /// Where the graph comes from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The start actor, where there is one.
    pub fn start(&self) -> Option<ActorId> {
        self.start
    }

    /// The stop actor, where there is one.
    pub fn stop(&self) -> Option<ActorId> {
        self.stop
    }

    /// The actor of that id.
    ///
    /// # Panics
    /// When the id is of another graph and out of this one's range.
    pub fn actor(&self, id: ActorId) -> &Actor {
        &self.graph[NodeIndex::new(id.index())]
    }

    /// What people call the actor: its ewoks `label`, which need not be unique, else its name.
    ///
    /// # Panics
    /// When the id is of another graph and out of this one's range.
    pub fn label(&self, id: ActorId) -> &str {
        self.labels.get(&id).unwrap_or(&self.actor(id).name)
    }

    /// The actors that may run only so often in one run, with how often.
    pub fn round_limits(&self) -> impl Iterator<Item = (ActorId, u64)> {
        self.rounds.iter().map(|(&actor, &rounds)| (actor, rounds))
    }

    /// The task actors whose attempts may take only so long, with how long.
    pub fn time_limits(&self) -> impl Iterator<Item = (ActorId, Duration)> {
        self.times.iter().map(|(&actor, &time)| (actor, time))
    }

    /// The task actors that are tried again when they fail, with how often.
    pub fn retries(&self) -> impl Iterator<Item = (ActorId, Retries)> {
        self.retries.iter().map(|(&actor, &retries)| (actor, retries))
    }

    /// The name of the pool on which the attempts of a task actor run, if that is not the one of the run.
    pub fn pool_of(&self, actor: ActorId) -> Option<&'static str> {
        self.pools.get(&actor).copied()
    }

    /// What the graph asks for of its runs: of a graph file the settings under `pushflow`.
    pub fn settings(&self) -> RunSettings {
        self.settings
    }

    /// How many actors there are.
    pub fn actor_count(&self) -> usize {
        self.graph.node_count()
    }

    /// How many links there are.
    pub fn link_count(&self) -> usize {
        self.graph.edge_count()
    }

    /// The actor of that name.
    pub fn find(&self, name: &str) -> Option<ActorId> {
        self.by_name.get(name).copied()
    }

    /// Every actor, in the order in which they were added.
    pub fn actors(&self) -> impl Iterator<Item = (ActorId, &Actor)> {
        self.graph.node_weights().enumerate().map(|(index, actor)| (self.id(index), actor))
    }

    /// Every task that attempts are made of, with the actor that runs it, in the order in which the actors were added.
    /// Task actors without an attempt ([`Work::Identity`]) are left out.
    ///
    /// ```
    /// use pushflow_graph::Graph;
    /// use pushflow_protocol::TaskSpec;
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

    /// Every link with its source and target, in the order in which they were added.
    pub fn links(&self) -> impl Iterator<Item = (LinkId, ActorId, ActorId, &Link)> {
        self.graph.raw_edges().iter().enumerate().map(|(index, edge)| {
            let source = self.id(edge.source().index());
            let target = self.id(edge.target().index());
            (LinkId(index as u32), source, target, &edge.weight)
        })
    }

    /// The link of that id.
    ///
    /// # Panics
    /// When the id is of another graph and out of this one's range.
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

    /// Whether the handlers of its scopes do not hear of an actor's errors.
    pub fn contains_errors(&self, actor: ActorId) -> bool {
        self.scopes.contained.contains(&actor)
    }

    /// The workflow itself, then each submodel after the one it is in.
    pub fn scopes(&self) -> impl Iterator<Item = (ScopeId, &Scope)> {
        self.scopes.all.iter().enumerate().map(|(index, scope)| (ScopeId(index as u32), scope))
    }

    /// The scope of each actor, by position.
    pub fn scope_of_each(&self) -> Vec<ScopeId> {
        let mut of_each = vec![ScopeId::WORKFLOW; self.actor_count()];
        for (id, scope) in self.scopes() {
            of_each[scope.actors.start as usize..scope.actors.end as usize].fill(id);
        }
        of_each
    }

    /// The path of an actor, such as `/workflow/submodel/actor`, with spaces for `%` (`parity.md` P15, P65, P79).
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
    /// When the id is of another graph and out of this one's range.
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
