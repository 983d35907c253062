//! Flattens a graph file: replaces its graph nodes by their contents. The code is a slow and literal reading of the
//! rules of the format, and shares nothing with the engines that are compared with it.
//!
//! A graph that can't be compared is left out, with the reason ([`LeftOut`]). A graph for which the two engines are
//! known to differ is not run by the original ([`Known`]).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::analyse::{finish, links_of};
use super::census::inner;
use super::tasks::{Data, Form};

/// Why a graph is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// The graph is refused, for example because an attribute has two values, or because an end of a link is missing.
    Refused,
    /// The graph has no start node or no end node, and is refused.
    NoEnds,
    /// A link names an output that its source has not made (`docs/ewoks.md`).
    MissingOutput,
    /// Python can't look up the value that a condition tests in a set.
    Unhashable,
    /// The graph does not end, or does not end soon.
    Endless,
    /// The values on the links get too long.
    TooLong,
    /// The tasks can end in too many orders to try them all.
    TooManyOrders,
    /// The outcome depends on the order in which tasks end.
    Timing,
}

/// The reason why the original does something else than pushflow (`docs/ewoks.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// Of parallel links into or out of a nested graph, the original keeps only the last one.
    ParallelAcross,
    /// The original connects default handlers before it looks at the links into and out of nested graphs.
    EarlyHandlers,
    /// The original checks a nested graph by itself, and a graph before it has its links into and out of nested graphs.
    /// It refuses the graph if two required links then fill the same input, although not both are required once all
    /// links are there.
    RefusedAlone,
    /// Several nodes that get an attribute from one graph node or link share one list in the original. So an input from
    /// outside for one of these nodes, or attributes that a link gives to one of them, reach all of them.
    SharedAttributes,
    /// The original does not replace an attribute by a value that Python takes for equal (true and 1).
    EqualInPython,
    /// A link out of a nested graph gives attributes to a node of another nested graph, whose graph node comes later in
    /// the file than the link's source. In the original the attributes of that graph node then override those of the
    /// link.
    LinkBeforeGraph,
    /// If a node is triggered again before it fails, its error link carries the data of the last trigger in the
    /// original (`docs/parity.md` P33).
    OverlappingFailures,
}

/// A graph of tasks only.
#[derive(Clone, Debug, PartialEq)]
pub struct Flat {
    pub nodes: Vec<Node>,
    /// Sorted by source. The links of one source are in the order in which they are taken.
    pub links: Vec<Link>,
    pub starts: Vec<usize>,
    pub ends: Vec<usize>,
    /// The reason, if the original is known to make another graph of the file.
    pub known: Option<Known>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub id: String,
    pub form: Form,
    pub program: String,
    pub defaults: Data,
    pub otherwise: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    pub source: usize,
    pub target: usize,
    /// From output to value. Of several conditions on one output the last one counts.
    pub conditions: BTreeMap<String, Value>,
    /// All conditions that the file has, as outputs and values.
    pub named: Vec<(String, Value)>,
    pub everything: bool,
    /// From target input to source output. Of several outputs for one input the last one counts.
    pub mapping: BTreeMap<String, String>,
    /// The target inputs that the file maps an output to.
    pub filled: Vec<String>,
    pub on_error: bool,
    pub required: bool,
    pub cached: bool,
}

pub(super) type Attributes = Map<String, Value>;

#[derive(Clone)]
struct Alias {
    id: String,
    node: String,
    attributes: Attributes,
}

#[derive(Clone)]
pub(super) struct RawLink {
    pub(super) source: String,
    pub(super) target: String,
    pub(super) attributes: Attributes,
}

/// A nested graph: its id, the attributes of its graph node, and its contents.
type Sub = (String, Attributes, Level);

#[derive(Default)]
pub(super) struct Level {
    pub(super) nodes: Vec<(String, Attributes)>,
    pub(super) links: Vec<RawLink>,
    inputs: Vec<Alias>,
    outputs: Vec<Alias>,
    /// The attributes that nodes get from graph nodes and links. They replace the nodes' own.
    given: BTreeMap<String, Attributes>,
    known: BTreeSet<Known>,
}

impl Level {
    fn has(&self, id: &str) -> bool {
        self.nodes.iter().any(|(node, _)| node == id)
    }
}

/// When default error handlers are connected, in a graph that has nested graphs.
#[derive(Clone, Copy, PartialEq)]
enum Handlers {
    /// Once all links are there.
    Late,
    /// Before the links into and out of nested graphs are there, as in the original.
    Early,
}

/// Flattens the graph of a file, and gives it its inputs from outside.
pub fn flatten(graph: &Value, inputs: &[Value]) -> Result<Flat, LeftOut> {
    let late = level(graph, Handlers::Late)?;
    let flat = finish(&late, inputs)?;
    let known = late.known.iter().copied().find(|known| match known {
        Known::SharedAttributes => is_changed(graph, inputs),
        // The original checks a graph after it has connected handlers early, so the graph with early handlers decides
        // below.
        Known::RefusedAlone => false,
        _ => true,
    });
    let known = known.or_else(|| match level(graph, Handlers::Early) {
        Ok(early) if early.known.contains(&Known::RefusedAlone) => Some(Known::RefusedAlone),
        Ok(early) if finish(&early, inputs).as_ref() == Ok(&flat) => None,
        _ => Some(Known::EarlyHandlers),
    });
    Ok(Flat { known, ..flat })
}

/// Whether inputs from outside or attributes on links may change attributes that nodes share.
fn is_changed(graph: &Value, inputs: &[Value]) -> bool {
    !inputs.is_empty() || graph.to_string().contains("sub_target_attributes")
}

pub(super) fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn object(value: Option<&Value>) -> Attributes {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

/// A node id as text. The parts of a nested id are joined with colons.
pub(super) fn joined(id: &Value) -> String {
    match id {
        Value::Array(parts) => parts.iter().map(joined).collect::<Vec<_>>().join(":"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn is_true(attributes: &Attributes, name: &str) -> bool {
    attributes.get(name) == Some(&json!(true))
}

fn level(graph: &Value, when: Handlers) -> Result<Level, LeftOut> {
    let mut level = Level::default();
    let mut subs: Vec<Sub> = Vec::new();
    for node in list(graph, "nodes") {
        let attributes = object(Some(node));
        let id = joined(&node["id"]);
        if attributes["task_type"] == "graph" {
            subs.push((id, attributes.clone(), self::level(&inner(&attributes["task_identifier"]), when)?));
        } else {
            level.nodes.push((id, attributes));
        }
    }
    for (id, _, sub) in &subs {
        let inner = |name: &String| format!("{id}:{name}");
        level.nodes.extend(sub.nodes.iter().map(|(name, attributes)| (inner(name), attributes.clone())));
    }
    let is_sub = |id: &str| subs.iter().any(|(sub, ..)| sub == id);
    let (own, crossing): (Vec<_>, Vec<_>) = list(graph, "links")
        .iter()
        .map(|link| {
            let link = object(Some(link));
            RawLink { source: joined(&link["source"]), target: joined(&link["target"]), attributes: link }
        })
        .partition(|link| !is_sub(&link.source) && !is_sub(&link.target));
    level.links.extend(own);
    for (id, _, sub) in &subs {
        level.known.extend(&sub.known);
        if links_of(sub).is_err() {
            level.known.insert(Known::RefusedAlone);
        }
        let inner = |name: &String| format!("{id}:{name}");
        level.links.extend(sub.links.iter().map(|link| RawLink {
            source: inner(&link.source),
            target: inner(&link.target),
            attributes: link.attributes.clone(),
        }));
    }
    level.links = merge(level.links)?;
    if when == Handlers::Early && !subs.is_empty() {
        connect_handlers(&mut level);
        if links_of(&level).is_err() {
            level.known.insert(Known::RefusedAlone);
        }
    }
    for (id, attributes, sub) in &subs {
        hand_down(id, attributes, sub, &mut level);
    }
    for link in in_order(&crossing, &subs) {
        expand(&link, &subs, &mut level)?;
    }
    replace(&mut level);
    for (side, aliases) in [(true, "input_nodes"), (false, "output_nodes")] {
        let resolved = list(&graph["graph"], aliases).iter().flat_map(|alias| resolve(alias, &subs, side));
        let resolved: Vec<Alias> = resolved.collect();
        if resolved.iter().any(|alias| !level.has(&alias.node)) {
            return Err(LeftOut::Refused);
        }
        *if side { &mut level.inputs } else { &mut level.outputs } = resolved;
    }
    connect_handlers(&mut level);
    Ok(level)
}

/// Merges links between the same two nodes into one, at the place of the first of them.
pub(super) fn merge(links: Vec<RawLink>) -> Result<Vec<RawLink>, LeftOut> {
    let mut merged: Vec<RawLink> = Vec::new();
    for link in links {
        match merged.iter_mut().find(|other| (&other.source, &other.target) == (&link.source, &link.target)) {
            None => merged.push(link),
            Some(other) => {
                for (name, value) in link.attributes {
                    match other.attributes.get_mut(&name) {
                        None => _ = other.attributes.insert(name, value),
                        Some(old) if *old == value => {}
                        Some(Value::Array(old)) => old.extend(value.as_array().cloned().unwrap_or_default()),
                        Some(_) => return Err(LeftOut::Refused),
                    }
                }
            }
        }
    }
    Ok(merged)
}

/// Gives attributes of a graph node to its input nodes.
fn hand_down(id: &str, attributes: &Attributes, sub: &Level, level: &mut Level) {
    let names = ["default_inputs", "force_start_node", "conditions_else_value", "default_error_node"];
    let nodes: BTreeSet<&String> = sub.inputs.iter().map(|alias| &alias.node).collect();
    if nodes.len() > 1 && names.iter().any(|name| attributes.contains_key(*name)) {
        level.known.insert(Known::SharedAttributes);
    }
    for node in nodes {
        let given = level.given.entry(format!("{id}:{node}")).or_default();
        given.extend(names.iter().filter_map(|name| Some(((*name).to_owned(), attributes.get(*name)?.clone()))));
    }
}

/// Replaces attributes of nodes by those that graph nodes and links give them.
fn replace(level: &mut Level) {
    for (id, own) in &mut level.nodes {
        for (name, value) in level.given.remove(id).unwrap_or_default() {
            if own.get(&name).is_some_and(|old| *old != value && are_equal_in_python(old, &value)) {
                level.known.insert(Known::EqualInPython);
            }
            own.insert(name, value);
        }
    }
}

fn are_equal_in_python(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| value.as_bool().map(|is| f64::from(u8::from(is))).or(value.as_f64());
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| are_equal_in_python(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let equal = |(name, value)| other.get(name).is_some_and(|other| are_equal_in_python(value, other));
            one.len() == other.len() && one.iter().all(equal)
        }
        _ => one == other || number(one).is_some_and(|one| number(other) == Some(one)),
    }
}

/// The links with an end in a nested graph, in the order in which they are expanded. For each nested graph the links
/// into it come first, and then those out of it. Links with the same other end stand together.
fn in_order(crossing: &[RawLink], subs: &[Sub]) -> Vec<RawLink> {
    let mut left: Vec<&RawLink> = crossing.iter().collect();
    let mut ordered = Vec::new();
    for (sub, ..) in subs {
        for into in [true, false] {
            let near = |link: &RawLink| if into { link.target.clone() } else { link.source.clone() };
            let far = |link: &RawLink| if into { link.source.clone() } else { link.target.clone() };
            while let Some(first) = left.iter().find(|link| near(link) == *sub).map(|link| far(link)) {
                let (now, later) = left.into_iter().partition(|link| near(link) == *sub && far(link) == first);
                left = later;
                ordered.extend::<Vec<&RawLink>>(now);
            }
        }
    }
    ordered.into_iter().cloned().collect()
}

/// The nodes that a name in a nested graph stands for, each with the link attributes of its alias.
fn meant(graph: &str, name: &str, subs: &[Sub], side: bool) -> Option<Vec<(String, Attributes)>> {
    let (.., sub) = subs.iter().find(|(id, ..)| id == graph)?;
    let aliases = if side { &sub.inputs } else { &sub.outputs };
    let found = aliases.iter().filter(|alias| alias.id == name);
    let found: Vec<_> = found.map(|alias| (format!("{graph}:{}", alias.node), alias.attributes.clone())).collect();
    Some(if found.is_empty() { vec![(format!("{graph}:{name}"), Attributes::new())] } else { found })
}

fn expand(link: &RawLink, subs: &[Sub], level: &mut Level) -> Result<(), LeftOut> {
    let end = |id: &String, sub: &str, side: bool| {
        let name = link.attributes.get(sub).map(joined).unwrap_or_default();
        meant(id, &name, subs, side).unwrap_or_else(|| vec![(id.clone(), Attributes::new())])
    };
    let own = link.attributes.iter().filter(|(name, _)| !name.starts_with("sub_"));
    let own: Attributes = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    let has_several = end(&link.target, "sub_target", true).len() > 1;
    if has_several && link.attributes.contains_key("sub_target_attributes") {
        level.known.insert(Known::SharedAttributes);
    }
    let place = |id: &String| subs.iter().position(|(sub, ..)| sub == id);
    let comes_early = place(&link.source).is_some_and(|source| place(&link.target) > Some(source));
    for (source, below) in end(&link.source, "sub_source", false) {
        for (target, above) in end(&link.target, "sub_target", true) {
            let mut attributes = below.clone();
            attributes.extend(above);
            attributes.extend(own.clone());
            if level.links.iter().any(|other| other.source == source && other.target == target) {
                level.known.insert(Known::ParallelAcross);
            }
            if !level.has(&source) || !level.has(&target) {
                return Err(LeftOut::Refused);
            }
            let replaced = object(link.attributes.get("sub_target_attributes"));
            let given = level.given.entry(target.clone()).or_default();
            if comes_early && replaced.keys().any(|name| given.contains_key(name)) {
                level.known.insert(Known::LinkBeforeGraph);
            }
            given.extend(replaced);
            level.links.push(RawLink { source: source.clone(), target, attributes });
        }
    }
    Ok(())
}

fn resolve(alias: &Value, subs: &[Sub], side: bool) -> Vec<Alias> {
    let id = joined(&alias["id"]);
    let node = joined(&alias["node"]);
    let attributes = object(alias.get("link_attributes"));
    let inner = alias.get("sub_node").map(joined).unwrap_or_default();
    let found = meant(&node, &inner, subs, side).unwrap_or_else(|| vec![(node, Attributes::new())]);
    let with = |(node, mut below): (String, Attributes)| {
        below.extend(attributes.clone());
        Alias { id: id.clone(), node, attributes: below }
    };
    found.into_iter().map(with).collect()
}

/// Links every node without an error handler to the default handlers. If every node has one, drops the default handlers
/// that no link leads to.
fn connect_handlers(level: &mut Level) {
    let mut handlers: Vec<(String, Attributes)> = Vec::new();
    for (id, attributes) in &mut level.nodes {
        let asked = attributes.remove("default_error_node");
        if asked == Some(json!(true)) {
            let mut link = object(attributes.remove("default_error_attributes").as_ref());
            link.insert("on_error".to_owned(), json!(true));
            if !link.contains_key("map_all_data") && !link.contains_key("data_mapping") {
                link.insert("map_all_data".to_owned(), json!(true));
            }
            handlers.push((id.clone(), link));
        }
    }
    let is_handler = |id: &str| handlers.iter().any(|(handler, _)| handler == id);
    let has_own = |id: &str| level.links.iter().any(|link| link.source == id && is_true(&link.attributes, "on_error"));
    let after = |id: &str| reached_from(&level.links, id).iter().any(|node| is_handler(node));
    let without = |(id, _): &&(String, Attributes)| !is_handler(id) && !has_own(id) && !after(id);
    let without: Vec<String> = level.nodes.iter().filter(without).map(|(id, _)| id.clone()).collect();
    for source in &without {
        for (target, attributes) in &handlers {
            let link = RawLink { source: source.clone(), target: target.clone(), attributes: attributes.clone() };
            level.links.push(link);
        }
    }
    if without.is_empty() && !handlers.is_empty() {
        drop_unused(level, handlers.into_iter().map(|(id, _)| id).collect());
    }
}

/// The nodes from which links lead to this one.
fn reached_from(links: &[RawLink], id: &str) -> BTreeSet<String> {
    let mut above = BTreeSet::new();
    let mut next = vec![id.to_owned()];
    while let Some(node) = next.pop() {
        for link in links.iter().filter(|link| link.target == node) {
            if above.insert(link.source.clone()) {
                next.push(link.source.clone());
            }
        }
    }
    above
}

/// Drops each of these handlers that no link leads to, and then each node that only links from dropped nodes lead to.
fn drop_unused(level: &mut Level, handlers: BTreeSet<String>) {
    let mut dropped = BTreeSet::new();
    loop {
        let led_to = |id: &str| {
            let leads = |link: &&RawLink| link.target == id && link.source != id && !dropped.contains(&link.source);
            level.links.iter().any(|link| leads(&link))
        };
        let behind = |id: &str| level.links.iter().any(|link| link.target == id && dropped.contains(&link.source));
        let unused = |id: &String| !dropped.contains(id) && (handlers.contains(id) || behind(id)) && !led_to(id);
        let Some(next) = level.nodes.iter().map(|(id, _)| id).find(|id| unused(id)).cloned() else { break };
        dropped.insert(next);
    }
    level.nodes.retain(|(id, _)| !dropped.contains(id));
    level.links.retain(|link| !dropped.contains(&link.source) && !dropped.contains(&link.target));
}
