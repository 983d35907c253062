//! [`Graph`]: actors and the links between them, as data.

use std::collections::HashMap;

use petgraph::Direction;
use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use petgraph::visit::EdgeRef;
use pushflow_protocol::TaskSpec;
use pushflow_value::{Data, Key, Value};

use crate::Condition;

/// Names an actor of one graph; counted from 0 in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActorId(u32);

/// Names a link of one graph; counted from 0 in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(u32);

impl ActorId {
    /// The position among the graph's actors.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl LinkId {
    /// The position among the graph's links.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One actor.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Unique in its graph.
    pub name: String,
    /// What it does when it is triggered.
    pub kind: ActorKind,
}

/// What an actor does when it is triggered.
#[derive(Clone, Debug)]
pub enum ActorKind {
    /// Where a run begins: passes the run's data on. One per graph.
    Start,
    /// Where a run ends: keeps the result (`parity.md` P56). One per graph.
    Stop,
    /// Passes the data on along every link (`parity.md` P16).
    Fork,
    /// Passes the data on along the links of one port (`parity.md` P44-P51).
    Router(Router),
    /// Runs a task, or passes data on in a task's place.
    Task(Task),
}

/// Chooses a port by the value of one entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Router {
    /// The entry that is looked at.
    pub item: String,
    /// The values that have a port; anything else goes to the port "other".
    pub ports: Vec<Value>,
}

/// The port of a router that a link leaves from.
#[derive(Clone, Debug, PartialEq)]
pub enum Port {
    /// Taken when the router's entry has this value.
    Value(Value),
    /// Taken when the entry is missing or matches no port of its own.
    Other,
}

/// A task actor.
#[derive(Clone, Debug)]
pub struct Task {
    /// What is done at each trigger.
    pub work: Work,
    /// Inputs that anything that arrives overrides (ewoks `default_inputs`).
    pub defaults: Data,
    /// What goes on to the actors after it.
    pub passing: Passing,
}

/// What a task actor does at each trigger.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// An attempt on the pool.
    Attempt(TaskSpec),
    /// Nothing: the inputs are the result (ewoks `ppfport`).
    Identity,
}

/// What a task actor hands on after an attempt succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// The inputs, with the result on top (`parity.md` P32): the rule of workflows built from code.
    Merged,
    /// The result alone (`parity.md` P144): ewoks `method` and `script`.
    Result,
    /// The one entry `_ppfdict`: the inputs, with the entries of an incoming `_ppfdict` on top, with the result on top
    /// of these: ewoks `ppfmethod` and `ppfport`.
    Dict,
}

/// One link: what triggers its target, and with what.
#[derive(Clone, Debug)]
pub struct Link {
    /// For a link that leaves a router: which port.
    pub port: Option<Port>,
    /// All must hold for the link to be taken.
    pub conditions: Vec<Condition>,
    /// What the target gets.
    pub mapping: Mapping,
    /// How arrivals on this link merge with the target's others.
    pub arrival: Arrival,
}

/// What the target of a link gets of the data that its source hands on.
#[derive(Clone, Debug, PartialEq)]
pub enum Mapping {
    /// Everything, by the same names.
    All,
    /// The named outputs, under new names; empty: nothing, the link only triggers.
    Fields(Vec<FieldMap>),
}

/// One entry of a data mapping: from the source's output to the target's input.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldMap {
    /// The output of the source.
    pub source: Key,
    /// The input of the target.
    pub target: Key,
}

/// How what arrives on a link merges with what arrives on the target's other links (`ewoks_format.md`, "Execution";
/// `parity.md` P147, P148).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Runs the target at once, with this link's data alone: the rule of workflows built from code (`parity.md` P7).
    Direct,
    /// The run's own inputs to an ewoks start node: kept, below everything that arrives on other links.
    Start,
    /// Must have delivered before the target runs; its last data is kept for ever.
    Required,
    /// Runs the target once the required links have delivered.
    Optional {
        /// Whether its last data is kept for later runs of the target.
        cached: bool,
    },
}

/// Why a graph can't be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GraphError {
    /// Two actors of one name.
    #[error("there are two actors named {0:?}: give each a name of its own")]
    DuplicateName(String),
    /// A start or stop actor too many.
    #[error("the graph already has a {kind} actor, {first:?}: connect to that one instead of adding {second:?}")]
    Second {
        /// "start" or "stop".
        kind: &'static str,
        /// The name of the one that is there.
        first: String,
        /// The name of the one that was to be added.
        second: String,
    },
    /// A link whose end is not an actor of this graph.
    #[error("the link's {end} is not an actor of this graph")]
    ForeignActor {
        /// "source" or "target".
        end: &'static str,
    },
    /// A link out of the stop actor, or into the start actor.
    #[error("{0}")]
    Misplaced(String),
    /// A port that the router does not have.
    #[error("port {port} is not defined for router actor {router:?}; it has {ports}")]
    UnknownPort {
        /// The router's name.
        router: String,
        /// The port asked for.
        port: String,
        /// The ports there are.
        ports: String,
    },
}

/// Actors and links.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// What the graph is called.
    pub name: String,
    graph: DiGraph<Actor, Link>,
    by_name: HashMap<String, ActorId>,
    start: Option<ActorId>,
    stop: Option<ActorId>,
}

impl Graph {
    /// A graph without an actor.
    pub fn new(name: impl Into<String>) -> Self {
        Graph { name: name.into(), ..Self::default() }
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
        self.graph.node_weights().enumerate().map(|(index, actor)| (ActorId(index as u32), actor))
    }

    /// Every link with its source and target, in the order in which they were added.
    pub fn links(&self) -> impl Iterator<Item = (LinkId, ActorId, ActorId, &Link)> {
        self.graph.raw_edges().iter().enumerate().map(|(index, edge)| {
            let source = ActorId(edge.source().index() as u32);
            let target = ActorId(edge.target().index() as u32);
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

    fn adjacent(&self, id: ActorId, direction: Direction) -> Vec<(LinkId, ActorId)> {
        let mut links: Vec<_> = self
            .graph
            .edges_directed(NodeIndex::new(id.index()), direction)
            .map(|edge| {
                let other = if direction == Direction::Outgoing { edge.target() } else { edge.source() };
                (LinkId(edge.id().index() as u32), ActorId(other.index() as u32))
            })
            .collect();
        links.sort_unstable();
        links
    }
}
