//! Works out what a graph without graph nodes leaves open: which links are required, where a run begins and where it
//! may end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::flatten::{Attributes, Flat, LeftOut, Level, Link, Node, RawLink, is_true, joined, list, merge};
use super::tasks::{Form, equal, required_inputs};

/// The links of a graph, as if it stood in no other graph and had no further links.
pub(super) fn links_of(level: &Level) -> Result<Vec<Link>, LeftOut> {
    let links = merge(level.links.clone())?;
    let place = |id: &String| level.nodes.iter().position(|(node, _)| node == id).ok_or(LeftOut::Refused);
    let mut made = Vec::new();
    for link in &links {
        made.push(made_link(place(&link.source)?, place(&link.target)?, &link.attributes)?);
    }
    made.sort_by_key(|link| link.source);
    let required = required(&made, &links, &level.nodes);
    for (link, required) in made.iter_mut().zip(required) {
        link.required = required;
    }
    refuse_contested(&made)?;
    Ok(made)
}

/// Completes a graph, and gives its nodes the inputs from outside.
pub(super) fn finish(level: &Level, inputs: &[Value]) -> Result<Flat, LeftOut> {
    let made = links_of(level)?;
    let mut nodes: Vec<Node> = level.nodes.iter().map(|(id, attributes)| made_node(id, attributes)).collect();
    let ends = ends(&nodes, &made)?;
    // An input from outside may be the last one that a class needs, so `starts` is called again after the loop.
    let first = starts(&level.nodes, &nodes, &made);
    for input in inputs {
        let meant = |place: &usize| is_meant(input, *place, &level.nodes[*place], &first);
        let meant: Vec<usize> = (0..nodes.len()).filter(meant).collect();
        if meant.is_empty() {
            return Err(LeftOut::Refused);
        }
        for place in meant {
            nodes[place].defaults.insert(joined(&input["name"]), input["value"].clone());
        }
    }
    let starts = starts(&level.nodes, &nodes, &made);
    if starts.is_empty() {
        return Err(LeftOut::NoEnds);
    }
    Ok(Flat { nodes, links: made, starts, ends, known: None })
}

fn is_meant(input: &Value, place: usize, (id, attributes): &(String, Attributes), starts: &[usize]) -> bool {
    let label = attributes.get("label").map_or_else(|| id.clone(), joined);
    let identifier = attributes.get("task_identifier").map(joined);
    match (input.get("id"), input.get("label"), input.get("task_identifier")) {
        (Some(wanted), ..) => *id == joined(wanted),
        (None, None, None) => input.get("all") == Some(&json!(true)) || starts.contains(&place),
        (None, wanted, end) => {
            let ends = |end: &Value| identifier.as_ref().is_some_and(|identifier| identifier.ends_with(&joined(end)));
            wanted.is_none_or(|wanted| label == joined(wanted)) && end.is_none_or(ends)
        }
    }
}

fn made_node(id: &str, attributes: &Attributes) -> Node {
    let identifier = attributes.get("task_identifier").map(joined).unwrap_or_default();
    let (form, prefix) = match attributes["task_type"].as_str() {
        Some("ppfport") => (Form::Port, ""),
        Some("ppfmethod") => (Form::Dictionary, "random_tasks.ppf_"),
        Some("method") => (Form::Method, "random_tasks.method_"),
        Some("class") => (Form::Class, "random_tasks.Class_"),
        other => panic!("there is no task type {other:?}"),
    };
    let defaults = list(&json!(attributes), "default_inputs")
        .iter()
        .map(|entry| (joined(&entry["name"]), entry["value"].clone()))
        .collect();
    let program = identifier.strip_prefix(prefix).expect("it is one of the tests' own tasks").to_owned();
    let otherwise = attributes.get("conditions_else_value").cloned().unwrap_or_default();
    Node { id: id.to_owned(), form, program, defaults, otherwise }
}

fn made_link(source: usize, target: usize, attributes: &Attributes) -> Result<Link, LeftOut> {
    let all = json!(attributes);
    let named: Vec<_> = list(&all, "conditions")
        .iter()
        .map(|condition| (joined(&condition["source_output"]), condition["value"].clone()))
        .collect();
    let conditions: BTreeMap<_, _> = named.iter().cloned().collect();
    let items = list(&all, "data_mapping").iter();
    let items: Vec<_> = items.map(|item| (joined(&item["target_input"]), joined(&item["source_output"]))).collect();
    let filled = items.iter().map(|(input, _)| input.clone()).collect();
    let mapping: BTreeMap<_, _> = items.into_iter().collect();
    let (everything, on_error) = (is_true(attributes, "map_all_data"), is_true(attributes, "on_error"));
    if everything && !mapping.is_empty() || on_error && !conditions.is_empty() {
        return Err(LeftOut::Refused);
    }
    let cached = is_true(attributes, "cache_if_optional");
    Ok(Link { source, target, conditions, named, everything, mapping, filled, on_error, required: true, cached })
}

/// Whether each link is required. The link's attribute `required` decides. Without this attribute, a link is required
/// if it is neither conditional nor for errors, and no link above it is optional.
fn required(made: &[Link], raw: &[RawLink], nodes: &[(String, Attributes)]) -> Vec<bool> {
    let word = |link: &Link| {
        let same = |raw: &&RawLink| raw.source == nodes[link.source].0 && raw.target == nodes[link.target].0;
        raw.iter().find(same).and_then(|raw| raw.attributes.get("required")).and_then(Value::as_bool)
    };
    let said: Vec<Option<bool>> = made.iter().map(word).collect();
    let mut required: Vec<bool> = made
        .iter()
        .zip(&said)
        .map(|(link, said)| said.unwrap_or(link.conditions.is_empty() && !link.on_error))
        .collect();
    let above = at_or_above(made, nodes.len());
    loop {
        let optional =
            |to: usize| made.iter().zip(&required).any(|(link, required)| !required && above[to][link.target]);
        let next = (0..made.len()).find(|&at| required[at] && said[at].is_none() && optional(made[at].source));
        let Some(next) = next else { return required };
        required[next] = false;
    }
}

/// For each node and each other node: whether the other is the same node or leads to it over links.
fn at_or_above(links: &[Link], nodes: usize) -> Vec<Vec<bool>> {
    let mut above: Vec<Vec<bool>> = (0..nodes).map(|node| (0..nodes).map(|other| node == other).collect()).collect();
    let mut changes = true;
    while changes {
        changes = false;
        for Link { source, target, .. } in links {
            let more: Vec<usize> = (0..nodes).filter(|node| above[*source][*node] && !above[*target][*node]).collect();
            changes |= !more.is_empty();
            more.into_iter().for_each(|node| above[*target][node] = true);
        }
    }
    above
}

fn refuse_contested(links: &[Link]) -> Result<(), LeftOut> {
    let mut filled = BTreeSet::new();
    for link in links.iter().filter(|link| link.required) {
        for input in &link.filled {
            if !filled.insert((link.target, input)) {
                return Err(LeftOut::Refused);
            }
        }
    }
    Ok(())
}

fn starts(raw: &[(String, Attributes)], nodes: &[Node], links: &[Link]) -> Vec<usize> {
    let is_start =
        |place: &usize| is_true(&raw[*place].1, "force_start_node") || links.iter().all(|link| link.target != *place);
    let has_all = |node: &Node| required_inputs(&node.program).all(|name| node.defaults.contains_key(name));
    let waits = |place: usize| links.iter().any(|link| link.target == place && link.required);
    let is_supplied = |place: &usize| nodes[*place].form == Form::Class && has_all(&nodes[*place]) && !waits(*place);
    let mut starts: Vec<usize> = (0..nodes.len()).filter(is_start).collect();
    if starts.is_empty() {
        starts = (0..nodes.len()).filter(is_supplied).collect();
    }
    starts
}

fn ends(nodes: &[Node], links: &[Link]) -> Result<Vec<usize>, LeftOut> {
    let pure = |place: &usize| links.iter().all(|link| link.source != *place || link.on_error);
    let mut ends: Vec<usize> = (0..nodes.len()).filter(pure).collect();
    if ends.is_empty() {
        ends = (0..nodes.len()).filter(|place| may_stop(*place, nodes, links)).collect();
    }
    if ends.is_empty() { Err(LeftOut::NoEnds) } else { Ok(ends) }
}

/// Whether the conditions on one of a node's outputs leave values out. Conditions that name true or false always do,
/// even if they name both.
fn may_stop(place: usize, nodes: &[Node], links: &[Link]) -> bool {
    let otherwise = &nodes[place].otherwise;
    named_values(place, links).values().any(|values| {
        let names = |wanted: &Value| values.iter().any(|value| equal(value, wanted));
        names(&json!(true)) || names(&json!(false)) || !names(otherwise)
    })
}

/// For each output of a node, the values that its conditions name.
pub fn named_values(place: usize, links: &[Link]) -> BTreeMap<&str, Vec<&Value>> {
    let mut named = BTreeMap::<&str, Vec<&Value>>::new();
    for link in links.iter().filter(|link| link.source == place) {
        for (output, value) in &link.named {
            named.entry(output).or_default().push(value);
        }
    }
    named
}
