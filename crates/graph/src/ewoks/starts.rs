//! Where a run begins (`ewoks_format.md`, "Start nodes"), and [`TaskClasses`], who is asked where that depends on what
//! a task class needs.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

use pushflow_protocol::{EwoksClass, EwoksTask, EwoksWork, TaskSpec};
use pushflow_value::Key;

use super::ends::positions;
use super::read::{LinkEntry, NodeEntry};
use super::required;
use super::spot::{Reading, Spot};
use crate::Work;

/// Knows the inputs of task classes: a Python interpreter, which this crate does not know.
///
/// It is asked only where no node is without incoming links: then a run begins at the class nodes whose required inputs are
/// all among their `default_inputs`.
pub trait TaskClasses: fmt::Debug + Send + Sync {
    /// The names of the required inputs of each of these classes; their modules are looked for in `folder` first, that of
    /// the graph file.
    ///
    /// # Errors
    /// When one of them is no task class, or nobody can be asked.
    fn required_inputs(&self, classes: &[EwoksClass], folder: &Path) -> Result<Vec<Vec<String>>, UnknownClass>;
}

/// Why the inputs of task classes are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownClass {
    /// The position of the class that it is about.
    pub class: usize,
    /// One sentence.
    pub reason: String,
}

/// Finds start nodes, and remembers what it was told about classes.
pub(super) struct Starts<'a> {
    classes: Option<&'a dyn TaskClasses>,
    folder: &'a Path,
    required: HashMap<EwoksClass, HashSet<Key>>,
}

impl<'a> Starts<'a> {
    /// For a graph in that folder.
    pub(super) fn new(classes: Option<&'a dyn TaskClasses>, folder: &'a Path) -> Self {
        Starts { classes, folder, required: HashMap::new() }
    }

    /// The start nodes, by position: those that no link enters, and those with `force_start_node`; where there is none, those
    /// with a task class that has all it needs.
    pub(super) fn of(&mut self, nodes: &[NodeEntry], links: &[LinkEntry], graph: &Spot) -> Reading<Vec<usize>> {
        let entered: HashSet<usize> = links.iter().map(|link| link.target).collect();
        let mut starts = positions(nodes, |position, node| node.force_start || !entered.contains(&position));
        if starts.is_empty() && !nodes.is_empty() {
            starts = self.supplied(nodes, links)?;
        }
        if starts.is_empty() && !nodes.is_empty() {
            let message = "there is no start node, since a link enters every node and none of them is of task type \
                           \"class\", without required links and with all required inputs in \"default_inputs\"; set \
                           \"force_start_node\" to true on the node to begin with";
            return Err(graph.invalid(message));
        }
        Ok(starts)
    }

    /// The class nodes that wait for no link and have all required inputs.
    fn supplied(&mut self, nodes: &[NodeEntry], links: &[LinkEntry]) -> Reading<Vec<usize>> {
        let required = required::required(nodes.len(), links);
        let waiting: HashSet<usize> =
            links.iter().zip(required).filter(|(_, required)| *required).map(|(link, _)| link.target).collect();
        let free = nodes.iter().enumerate().filter(|(position, _)| !waiting.contains(position));
        let candidates: Vec<(usize, &EwoksClass)> =
            free.filter_map(|(position, node)| Some((position, class(node)?))).collect();
        self.learn(&candidates, nodes)?;
        let has = |position: usize, key| nodes[position].defaults.payload(key).is_some();
        let has_all = |(position, class): &(usize, _)| self.required[*class].iter().all(|key| has(*position, key));
        Ok(candidates.into_iter().filter(has_all).map(|(position, _)| position).collect())
    }

    /// Asks for the inputs of the classes of these nodes, as far as they are not known.
    fn learn(&mut self, candidates: &[(usize, &EwoksClass)], nodes: &[NodeEntry]) -> Reading<()> {
        let (mut wanted, mut first) = (Vec::new(), Vec::new());
        for (position, class) in candidates {
            if !self.required.contains_key(*class) && !wanted.contains(*class) {
                wanted.push((*class).clone());
                first.push(*position);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let asked = self.classes.map_or_else(|| Err(nobody()), |classes| classes.required_inputs(&wanted, self.folder));
        let told = asked.map_err(|UnknownClass { class, reason }| {
            let question = "a run begins at this node if it has all inputs that its task class needs";
            nodes[first[class]].spot.invalid(format!("{question}, but {reason}"))
        })?;
        let keys = |names: Vec<String>| names.into_iter().map(Key::from).collect();
        self.required.extend(wanted.into_iter().zip(told.into_iter().map(keys)));
        Ok(())
    }
}

fn nobody() -> UnknownClass {
    let reason =
        "there is no Python interpreter to ask for these; set \"force_start_node\" to true on the node to begin with";
    UnknownClass { class: 0, reason: reason.to_owned() }
}

fn class(node: &NodeEntry) -> Option<&EwoksClass> {
    match &node.work {
        Work::Attempt(TaskSpec::Ewoks(EwoksTask { work: EwoksWork::Class(class), .. })) => Some(class),
        _ => None,
    }
}
