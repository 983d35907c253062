//! Reads lists of inputs, and gives the nodes of a graph their inputs.

use std::path::Path;
use std::sync::Arc;

use pushflow_model::{Key, Payload, Value, did_you_mean};

use super::error::{Element, LoadError, LoadResult};
use super::fields::Fields;
use super::file::Folders;
use super::input::{Input, InputNodes};
use super::read::{Entries, NodeEntry};
use super::source::{Source, Syntax, syntax};
use super::start_nodes::StartNodes;
use super::{document, parameters, raw};

const ITEM: &[&str] = &["name", "value", "id", "label", "task_identifier", "all"];

/// Reads a list of inputs, in JSON or YAML. Each input is an object with `name` and `value`, and with `id`, `label`,
/// `task_identifier` or `all` for its nodes. Without these it is for the start nodes. Messages call the text `name`.
///
/// ```
/// use pushflow_graph::ewoks::{self, Input};
///
/// let inputs = ewoks::parse_inputs(r#"[{"name": "a", "value": 1}]"#, "inputs.json")?;
/// assert_eq!(inputs, [Input::of_start("a", 1)]);
/// # Ok::<(), ewoks::LoadError>(())
/// ```
///
/// # Errors
/// When the text is no such list.
pub fn parse_inputs(text: &str, name: &str) -> Result<Vec<Input>, LoadError> {
    parse(text, name).map_err(|error| *error)
}

fn parse(text: &str, name: &str) -> LoadResult<Vec<Input>> {
    let folders = Folders::at(Path::new(""), None, name)?;
    let named = Path::new(name).extension().is_some();
    let syntax = if named { syntax(Path::new(name), text) } else { Syntax::Json };
    let source = Source { name: name.to_owned(), text: text.to_owned(), syntax, folders };
    let (document, location) = document::parse(Arc::new(source))?;
    let location = location.named(Element::Inputs);
    let Value::List(list) = &document else {
        return Err(location.invalid(format!("must be a list of objects, not {}", document.type_name())));
    };
    let item = |(index, value)| input(&Fields::of(value, location.index(index, Element::InputNumber(index + 1)))?);
    list.iter().enumerate().map(item).collect()
}

fn input(item: &Fields<'_>) -> LoadResult<Input> {
    item.refuse_misspelt(&[ITEM])?;
    let name = parameters::input_key(item, "name")?;
    let value = item.raw("value").cloned().ok_or_else(|| item.missing("value"))?;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let (label, task_identifier) = (owned(item.text("label")?), owned(item.text("task_identifier")?));
    let nodes = match item.get("id") {
        Some(id) => InputNodes::Id(raw::joined_id(id, "id", item)?),
        None if label.is_some() || task_identifier.is_some() => InputNodes::Like { label, task_identifier },
        None if item.boolean("all")? == Some(true) => InputNodes::All,
        None => InputNodes::Start,
    };
    Ok(Input { name, value, nodes })
}

/// Gives the nodes their inputs. A later input overrides an earlier one of the same name.
///
/// An input for the start nodes is for those that are start nodes without these inputs. If no input is for them, the
/// graph may lack start nodes here: an input can make a class node a start node (`docs/ewoks.md`, "Tasks that ewokscore
/// runs").
pub(super) fn apply(entries: &mut Entries, inputs: &[Input], starts: &mut StartNodes<'_>) -> LoadResult<()> {
    let starts = match inputs.iter().any(|input| matches!(input.nodes, InputNodes::Start)) {
        true => starts.of(&entries.nodes, &entries.links, &entries.location)?,
        false => Vec::new(),
    };
    for Input { name, value, nodes } in inputs {
        let chosen: Vec<usize> = match nodes {
            InputNodes::Start => starts.clone(),
            wanted => (0..entries.nodes.len()).filter(|&node| selects(wanted, &entries.nodes[node])).collect(),
        };
        if chosen.is_empty() && !entries.nodes.is_empty() {
            return Err(entries.location.invalid(no_such_node(name, nodes, &entries.nodes)));
        }
        for node in chosen {
            entries.nodes[node].defaults.insert(name.clone(), Payload::from(value.clone()));
        }
    }
    Ok(())
}

fn selects(wanted: &InputNodes, node: &NodeEntry) -> bool {
    match wanted {
        InputNodes::Start => false,
        InputNodes::All => true,
        InputNodes::Id(id) => node.id == *id,
        InputNodes::Like { label, task_identifier } => {
            let named = label.as_ref().is_none_or(|label| node.name() == label);
            let ends = |end: &String| node.identifier.as_ref().is_some_and(|identifier| identifier.ends_with(end));
            named && task_identifier.as_ref().is_none_or(ends)
        }
    }
}

/// The message for an input that is for no node of the graph, with the name that was probably meant.
fn no_such_node(name: &Key, wanted: &InputNodes, nodes: &[NodeEntry]) -> String {
    let ids = || nodes.iter().map(|node| node.id.as_str());
    let (what, meant) = match wanted {
        InputNodes::Id(id) => (format!("of id {id:?}"), did_you_mean(id, ids())),
        InputNodes::Like { label: Some(label), task_identifier: None } => {
            (format!("labelled {label:?}"), did_you_mean(label, nodes.iter().map(NodeEntry::name)))
        }
        InputNodes::Like { label: Some(label), task_identifier: Some(end) } => {
            (format!("labelled {label:?} with a task identifier that ends in {end:?}"), String::new())
        }
        InputNodes::Like { task_identifier: Some(end), .. } => {
            let known = nodes.iter().filter_map(|node| node.identifier.as_deref());
            (format!("with a task identifier that ends in {end:?}"), did_you_mean(end, known))
        }
        _ => ("at all".to_owned(), String::new()),
    };
    format!("the input \"{name}\" is for a node {what}, and there is none{meant}")
}
