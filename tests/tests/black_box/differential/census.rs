//! Counts the features of random graphs, and the outcomes of their runs.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::flatten::{Flat, Known, LeftOut};
use super::generate::Case;
use super::model::Expected;
use super::original::Ended;
use super::tasks::Form;

/// The features that must occur, each in at least one graph.
const FEATURES: [&str; 34] = [
    "cycle",
    "condition",
    "else value",
    "error link",
    "error handled",
    "error not handled",
    "default handler",
    "required",
    "not required",
    "required by rule",
    "optional by rule",
    "cached",
    "map_all_data",
    "data_mapping",
    "no data",
    "position",
    "default_inputs",
    "force_start_node",
    "several starts",
    "several ends",
    "nested graph",
    "graph nested twice",
    "alias",
    "link_attributes",
    "sub_target_attributes",
    "inputs of a graph node",
    "graph as text",
    "parallel links",
    "inputs from outside",
    "ppfport",
    "method",
    "class",
    "node that runs several times",
    "node that never runs",
];

/// The beginnings of the messages with which the original is known to crash: `docs/parity.md` P155 and P156. The third
/// crash comes from a nested id that is a list, in a graph that stands in another graph. The original leaves this id a
/// list (`docs/ewoks.md`).
const KNOWN_CRASHES: [&str; 3] =
    ["RecursionError", "TypeError: DiGraph.predecessors() missing", "TypeError: unhashable type: 'list'"];

#[derive(Default)]
pub struct Census {
    graphs: usize,
    nodes: usize,
    links: usize,
    executions: usize,
    most_executions: usize,
    ordered: usize,
    nodes_run: usize,
    states: usize,
    features: BTreeMap<&'static str, usize>,
    dull: usize,
    known: BTreeMap<Known, usize>,
    left_out: BTreeMap<LeftOut, usize>,
    crashes: BTreeMap<String, usize>,
    hangs: BTreeMap<String, usize>,
}

impl Census {
    pub fn left_out(&mut self, why: LeftOut) {
        *self.left_out.entry(why).or_default() += 1;
    }

    /// Counts a graph that was not taken because hardly anything happens in it.
    pub fn dull(&mut self) {
        self.dull += 1;
    }

    /// Whether the original is known to crash with this message when it loads a graph. For such a graph the outcome of
    /// the model counts.
    pub fn is_known(crash: &str) -> bool {
        KNOWN_CRASHES.iter().any(|known| crash.starts_with(known))
    }

    /// Counts a crash or a hang of the original.
    pub fn broken(&mut self, how: &Ended) {
        match how {
            Ended::ByItself(_) => {}
            Ended::Crashed(why) => *self.crashes.entry(why.chars().take(40).collect()).or_default() += 1,
            Ended::Hung(why) => *self.hangs.entry(why.clone()).or_default() += 1,
        }
    }

    pub fn graph(&mut self, case: &Case, flat: &Flat, expected: &Expected) {
        self.graphs += 1;
        self.nodes += flat.nodes.len();
        self.links += flat.links.len();
        let executions: usize = expected.executions.values().map(|node| node.list.len()).sum();
        self.executions += executions;
        self.most_executions = self.most_executions.max(executions);
        self.nodes_run += expected.executions.len();
        self.ordered += expected.executions.values().filter(|node| node.in_order).count();
        self.states = self.states.max(expected.states);
        for name in of_flat(flat, expected).into_iter().chain(of_file(&case.graph, 0)) {
            *self.features.entry(name).or_default() += 1;
        }
        if let Some(known) = expected.known {
            *self.known.entry(known).or_default() += 1;
        }
        if !case.inputs.is_empty() {
            *self.features.entry("inputs from outside").or_default() += 1;
        }
    }

    /// # Panics
    /// If a feature occurred in no graph.
    pub fn assert_all_occurred(&self) {
        let missing: Vec<_> = FEATURES.iter().filter(|name| !self.features.contains_key(*name)).collect();
        assert!(missing.is_empty(), "no graph had any of these: {missing:?}");
    }
}

impl fmt::Display for Census {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{} graphs of {} nodes and {} links with {} executions (at most {} in one); of {} nodes that ran {} had to end \
             in one order; at most {} states",
            self.graphs,
            self.nodes,
            self.links,
            self.executions,
            self.most_executions,
            self.nodes_run,
            self.ordered,
            self.states,
        )?;
        writeln!(formatter, "graphs with: {:?}", self.features)?;
        writeln!(formatter, "left out: {:?}, and {} in which hardly anything happens", self.left_out, self.dull)?;
        writeln!(formatter, "not asked of the original, which is known to do something else: {:?}", self.known)?;
        write!(formatter, "the original crashed: {:?}; it hung: {:?}", self.crashes, self.hangs)
    }
}

fn chosen<const N: usize>(all: [(&'static str, bool); N]) -> Vec<&'static str> {
    all.into_iter().filter(|(_, occurs)| *occurs).map(|(name, _)| name).collect()
}

fn of_flat(flat: &Flat, expected: &Expected) -> Vec<&'static str> {
    let Flat { nodes, links, starts, ends, .. } = flat;
    let form = |form: Form| nodes.iter().any(|node| node.form == form);
    let conditional = |link: &super::flatten::Link| !link.conditions.is_empty() || link.on_error;
    chosen([
        ("cycle", is_cyclic(flat)),
        ("condition", links.iter().any(|link| !link.conditions.is_empty())),
        ("else value", nodes.iter().any(|node| !node.otherwise.is_null())),
        ("error link", links.iter().any(|link| link.on_error)),
        ("error handled", expected.errors.iter().any(|(.., handled)| *handled)),
        ("error not handled", expected.errors.iter().any(|(.., handled)| !handled)),
        ("required by rule", links.iter().any(|link| link.required && !conditional(link))),
        ("optional by rule", links.iter().any(|link| !link.required && !conditional(link))),
        ("map_all_data", links.iter().any(|link| link.everything)),
        ("data_mapping", links.iter().any(|link| !link.mapping.is_empty())),
        ("no data", links.iter().any(|link| !link.everything && link.mapping.is_empty())),
        ("position", links.iter().any(|link| link.mapping.keys().any(|input| input.parse::<usize>().is_ok()))),
        ("several starts", starts.len() > 1),
        ("several ends", ends.len() > 1),
        ("ppfport", form(Form::Port)),
        ("method", form(Form::Method)),
        ("class", form(Form::Class)),
        ("node that runs several times", expected.executions.values().any(|node| node.list.len() > 1)),
        ("node that never runs", expected.executions.len() < nodes.len()),
    ])
}

fn is_cyclic(flat: &Flat) -> bool {
    let mut left: Vec<bool> = vec![true; flat.nodes.len()];
    loop {
        let entered = |node: usize| flat.links.iter().any(|link| link.target == node && left[link.source]);
        match (0..left.len()).find(|node| left[*node] && !entered(*node)) {
            Some(node) => left[node] = false,
            None => return left.contains(&true),
        }
    }
}

fn of_file(graph: &Value, depth: usize) -> Vec<&'static str> {
    let list = |of: &Value, name: &str| of[name].as_array().cloned().unwrap_or_default();
    let (nodes, links) = (list(graph, "nodes"), list(graph, "links"));
    let aliases = [list(&graph["graph"], "input_nodes"), list(&graph["graph"], "output_nodes")].concat();
    let ends = |link: &Value| (link["source"].clone(), link["target"].clone());
    let is_repeated = |(at, link): (usize, &Value)| links[..at].iter().any(|other| ends(other) == ends(link));
    let (said, graphs) = (Value::Bool(true), nodes.iter().filter(|node| node["task_type"] == "graph"));
    let graphs: Vec<&Value> = graphs.collect();
    let mut found = chosen([
        ("default handler", nodes.iter().any(|node| node["default_error_node"] == said)),
        ("default_inputs", nodes.iter().any(|node| !node["default_inputs"].is_null())),
        ("force_start_node", nodes.iter().any(|node| node["force_start_node"] == said)),
        ("required", links.iter().any(|link| link["required"] == said)),
        ("not required", links.iter().any(|link| link["required"] == Value::Bool(false))),
        ("cached", links.iter().any(|link| link["cache_if_optional"] == said)),
        ("sub_target_attributes", links.iter().any(|link| !link["sub_target_attributes"].is_null())),
        ("parallel links", links.iter().enumerate().any(is_repeated)),
        ("nested graph", !graphs.is_empty()),
        ("graph nested twice", depth > 0 && !graphs.is_empty()),
        ("alias", !aliases.is_empty()),
        ("link_attributes", aliases.iter().any(|alias| !alias["link_attributes"].is_null())),
        ("inputs of a graph node", graphs.iter().any(|node| !node["default_inputs"].is_null())),
        ("graph as text", graphs.iter().any(|node| node["task_identifier"].is_string())),
    ]);
    for node in graphs {
        found.extend(of_file(&inner(&node["task_identifier"]), depth + 1));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The graph of a graph node, whose `task_identifier` is the graph itself or its JSON text.
pub fn inner(identifier: &Value) -> Value {
    match identifier {
        Value::String(text) => serde_json::from_str(text).expect("it is a graph"),
        graph => graph.clone(),
    }
}
