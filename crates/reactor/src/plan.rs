//! [`Plan`]: the graph of a run, compiled once. It has for each actor its links out, in flat memory and in the order in
//! which the run takes them, the handlers of its failures, and the slots for its arrivals.

use std::collections::HashMap;
use std::sync::Arc;

use pushflow_graph::{Actor, ActorId, ActorKind, Arrival, Graph, Link, LinkId, Mapping, Router};
use pushflow_model::{Data, Key, TaskError};

use super::error_data::ErrorKeys;
use super::handlers::Handlers;
use super::join::Join;
use super::links::{Delivery, InputSlot, OutLink};
use super::merge::{InputState, Merge};
use super::missing_data;
use super::router_ports::RouterPorts;

/// The entry in which ppf nodes hand on everything (`docs/ewoks.md`).
const TRAVELLING: &str = "_ppfdict";

/// The graph of a run, with what the run looks up often.
#[derive(Debug)]
pub(super) struct Plan {
    graph: Arc<Graph>,
    nodes: Vec<Node>,
    out_links: Vec<OutLink>,
    /// One for each router.
    ports: Vec<RouterPorts>,
    /// The actors that keep arrivals, in the order of their [`InputState`]s.
    stateful_actors: Vec<ActorId>,
    handlers: Handlers,
    /// The key of [`TRAVELLING`], made once.
    pub(super) travelling: Key,
    /// Whether a task of the graph may hand on `MISSING_DATA`; see `missing_data`.
    pub(super) may_miss: bool,
    pub(super) error_keys: ErrorKeys,
}

/// One actor.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// The index of its first link out. The links are in connect order, a router's grouped by port; error links are
    /// last.
    first: u32,
    /// The index of its first error link.
    errors: u32,
    end: u32,
    /// The index of its ports, if it is a router.
    ports: u32,
    /// The index of its input state, if it keeps arrivals.
    input_state: u32,
}

/// How many slots of each kind an actor has that keeps arrivals.
#[derive(Debug, Default)]
struct SlotCounts {
    required: usize,
    cached: usize,
    joined: usize,
}

impl Plan {
    pub(super) fn new(graph: Arc<Graph>) -> Self {
        let mut plan = Plan {
            nodes: vec![Node::default(); graph.actor_count()],
            out_links: Vec::with_capacity(graph.link_count()),
            ports: Vec::new(),
            stateful_actors: Vec::new(),
            handlers: Handlers::new(&graph),
            travelling: Key::from(TRAVELLING),
            may_miss: missing_data::is_possible(&graph),
            error_keys: ErrorKeys::new(),
            graph: graph.clone(),
        };
        let deliveries = plan.deliveries();
        for (id, actor) in graph.actors() {
            plan.add_out_links(id, actor, &deliveries);
        }
        plan
    }

    /// How the data of each link reaches its target. Also finds the actors that keep arrivals.
    fn deliveries(&mut self) -> Vec<Delivery> {
        let graph = self.graph.clone();
        let mut counts: HashMap<ActorId, SlotCounts> = HashMap::new();
        let delivery = |(_, source, target, link): (LinkId, ActorId, ActorId, &Link)| {
            let slot = match graph.actor(target).kind {
                ActorKind::Stop => return Delivery::End(source),
                ActorKind::Join => counts.entry(target).or_default().joined_slot(),
                _ if link.arrival == Arrival::Direct => return Delivery::Direct,
                _ => counts.entry(target).or_default().slot(link.arrival),
            };
            Delivery::Kept(slot)
        };
        let deliveries = graph.links().map(delivery).collect();
        self.stateful_actors = counts.into_keys().collect();
        self.stateful_actors.sort_unstable();
        deliveries
    }

    fn add_out_links(&mut self, id: ActorId, actor: &Actor, deliveries: &[Delivery]) {
        let first = self.out_links.len();
        let (on_error, usual): (Vec<_>, Vec<_>) =
            self.graph.outgoing(id).into_iter().partition(|&(link, _)| self.graph.link(link).on_error);
        let errors = first + usual.len();
        for (link, target) in usual.into_iter().chain(on_error) {
            let Link { conditions, mapping, .. } = self.graph.link(link);
            let plain = conditions.is_empty() && *mapping == Mapping::All;
            self.out_links.push(OutLink { link, target, delivery: deliveries[link.index()], plain });
        }
        let small = |index: usize| u32::try_from(index).expect("actors and links are counted in 32 bits");
        self.nodes[id.index()] = Node {
            first: small(first),
            errors: small(errors),
            end: small(self.out_links.len()),
            ports: small(self.ports.len()),
            input_state: small(self.stateful_actors.binary_search(&id).unwrap_or_default()),
        };
        if matches!(actor.kind, ActorKind::Router(_)) {
            self.ports.push(RouterPorts::group(&self.graph, &mut self.out_links[first..errors], first));
        }
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(super) fn actor(&self, id: ActorId) -> &Actor {
        self.graph.actor(id)
    }

    /// The input states at the begin of a run, in the order of [`Plan::stateful_actors`].
    pub(super) fn input_states(&self) -> Vec<InputState> {
        self.stateful_actors.iter().map(|&id| self.input_state(id)).collect()
    }

    fn input_state(&self, id: ActorId) -> InputState {
        let incoming = self.graph.incoming(id);
        if matches!(self.actor(id).kind, ActorKind::Join) {
            return InputState::Join(Join::new(incoming.len()));
        }
        let count = |wanted: fn(Arrival) -> bool| {
            incoming.iter().filter(|(link, _)| wanted(self.graph.link(*link).arrival)).count()
        };
        InputState::Merge(Merge::new(
            count(|arrival| arrival == Arrival::Required),
            count(|arrival| arrival == Arrival::Optional { cached: true }),
        ))
    }

    /// The index among [`Plan::input_states`] of an actor that keeps arrivals.
    pub(super) fn input_state_index(&self, id: ActorId) -> usize {
        self.nodes[id.index()].input_state as usize
    }

    /// The actors that keep arrivals, in the order of [`Plan::input_states`].
    pub(super) fn stateful_actors(&self) -> &[ActorId] {
        &self.stateful_actors
    }

    /// The links that are taken when an actor is done.
    pub(super) fn out_links(&self, id: ActorId) -> &[OutLink] {
        let node = &self.nodes[id.index()];
        &self.out_links[node.first as usize..node.errors as usize]
    }

    /// The links that are taken when an actor fails.
    pub(super) fn error_links(&self, id: ActorId) -> &[OutLink] {
        let node = &self.nodes[id.index()];
        &self.out_links[node.errors as usize..node.end as usize]
    }

    /// The handlers in the scopes of an actor that its failure triggers.
    pub(super) fn scope_handlers(&self, id: ActorId) -> impl Iterator<Item = ActorId> {
        self.handlers.scope_handlers(id)
    }

    /// Whether a failure of the actor may trigger another actor.
    pub(super) fn has_error_path(&self, id: ActorId) -> bool {
        !self.error_links(id).is_empty() || self.scope_handlers(id).next().is_some()
    }

    /// The links of the port by which this data leaves a router.
    pub(super) fn links_of_port(&self, id: ActorId, router: &Router, data: &Data) -> Result<&[OutLink], TaskError> {
        let ports = &self.ports[self.nodes[id.index()].ports as usize];
        Ok(&self.out_links[ports.choose(router, data)?])
    }
}

impl SlotCounts {
    /// A place for what arrives on one more link.
    fn slot(&mut self, arrival: Arrival) -> InputSlot {
        match arrival {
            Arrival::Direct | Arrival::Optional { cached: false } => InputSlot::Loose,
            Arrival::Start => InputSlot::Start,
            Arrival::Required => InputSlot::Required(next(&mut self.required)),
            Arrival::Optional { cached: true } => InputSlot::Cached(next(&mut self.cached)),
        }
    }

    /// A place for what arrives on one more link of a join.
    fn joined_slot(&mut self) -> InputSlot {
        InputSlot::Joined(next(&mut self.joined))
    }
}

fn next(count: &mut usize) -> u32 {
    *count += 1;
    u32::try_from(*count - 1).expect("a graph's links are counted in 32 bits")
}
