//! Takes one graph apart into nodes, links and aliases. Their attributes are not read yet, because a graph around this
//! one may replace them.

use std::collections::HashMap;

use pushflow_model::{Map, Value, did_you_mean};

use super::error::{Element, LoadResult};
use super::fields::Fields;
use super::location::Location;
use super::{attributes, settings};

/// A graph before its graph nodes are resolved.
pub(super) struct RawGraph {
    /// The graph's label, else its id.
    pub(super) name: String,
    pub(super) nodes: Vec<RawNode>,
    pub(super) links: Vec<RawLink>,
    pub(super) inputs: Vec<RawAlias>,
    pub(super) outputs: Vec<RawAlias>,
    /// The graph's own settings under the key `pushflow`.
    pub(super) settings: Map,
    pub(super) location: Location,
}

/// One node.
#[derive(Clone)]
pub(super) struct RawNode {
    pub(super) id: String,
    pub(super) attributes: Map,
    pub(super) location: Location,
}

/// One link, between nodes by their ids.
#[derive(Clone)]
pub(super) struct RawLink {
    pub(super) source: String,
    pub(super) target: String,
    pub(super) attributes: Map,
    pub(super) location: Location,
}

/// A name for a node of a graph that the links of the graph around it may use.
pub(super) struct RawAlias {
    pub(super) id: String,
    pub(super) node: String,
    /// The node in the graph that `node` stands for, if it stands for one.
    pub(super) sub_node: Option<String>,
    /// Attributes for the links that end here. The attributes of the links themselves override them.
    pub(super) link_attributes: Map,
    pub(super) location: Location,
}

/// The separator between the parts of the id of a nested node.
const SEPARATOR: &str = ":";

impl RawNode {
    pub(super) fn nested_in(self, graph: &str) -> Self {
        let id = nested_id(graph, &self.id);
        RawNode { location: self.location.named(Element::Node(id.clone())), id, ..self }
    }
}

impl RawLink {
    pub(super) fn nested_in(self, graph: &str) -> Self {
        let (source, target) = (nested_id(graph, &self.source), nested_id(graph, &self.target));
        let element = Element::Link { source: source.clone(), target: target.clone() };
        RawLink { location: self.location.named(element), source, target, ..self }
    }

    /// Refuses a link whose source or target is no node of the graph.
    pub(super) fn check_ends(&self, positions: &HashMap<String, usize>) -> LoadResult<()> {
        for (attribute, id) in [("source", &self.source), ("target", &self.target)] {
            if !positions.contains_key(id) {
                let mut ids: Vec<&str> = positions.keys().map(String::as_str).collect();
                ids.sort_unstable();
                let meant = did_you_mean(id, ids);
                return Err(self.location.invalid(format!("{attribute:?} names no node of the graph{meant}")));
            }
        }
        Ok(())
    }
}

/// Takes a document apart.
pub(super) fn graph(document: &Value, location: Location) -> LoadResult<RawGraph> {
    let top = Fields::of(document, location)?;
    check_top_level(&top)?;
    let graph = top.object("graph")?;
    graph.refuse_misspelt(&[attributes::GRAPH])?;
    check_version(&graph)?;
    let nodes =
        top.objects("nodes", Element::NodeNumber)?.map(|fields| node(fields?)).collect::<LoadResult<Vec<_>>>()?;
    refuse_duplicate_ids(&nodes)?;
    let links = top.objects("links", Element::LinkNumber)?.map(|fields| link(fields?)).collect::<LoadResult<_>>()?;
    Ok(RawGraph {
        name: name(&graph)?,
        nodes,
        links,
        inputs: aliases(&graph, "input_nodes")?,
        outputs: aliases(&graph, "output_nodes")?,
        settings: graph.object(settings::KEY)?.attributes().clone(),
        location: graph.location,
    })
}

fn check_top_level(top: &Fields<'_>) -> LoadResult<()> {
    if top.get("edges").is_some() {
        return Err(top.wrong("edges", "unknown attribute \"edges\"; did you mean \"links\"?"));
    }
    top.refuse_misspelt(&[attributes::TOP_LEVEL])?;
    settings::refuse(top, "put them into \"graph\"")?;
    if top.boolean("directed")? == Some(false) {
        let message = "\"directed\" is false, but every link of a graph has a direction; set it to true";
        return Err(top.wrong("directed", message));
    }
    Ok(())
}

/// Refuses versions of the format other than 1.0 to 1.2. Attributes that only a newer one of these has are read in all
/// of them, as ewoks does: its conversion changes nothing but the number.
fn check_version(graph: &Fields<'_>) -> LoadResult<()> {
    const KNOWN: &[&str] = &["1.0", "1.1", "1.2"];
    let Some(version) = graph.text("schema_version")? else { return Ok(()) };
    let mut short = version.trim().trim_start_matches('v');
    while let Some(shorter) = short.strip_suffix(".0").filter(|shorter| shorter.contains('.')) {
        short = shorter;
    }
    if short == "1" || KNOWN.contains(&short) {
        return Ok(());
    }
    let known = KNOWN.join(", ");
    let message = format!("schema version {version:?} is unknown; this program reads {known}");
    Err(graph.wrong("schema_version", message))
}

fn name(graph: &Fields<'_>) -> LoadResult<String> {
    let id = match graph.get("id") {
        Some(id) => joined_id(id, "id", graph)?,
        None => "notspecified".to_owned(),
    };
    Ok(graph.text("label")?.map_or(id, str::to_owned))
}

fn node(fields: Fields<'_>) -> LoadResult<RawNode> {
    let id = required_id(&fields, "id", attributes::NODE)?;
    let location = fields.location.named(Element::Node(id.clone()));
    Ok(RawNode { id, attributes: fields.attributes().clone(), location })
}

fn refuse_duplicate_ids(nodes: &[RawNode]) -> LoadResult<()> {
    let mut positions = HashMap::with_capacity(nodes.len());
    for (position, node) in nodes.iter().enumerate() {
        if let Some(first) = positions.insert(node.id.as_str(), position) {
            let message =
                format!("nodes number {} and {} have this id; give each an id of its own", first + 1, position + 1);
            return Err(node.location.invalid(message));
        }
    }
    Ok(())
}

fn link(fields: Fields<'_>) -> LoadResult<RawLink> {
    let source = required_id(&fields, "source", attributes::LINK)?;
    let target = required_id(&fields, "target", attributes::LINK)?;
    let element = Element::Link { source: source.clone(), target: target.clone() };
    let fields = Fields::of_map(fields.attributes(), fields.location.named(element));
    settings::refuse(&fields, "give them to the nodes that it links")?;
    Ok(RawLink { source, target, attributes: fields.attributes().clone(), location: fields.location })
}

fn aliases(graph: &Fields<'_>, list: &'static str) -> LoadResult<Vec<RawAlias>> {
    graph.items(list)?.map(|fields| alias(&fields?)).collect()
}

fn alias(fields: &Fields<'_>) -> LoadResult<RawAlias> {
    fields.refuse_misspelt(&[attributes::ALIAS])?;
    let attributes = fields.object("link_attributes")?;
    attributes.refuse_misspelt(&[attributes::LINK])?;
    let sub_node = fields.get("sub_node").map(|id| joined_id(id, "sub_node", fields)).transpose()?;
    Ok(RawAlias {
        id: required_id(fields, "id", attributes::ALIAS)?,
        node: required_id(fields, "node", attributes::ALIAS)?,
        sub_node,
        link_attributes: attributes.attributes().clone(),
        location: fields.location.clone(),
    })
}

/// The value of a required id. If it is missing, an attribute with a similar name is the likely reason.
fn required_id(fields: &Fields<'_>, name: &'static str, known: &[&str]) -> LoadResult<String> {
    match fields.get(name) {
        Some(id) => joined_id(id, name, fields),
        None => {
            fields.refuse_misspelt(&[known])?;
            Err(fields.missing(name))
        }
    }
}

/// The id of a node as text: a whole number is written in decimal, a nested id (`["graph", "node"]`) is joined with
/// `:`.
pub(super) fn joined_id(value: &Value, name: &'static str, fields: &Fields<'_>) -> LoadResult<String> {
    match value {
        Value::Str(id) => Ok(id.clone()),
        Value::Int(number) => Ok(number.to_string()),
        Value::List(parts) if !parts.is_empty() => {
            let parts = parts.iter().map(|part| joined_id(part, name, fields)).collect::<LoadResult<Vec<_>>>()?;
            Ok(parts.join(SEPARATOR))
        }
        other => Err(fields.wrong(name, format!("{name:?} must be a text, not {}", other.type_name()))),
    }
}

/// The id of a node inside a graph node.
pub(super) fn nested_id(graph: &str, node: &str) -> String {
    format!("{graph}{SEPARATOR}{node}")
}

/// The first part of a nested id, and the rest.
pub(super) fn split_id(id: &str) -> Option<(&str, &str)> {
    id.split_once(SEPARATOR)
}
