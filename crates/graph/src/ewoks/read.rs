//! Reads the attributes of nodes and links, and checks the rules about a single node or link.

use std::collections::HashMap;

use pushflow_model::{Data, Key, Value};

use super::error::{Element, LoadResult};
use super::fields::Fields;
use super::flatten::FlatGraph;
use super::location::Location;
use super::raw::{RawLink, RawNode};
use super::settings::{self, NodeSettings};
use super::{attributes, parameters, task};
use crate::{Passing, RunSettings, Work};

/// A graph whose attributes have been read.
pub(super) struct Entries {
    /// The graph's label, else its id.
    pub(super) name: String,
    pub(super) nodes: Vec<NodeEntry>,
    pub(super) links: Vec<LinkEntry>,
    pub(super) settings: RunSettings,
    pub(super) location: Location,
}

/// One node.
pub(super) struct NodeEntry {
    pub(super) id: String,
    pub(super) label: Option<String>,
    /// The identifier of the task, as the file has it.
    pub(super) identifier: Option<String>,
    pub(super) work: Work,
    pub(super) passing: Passing,
    pub(super) defaults: Data,
    pub(super) force_start: bool,
    pub(super) else_value: Value,
    pub(super) settings: NodeSettings,
    pub(super) location: Location,
}

impl NodeEntry {
    /// The label of the node, else its id.
    pub(super) fn name(&self) -> &str {
        self.label.as_ref().unwrap_or(&self.id)
    }
}

/// One link, with the positions of its nodes.
pub(super) struct LinkEntry {
    pub(super) source: usize,
    pub(super) target: usize,
    pub(super) map_all_data: Option<bool>,
    /// Pairs of output and input.
    pub(super) data_mapping: Vec<(Key, Key)>,
    /// Pairs of output and value.
    pub(super) conditions: Vec<(String, Value)>,
    pub(super) on_error: Option<bool>,
    pub(super) required: Option<bool>,
    pub(super) cache_if_optional: Option<bool>,
    pub(super) location: Location,
}

impl LinkEntry {
    /// Whether the link is taken when its source fails, and only then.
    pub(super) fn is_on_error(&self) -> bool {
        self.on_error == Some(true)
    }
}

/// Reads the nodes and links.
pub(super) fn entries(graph: FlatGraph) -> LoadResult<Entries> {
    let FlatGraph { name, nodes, links, settings, location, .. } = graph;
    let positions: HashMap<&str, usize> =
        nodes.iter().enumerate().map(|(position, node)| (node.id.as_str(), position)).collect();
    let links = links.iter().map(|entry| link(entry, &positions)).collect::<LoadResult<_>>()?;
    let settings = settings::of_graph(&Fields::of_map(&settings, location.attribute(settings::KEY)))?;
    Ok(Entries { name, nodes: nodes.iter().map(node).collect::<LoadResult<_>>()?, links, settings, location })
}

fn node(RawNode { id, attributes, location }: &RawNode) -> LoadResult<NodeEntry> {
    let fields = Fields::of_map(attributes, location.clone());
    fields.refuse_misspelt(&[attributes::NODE, attributes::TASK])?;
    let (work, passing) = task::work(id, &fields)?;
    let else_value = fields.get("conditions_else_value").cloned().unwrap_or_default();
    parameters::check_comparable(&else_value, "conditions_else_value", &fields)?;
    let settings = settings::of_node(&fields)?;
    if work == Work::Identity
        && let Some(setting) = settings.for_tasks()
    {
        let message = format!("a node that runs no task can't have {setting:?}; leave it out");
        return Err(fields.wrong(settings::KEY, message));
    }
    Ok(NodeEntry {
        label: fields.text("label")?.map(str::to_owned),
        identifier: task::identifier(&fields),
        work,
        passing,
        defaults: parameters::default_inputs(&fields)?,
        force_start: fields.boolean("force_start_node")?.unwrap_or(false),
        else_value,
        settings,
        id: id.clone(),
        location: location.clone(),
    })
}

fn link(link: &RawLink, positions: &HashMap<&str, usize>) -> LoadResult<LinkEntry> {
    let RawLink { source, target, attributes, location } = link;
    let element = Element::Link { source: source.clone(), target: target.clone() };
    let fields = Fields::of_map(attributes, location.named(element));
    fields.refuse_misspelt(&[attributes::LINK])?;
    let position =
        |id: &str| *positions.get(id).expect("the ends of links were looked at when the graph was put together");
    Ok(LinkEntry {
        source: position(source),
        target: position(target),
        map_all_data: fields.boolean("map_all_data")?,
        data_mapping: parameters::data_mapping(&fields)?,
        conditions: parameters::conditions(&fields)?,
        on_error: fields.boolean("on_error")?,
        required: fields.boolean("required")?,
        cache_if_optional: fields.boolean("cache_if_optional")?,
        location: fields.location,
    })
}
