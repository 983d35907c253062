//! [`NestedGraphs`]: the graph nodes of a graph, and how links and attributes reach into the graphs that they name.

use std::collections::HashMap;

use pushflow_model::{Map, Value};

use super::attributes;
use super::error::{Element, LoadResult};
use super::fields::Fields;
use super::raw::{RawLink, RawNode, joined_id, nested_id};

/// The attributes that the input nodes of a graph get from the graph node.
const INHERITED: &[&str] = &["default_inputs", "force_start_node", "conditions_else_value", "default_error_node"];
/// The attributes of a link about its ends in graph nodes.
const SUB: &[&str] = &["sub_source", "sub_target", "sub_target_attributes"];

/// A name for a node that the links of the graph around it may use, with the id of the node itself.
#[derive(Clone)]
pub(super) struct Alias {
    pub(super) id: String,
    pub(super) node: String,
    pub(super) link_attributes: Map,
}

impl Alias {
    pub(super) fn nested_in(self, graph: &str) -> Self {
        Alias { node: nested_id(graph, &self.node), ..self }
    }
}

/// The nodes at one end of a link, each with the link attributes of the alias that leads to it.
pub(super) type Endpoints = Vec<(String, Map)>;

/// The graph nodes of one graph, in their order.
#[derive(Default)]
pub(super) struct NestedGraphs {
    graphs: Vec<NestedGraph>,
    by_id: HashMap<String, usize>,
}

struct NestedGraph {
    node: RawNode,
    inputs: Vec<Alias>,
    outputs: Vec<Alias>,
}

impl NestedGraphs {
    pub(super) fn add(&mut self, node: RawNode, inputs: Vec<Alias>, outputs: Vec<Alias>) {
        self.by_id.insert(node.id.clone(), self.graphs.len());
        self.graphs.push(NestedGraph { node, inputs, outputs });
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// Gives the input nodes of each graph the attributes of its graph node.
    pub(super) fn update_inputs(&self, nodes: &mut [RawNode], positions: &HashMap<String, usize>) -> LoadResult<()> {
        for NestedGraph { node, inputs, .. } in &self.graphs {
            let inherited = node.attributes.iter().filter(|(name, _)| INHERITED.contains(&name.as_str()));
            let inherited: Map = inherited.map(|(name, value)| (name.clone(), value.clone())).collect();
            for alias in inputs.iter().filter(|_| !inherited.is_empty()) {
                let Some(&position) = positions.get(&alias.node) else {
                    let message = format!("its input {:?} names no node of the graph, {:?}", alias.id, alias.node);
                    return Err(node.location.invalid(message));
                };
                replace(&mut nodes[position].attributes, &inherited);
            }
        }
        Ok(())
    }

    /// Sorts the links that reach into nested graphs as ewoks does: for each graph first the links into it, then those
    /// out of it.
    pub(super) fn in_order(&self, links: Vec<RawLink>) -> Vec<RawLink> {
        let rank = |link: &RawLink| {
            let into = self.by_id.get(&link.target).map(|&graph| (graph, 0));
            let out_of = self.by_id.get(&link.source).map(|&graph| (graph, 1));
            into.into_iter().chain(out_of).min()
        };
        let mut links = links;
        links.sort_by_key(rank);
        links
    }

    /// The nodes at which a link with an end in a nested graph begins, and those at which it ends.
    pub(super) fn endpoints(&self, link: &RawLink) -> LoadResult<(Endpoints, Endpoints)> {
        Ok((
            self.endpoints_at(link, "source", "sub_source", false)?,
            self.endpoints_at(link, "target", "sub_target", true)?,
        ))
    }

    /// The links between nodes that stand for a link with an end in a nested graph.
    pub(super) fn expand(
        &self,
        link: RawLink,
        (sources, targets): (Endpoints, Endpoints),
        nodes: &mut [RawNode],
        positions: &HashMap<String, usize>,
    ) -> LoadResult<Vec<RawLink>> {
        let mut own = link.attributes.clone();
        SUB.iter().for_each(|name| _ = own.shift_remove(*name));
        let mut expanded = Vec::new();
        for (source, below) in &sources {
            for (target, above) in &targets {
                let element = Element::Link { source: source.clone(), target: target.clone() };
                expanded.push(RawLink {
                    source: source.clone(),
                    target: target.clone(),
                    attributes: merged(merged(below.clone(), above), &own),
                    location: link.location.named(element),
                });
            }
        }
        expanded.iter().try_for_each(|link| link.check_ends(positions))?;
        if let Some(attributes) = self.target_attributes(&link)? {
            targets.iter().for_each(|(target, _)| replace(&mut nodes[positions[target]].attributes, attributes));
        }
        Ok(expanded)
    }

    /// The nodes that a node id or alias of a nested graph stands for, each with the link attributes of the alias.
    pub(super) fn endpoints_of(&self, graph: &str, node: &str, is_input: bool) -> Endpoints {
        let aliases = self.by_id.get(graph).map(|&graph| &self.graphs[graph]);
        let aliases = aliases.map_or(&[][..], |graph| if is_input { &graph.inputs } else { &graph.outputs });
        let found = aliases.iter().filter(|alias| alias.id == node);
        let found: Vec<_> = found.map(|alias| (alias.node.clone(), alias.link_attributes.clone())).collect();
        if found.is_empty() { vec![(nested_id(graph, node), Map::default())] } else { found }
    }

    fn endpoints_at(
        &self,
        link: &RawLink,
        end: &'static str,
        sub: &'static str,
        is_target: bool,
    ) -> LoadResult<Endpoints> {
        let id = if is_target { &link.target } else { &link.source };
        if !self.contains(id) {
            self.refuse_sub_attributes(link, !is_target, is_target)?;
            return Ok(vec![(id.clone(), Map::default())]);
        }
        let fields = Fields::of_map(&link.attributes, link.location.clone());
        let Some(node) = fields.get(sub) else {
            let message = format!("the {end} {id:?} is a graph; say which of its nodes with {sub:?}");
            return Err(link.location.invalid(message));
        };
        Ok(self.endpoints_of(id, &joined_id(node, sub, &fields)?, is_target))
    }

    /// Refuses the attributes that only a link with an end in a nested graph may have.
    pub(super) fn refuse_sub_attributes(&self, link: &RawLink, of_source: bool, of_target: bool) -> LoadResult<()> {
        if !SUB.iter().any(|name| link.attributes.contains_key(*name)) {
            return Ok(());
        }
        let fields = Fields::of_map(&link.attributes, link.location.clone());
        for (name, end, is_asked) in
            [(SUB[0], "source", of_source), (SUB[1], "target", of_target), (SUB[2], "target", of_target)]
        {
            if is_asked && fields.get(name).is_some_and(|value| !is_empty_map(value)) {
                let id = if end == "source" { &link.source } else { &link.target };
                return Err(fields.wrong(name, format!("the {end} {id:?} is no graph; leave {name:?} out")));
            }
        }
        Ok(())
    }

    /// The attributes that a link gives its target.
    fn target_attributes<'a>(&self, link: &'a RawLink) -> LoadResult<Option<&'a Map>> {
        let fields = Fields::of_map(&link.attributes, link.location.clone());
        let attributes = fields.object(SUB[2])?;
        attributes.refuse_misspelt(&[attributes::NODE, attributes::TASK])?;
        Ok(fields.get(SUB[2]).and_then(Value::as_map))
    }
}

fn is_empty_map(value: &Value) -> bool {
    value.as_map().is_some_and(|map| map.is_empty())
}

/// Replaces attributes. A map is replaced entry by entry.
fn replace(attributes: &mut Map, by: &Map) {
    for (name, value) in by.iter() {
        match (attributes.get_mut(name), value) {
            (Some(Value::Map(old)), Value::Map(new)) => replace(old, new),
            _ => _ = attributes.insert(name.clone(), value.clone()),
        }
    }
}

/// The attributes of both maps; those of `above` override the others.
pub(super) fn merged(mut below: Map, above: &Map) -> Map {
    below.extend(above.iter().map(|(name, value)| (name.clone(), value.clone())));
    below
}
