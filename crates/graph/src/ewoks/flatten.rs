//! Flattens graphs in graphs: the nodes of the named graph replace each node of type `graph`, and get its id in front
//! of theirs (`docs/ewoks.md`).
//!
//! A graph is flattened from the inside out: first the graphs that it names, each as if it were alone; then the links
//! and attributes that reach into them; then its default error handlers. Graphs that contain themselves, also over
//! several files, and graphs beyond the limits below are refused.
//!
//! Attributes of a graph node, of a link or of an alias may replace those of the node inside. So nodes and links stay
//! plain attributes with their location until all of that is done.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use pushflow_model::{Map, Value};

use super::error::{Element, LoadResult};
use super::fields::Fields;
use super::location::Location;
use super::nested::{Alias, NestedGraphs, merged};
use super::raw::{self, RawAlias, RawGraph, RawLink, RawNode, split_id};
use super::source::{Source, Syntax, source_of_file};
use super::{attributes, document, error_handlers, file, serialized, settings, task};

/// The greatest number of graphs around a graph.
const MAX_LEVELS: usize = 64;
/// The greatest number of nodes and links of a graph, with those of all graphs in it.
const MAX_SIZE: usize = 1_000_000;

/// A graph whose graph nodes have been replaced.
pub(super) struct FlatGraph {
    /// The graph's label, else its id.
    pub(super) name: String,
    /// The nodes of the graph itself in their order, then those of each graph in it.
    pub(super) nodes: Vec<RawNode>,
    pub(super) links: Vec<RawLink>,
    pub(super) inputs: Vec<Alias>,
    pub(super) outputs: Vec<Alias>,
    pub(super) settings: Map,
    pub(super) location: Location,
}

/// Flattens a graph and the graphs in it.
#[derive(Default)]
pub(super) struct Flattener {
    /// The graph files that contain the current graph, from the outside in.
    files: Vec<PathBuf>,
    levels: usize,
    size: usize,
}

impl Flattener {
    /// A flattener for the graph of this file, if the graph is in a file.
    pub(super) fn of_file(path: Option<PathBuf>) -> Self {
        Flattener { files: path.into_iter().collect(), ..Flattener::default() }
    }

    /// The flat graph of a document.
    pub(super) fn flatten(&mut self, document: &Value, location: Location) -> LoadResult<FlatGraph> {
        let document = serialized::restored(document, &location)?;
        let RawGraph { name, nodes, links, inputs, outputs, settings, location } = raw::graph(&document, location)?;
        let (graphs, tasks): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|node| task::is_graph(&node.attributes));
        let mut flat = FlatGraph {
            name,
            nodes: tasks,
            links: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            settings,
            location,
        };
        let mut nested = NestedGraphs::default();
        for node in graphs {
            let inner = self.inner(&node)?;
            flat.add_nested(&node.id, inner, &mut nested);
        }
        self.count_size(flat.nodes.len() + flat.links.len(), &flat.location)?;
        let positions = positions(&flat.nodes)?;
        nested.update_inputs(&mut flat.nodes, &positions)?;
        self.link(&mut flat, links, &nested, &positions)?;
        flat.inputs = resolve_aliases(inputs, &nested, true)?;
        flat.outputs = resolve_aliases(outputs, &nested, false)?;
        error_handlers::connect(&mut flat.nodes, &mut flat.links)?;
        self.count_size(flat.links.len(), &flat.location)?;
        Ok(flat)
    }

    /// A graph node, with the flat graph that it names.
    fn inner(&mut self, node: &RawNode) -> LoadResult<(RawNode, FlatGraph)> {
        let fields = Fields::of_map(&node.attributes, node.location.clone());
        fields.refuse_misspelt(&[attributes::NODE, attributes::GRAPH_NODE])?;
        settings::refuse(&fields, "give them to the nodes of its graph")?;
        let (attribute, identifier) = task::graph_identifier(&fields)?;
        if self.levels == MAX_LEVELS {
            let message = format!("the graph is nested in {MAX_LEVELS} others, and it may not nest deeper");
            return Err(node.location.invalid(message));
        }
        self.levels += 1;
        let flat = match identifier {
            Value::Map(_) => self.flatten(identifier, node.location.attribute(attribute).named(Element::Graph)),
            Value::Str(text) if text.contains('{') && text.contains('}') => self.text(text, node),
            Value::Str(name) => self.file(name, node),
            other => {
                let message = format!("{attribute:?} must be the name of a file or a graph, not {}", other.type_name());
                Err(fields.wrong(attribute, message))
            }
        }?;
        self.levels -= 1;
        Ok((node.clone(), flat))
    }

    /// The flat graph of a JSON text in a graph node.
    fn text(&mut self, text: &str, node: &RawNode) -> LoadResult<FlatGraph> {
        let Source { name, folders, .. } = &*node.location.source;
        let name = format!("{name}, the graph in node {:?}", node.id);
        let source = Source { name, text: text.to_owned(), syntax: Syntax::Json, folders: folders.clone() };
        let (document, location) = document::parse(Arc::new(source))?;
        self.flatten(&document, location)
    }

    fn file(&mut self, name: &str, node: &RawNode) -> LoadResult<FlatGraph> {
        let folders = &node.location.source.folders;
        let path = folders.locate_graph(name);
        if !path.exists() {
            let meant = file::missing(&path);
            return Err(node.location.invalid(format!("the graph file {name:?} can't be read: {meant}")));
        }
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if let Some(first) = self.files.iter().position(|open| *open == real) {
            let shown = |path: &PathBuf| path.file_name().map(|name| name.display().to_string()).unwrap_or_default();
            let circle: Vec<String> = self.files[first..].iter().chain([&real]).map(shown).collect();
            let message = format!("the graph file {name:?} contains itself: {}", circle.join(" -> "));
            return Err(node.location.invalid(message));
        }
        let (document, location) = document::parse(Arc::new(source_of_file(&path, folders.around(&path))?))?;
        self.files.push(real);
        let flat = self.flatten(&document, location);
        self.files.pop();
        flat
    }

    fn count_size(&mut self, size: usize, location: &Location) -> LoadResult<()> {
        self.size += size;
        if self.size > MAX_SIZE {
            let message = format!("with all the graphs in it the graph has more than {MAX_SIZE} nodes and links");
            return Err(location.invalid(message));
        }
        Ok(())
    }

    /// Adds the links of the graph itself: those between its own nodes, then those into and out of each nested graph.
    fn link(
        &mut self,
        flat: &mut FlatGraph,
        links: Vec<RawLink>,
        nested: &NestedGraphs,
        positions: &HashMap<String, usize>,
    ) -> LoadResult<()> {
        let (own, reaching): (Vec<_>, Vec<_>) =
            links.into_iter().partition(|link| !nested.contains(&link.source) && !nested.contains(&link.target));
        for link in &own {
            nested.refuse_sub_attributes(link, true, true)?;
            link.check_ends(positions)?;
        }
        flat.links.splice(0..0, own);
        for link in nested.in_order(reaching) {
            let endpoints = nested.endpoints(&link)?;
            self.count_size(endpoints.0.len().saturating_mul(endpoints.1.len()), &flat.location)?;
            flat.links.extend(nested.expand(link, endpoints, &mut flat.nodes, positions)?);
        }
        Ok(())
    }
}

impl FlatGraph {
    /// Adds the nodes and links of a nested graph.
    fn add_nested(&mut self, id: &str, (node, inner): (RawNode, FlatGraph), nested: &mut NestedGraphs) {
        let FlatGraph { nodes, links, inputs, outputs, .. } = inner;
        self.nodes.extend(nodes.into_iter().map(|node| node.nested_in(id)));
        self.links.extend(links.into_iter().map(|link| link.nested_in(id)));
        let moved = |aliases: Vec<Alias>| aliases.into_iter().map(|alias| alias.nested_in(id)).collect();
        nested.add(node, moved(inputs), moved(outputs));
    }
}

/// The position of each node, by the id of the node.
fn positions(nodes: &[RawNode]) -> LoadResult<HashMap<String, usize>> {
    let mut positions = HashMap::with_capacity(nodes.len());
    for (position, node) in nodes.iter().enumerate() {
        if positions.insert(node.id.clone(), position).is_some() {
            let message = "a node and one of a nested graph have this id; give the node or the graph another one";
            return Err(node.location.invalid(message));
        }
    }
    Ok(positions)
}

/// The aliases of a graph. Aliases into nested graphs are followed to the nodes themselves.
fn resolve_aliases(aliases: Vec<RawAlias>, nested: &NestedGraphs, is_input: bool) -> LoadResult<Vec<Alias>> {
    let mut resolved = Vec::with_capacity(aliases.len());
    for alias in aliases {
        let RawAlias { id, node, sub_node, link_attributes, location } = alias;
        let (node, sub_node) = match split_id(&node) {
            Some((graph, rest)) if sub_node.is_none() && nested.contains(graph) => {
                (graph.to_owned(), Some(rest.to_owned()))
            }
            _ => (node, sub_node),
        };
        match (nested.contains(&node), sub_node) {
            (false, None) => resolved.push(Alias { id, node, link_attributes }),
            (true, Some(sub_node)) => {
                for (node, attributes) in nested.endpoints_of(&node, &sub_node, is_input) {
                    let link_attributes = merged(attributes, &link_attributes);
                    resolved.push(Alias { id: id.clone(), node, link_attributes });
                }
            }
            (true, None) => {
                let message = format!("node {node:?} is a graph; say which of its nodes with \"sub_node\"");
                return Err(location.invalid(message));
            }
            (false, Some(_)) => {
                return Err(location.invalid(format!("node {node:?} is no graph; leave \"sub_node\" out")));
            }
        }
    }
    Ok(resolved)
}
