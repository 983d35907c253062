//! [`Plan`]: the graph of a run, compiled once: for each actor its links out, in flat memory and in the order to take
//! them.

use std::ops::Range;
use std::sync::Arc;

use pushflow_graph::{Actor, ActorId, ActorKind, Arrival, Graph, Link, LinkId, Mapping, Router};
use pushflow_protocol::TaskError;
use pushflow_value::{Data, Key};

use super::arrive::Merge;
use super::route::Ports;

/// The entry in which ppf nodes hand on everything (`ewoks_format.md`, `ppfmethod`).
const TRAVELLING: &str = "_ppfdict";

/// The graph of a run and what follows from it.
#[derive(Debug)]
pub(super) struct Plan {
    graph: Arc<Graph>,
    nodes: Vec<Node>,
    exits: Vec<Exit>,
    /// The key of [`TRAVELLING`], made once.
    pub(super) travelling: Key,
}

/// One actor.
#[derive(Debug)]
struct Node {
    /// Its links out, in connect order; a router's grouped by port.
    exits: Range<usize>,
    ports: Option<Ports>,
    required: usize,
    cached: usize,
}

/// One link out of an actor.
#[derive(Debug)]
pub(super) struct Exit {
    pub(super) link: LinkId,
    pub(super) target: ActorId,
    pub(super) way: Way,
    /// Whether it is always taken and hands on everything, so that nobody need look at the link itself.
    pub(super) plain: bool,
}

/// What becomes of what arrives on a link: an [`Arrival`], with the place where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It runs the target at once.
    Direct,
    /// It is merged with what the target keeps there.
    Kept(Place),
}

/// Where an actor keeps what arrives on one of its links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// With the run's own inputs.
    Start,
    /// As the latest of the required link of this number.
    Required(u32),
    /// As the latest of the cached optional link of this number.
    Cached(u32),
    /// As one of the arrivals on optional links that are not cached.
    Loose,
}

impl Plan {
    pub(super) fn new(graph: Arc<Graph>) -> Self {
        let mut nodes: Vec<Node> =
            (0..graph.actor_count()).map(|_| Node { exits: 0..0, ports: None, required: 0, cached: 0 }).collect();
        let ways: Vec<Way> =
            graph.links().map(|(_, _, target, link)| nodes[target.index()].way(link.arrival)).collect();
        let mut exits = Vec::with_capacity(graph.link_count());
        for (id, actor) in graph.actors() {
            let first = exits.len();
            exits.extend(graph.outgoing(id).into_iter().map(|(link, target)| {
                let Link { conditions, mapping, .. } = graph.link(link);
                let plain = conditions.is_empty() && *mapping == Mapping::All;
                Exit { link, target, way: ways[link.index()], plain }
            }));
            let node = &mut nodes[id.index()];
            node.exits = first..exits.len();
            if matches!(actor.kind, ActorKind::Router(_)) {
                node.ports = Some(Ports::group(&graph, &mut exits[first..], first));
            }
        }
        Plan { graph, nodes, exits, travelling: Key::from(TRAVELLING) }
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(super) fn actor(&self, id: ActorId) -> &Actor {
        self.graph.actor(id)
    }

    /// What each actor keeps of its arrivals, before there are any.
    pub(super) fn merges(&self) -> Vec<Merge> {
        self.nodes.iter().map(|node| Merge::new(node.required, node.cached)).collect()
    }

    /// The links out of an actor.
    pub(super) fn exits(&self, id: ActorId) -> &[Exit] {
        &self.exits[self.nodes[id.index()].exits.clone()]
    }

    /// The links out of a router that this data leaves by.
    pub(super) fn chosen_exits(&self, id: ActorId, router: &Router, data: &Data) -> Result<&[Exit], TaskError> {
        let ports = self.nodes[id.index()].ports.as_ref().expect("only a router chooses, and each has ports");
        Ok(&self.exits[ports.choose(router, data)?])
    }
}

impl Node {
    /// A place for one more link into this actor.
    fn way(&mut self, arrival: Arrival) -> Way {
        let next = |count: &mut usize| {
            *count += 1;
            u32::try_from(*count - 1).expect("a graph's links are counted in 32 bits")
        };
        Way::Kept(match arrival {
            Arrival::Direct => return Way::Direct,
            Arrival::Start => Place::Start,
            Arrival::Required => Place::Required(next(&mut self.required)),
            Arrival::Optional { cached: true } => Place::Cached(next(&mut self.cached)),
            Arrival::Optional { cached: false } => Place::Loose,
        })
    }
}
