//! From the JSON document to nodes and links: every attribute read, every rule on a single node or link checked.

use std::collections::HashMap;

use pushflow_value::{Data, Key, Value};

use super::error::{Place, Problem};
use super::fields::Fields;
use super::file::Folders;
use super::{items, task};
use crate::nearest::did_you_mean;
use crate::{Passing, Work};

/// The document as far as this version understands it.
pub(super) struct Entries {
    /// The graph's label, else its id.
    pub(super) name: String,
    pub(super) nodes: Vec<NodeEntry>,
    pub(super) links: Vec<LinkEntry>,
}

/// One node.
pub(super) struct NodeEntry {
    pub(super) id: String,
    pub(super) label: Option<String>,
    pub(super) work: Work,
    pub(super) passing: Passing,
    pub(super) defaults: Data,
    pub(super) force_start: bool,
    pub(super) else_value: Value,
}

/// One link, between nodes by their position.
pub(super) struct LinkEntry {
    pub(super) source: usize,
    pub(super) target: usize,
    pub(super) map_all_data: Option<bool>,
    /// Pairs of output and input.
    pub(super) data_mapping: Vec<(Key, Key)>,
    /// Pairs of output and value.
    pub(super) conditions: Vec<(String, Value)>,
    pub(super) required: Option<bool>,
    pub(super) cache_if_optional: Option<bool>,
}

const TOP_LEVEL: &[&str] = &["graph", "nodes", "links", "directed", "multigraph"];
const GRAPH: &[&str] = &["id", "label", "schema_version", "requirements"];
const UNSUPPORTED_IN_GRAPH: &[&str] = &["input_nodes", "output_nodes"];
const NODE: &[&str] = &["id", "label", "default_inputs", "force_start_node", "conditions_else_value"];
const UNSUPPORTED_IN_NODE: &[&str] = &["default_error_node", "default_error_attributes"];
const LINK: &[&str] =
    &["source", "target", "map_all_data", "data_mapping", "conditions", "required", "cache_if_optional"];
const UNSUPPORTED_IN_LINK: &[&str] = &["on_error", "sub_source", "sub_target", "sub_target_attributes"];
const SCHEMA_VERSIONS: &[&str] = &["1.0", "1.1", "1.2"];

/// Reads the document.
pub(super) fn entries(document: &Value, folders: &Folders) -> Result<Entries, Problem> {
    let top = Fields::of(document, Place::Graph)?;
    check_top_level(&top)?;
    let name = graph_name(&top)?;
    let nodes: Vec<NodeEntry> =
        top.objects("nodes", Place::NodeNumber)?.map(|fields| node(fields?, folders)).collect::<Result<_, _>>()?;
    let positions = positions(&nodes)?;
    let links = top.objects("links", Place::LinkNumber)?.map(|fields| link(fields?, &positions));
    Ok(Entries { name, links: links.collect::<Result<_, _>>()?, nodes })
}

fn check_top_level(top: &Fields<'_>) -> Result<(), Problem> {
    top.refuse_unsupported(&["__ewoks_serialize__"])?;
    if top.get("edges").is_some() {
        return Err(top.invalid("unknown attribute \"edges\"; did you mean \"links\"?"));
    }
    top.refuse_misspelt(&[TOP_LEVEL])?;
    if top.boolean("directed")? == Some(false) {
        return Err(top.invalid("\"directed\" is false, but every link of a graph has a direction; set it to true"));
    }
    Ok(())
}

/// Checks the graph's own attributes; its label, else its id, is its name.
fn graph_name(top: &Fields<'_>) -> Result<String, Problem> {
    let graph = match top.get("graph") {
        Some(attributes) => Fields::of(attributes, Place::Graph)?,
        None => Fields::none(Place::Graph),
    };
    graph.refuse_unsupported(UNSUPPORTED_IN_GRAPH)?;
    graph.refuse_misspelt(&[GRAPH, UNSUPPORTED_IN_GRAPH])?;
    if let Some(version) = graph.text("schema_version")?
        && !SCHEMA_VERSIONS.contains(&version)
    {
        let known = SCHEMA_VERSIONS.join(", ");
        return Err(graph.invalid(format!("schema version {version:?} is unknown; this program reads {known}")));
    }
    let id = match graph.get("id") {
        Some(id) => node_id(id, "id", &graph)?,
        None => "notspecified".to_owned(),
    };
    Ok(graph.text("label")?.map_or(id, str::to_owned))
}

fn node(mut fields: Fields<'_>, folders: &Folders) -> Result<NodeEntry, Problem> {
    let id = required_id(&fields, "id", &[NODE])?;
    fields.place = Place::Node(id.clone());
    fields.refuse_unsupported(UNSUPPORTED_IN_NODE)?;
    fields.refuse_misspelt(&[NODE, task::ATTRIBUTES, UNSUPPORTED_IN_NODE])?;
    let (work, passing) = task::work(&fields, folders)?;
    let else_value = fields.get("conditions_else_value").cloned().unwrap_or_default();
    items::check_comparable(&else_value, "conditions_else_value", &fields)?;
    Ok(NodeEntry {
        label: fields.text("label")?.map(str::to_owned),
        work,
        passing,
        defaults: items::default_inputs(&fields)?,
        force_start: fields.boolean("force_start_node")?.unwrap_or(false),
        else_value,
        id,
    })
}

fn positions(nodes: &[NodeEntry]) -> Result<HashMap<&str, usize>, Problem> {
    let mut positions = HashMap::with_capacity(nodes.len());
    for (position, node) in nodes.iter().enumerate() {
        if let Some(first) = positions.insert(node.id.as_str(), position) {
            let message =
                format!("nodes number {} and {} have this id; give each an id of its own", first + 1, position + 1);
            return Err(Place::Node(node.id.clone()).invalid(message));
        }
    }
    Ok(positions)
}

fn link(mut fields: Fields<'_>, nodes: &HashMap<&str, usize>) -> Result<LinkEntry, Problem> {
    let source_id = required_id(&fields, "source", &[LINK])?;
    let target_id = required_id(&fields, "target", &[LINK])?;
    fields.place = Place::Link { source: source_id.clone(), target: target_id.clone() };
    fields.refuse_unsupported(UNSUPPORTED_IN_LINK)?;
    fields.refuse_misspelt(&[LINK, UNSUPPORTED_IN_LINK])?;
    Ok(LinkEntry {
        source: end("source", &source_id, &fields, nodes)?,
        target: end("target", &target_id, &fields, nodes)?,
        map_all_data: fields.boolean("map_all_data")?,
        data_mapping: items::data_mapping(&fields)?,
        conditions: items::conditions(&fields)?,
        required: fields.boolean("required")?,
        cache_if_optional: fields.boolean("cache_if_optional")?,
    })
}

fn end(attribute: &str, id: &str, fields: &Fields<'_>, nodes: &HashMap<&str, usize>) -> Result<usize, Problem> {
    nodes.get(id).copied().ok_or_else(|| {
        let mut ids: Vec<&str> = nodes.keys().copied().collect();
        ids.sort_unstable();
        fields.invalid(format!("{attribute:?} names no node of the graph{}", did_you_mean(id, ids)))
    })
}

/// An id that must be there; where it is not, an attribute with nearly that name is the likely reason.
fn required_id(fields: &Fields<'_>, name: &str, known: &[&[&str]]) -> Result<String, Problem> {
    match fields.get(name) {
        Some(id) => node_id(id, name, fields),
        None => {
            fields.refuse_misspelt(known)?;
            Err(fields.missing(name))
        }
    }
}

/// The id of a node as text; a whole number in decimal.
fn node_id(value: &Value, name: &str, fields: &Fields<'_>) -> Result<String, Problem> {
    match value {
        Value::Str(id) => Ok(id.clone()),
        Value::Int(number) => Ok(number.to_string()),
        Value::List(_) => Err(fields.place.unsupported(format!("a nested id, as in {name:?},"))),
        other => Err(fields.invalid(format!("{name:?} must be a text, not {}", other.type_name()))),
    }
}
