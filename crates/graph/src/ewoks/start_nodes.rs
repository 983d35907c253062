//! Derives the start nodes: the nodes at which a run begins. [`TaskClasses`] answers which inputs task classes need, if
//! the start nodes depend on that (`docs/ewoks.md`, "Tasks that ewokscore runs").

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

use pushflow_model::{EwoksClass, EwoksTask, EwoksWork, Key, TaskSpec};

use super::end_nodes::positions_where;
use super::error::LoadResult;
use super::location::Location;
use super::read::{LinkEntry, NodeEntry};
use super::required;
use crate::Work;

/// Knows the inputs of task classes. Only a Python interpreter can know them, and this crate runs none.
///
/// The loader asks only if links enter all nodes of a graph. A run then begins at the class nodes whose required inputs
/// are all among their `default_inputs`.
pub trait TaskClasses: fmt::Debug + Send + Sync {
    /// The names of the required inputs of each of these classes. Their modules are looked for in `folder` first, which
    /// is the folder of the graph file.
    ///
    /// # Errors
    /// When one of them is not a task class, or no interpreter can be asked.
    fn required_inputs(&self, classes: &[EwoksClass], folder: &Path) -> Result<Vec<Vec<String>>, UnknownClass>;
}

/// Why the inputs of task classes are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
#[non_exhaustive]
pub struct UnknownClass {
    /// The position of the class in the question.
    pub class: usize,
    /// Why, in one sentence.
    pub reason: String,
}

impl UnknownClass {
    /// Why the inputs of the class at this position of the question are not known, in one sentence.
    pub fn new(class: usize, reason: impl Into<String>) -> Self {
        UnknownClass { class, reason: reason.into() }
    }
}

/// Finds start nodes, and remembers the required inputs of the classes that it asked about.
pub(super) struct StartNodes<'a> {
    classes: Option<&'a dyn TaskClasses>,
    folder: &'a Path,
    required: HashMap<EwoksClass, HashSet<Key>>,
}

impl<'a> StartNodes<'a> {
    /// A finder for a graph whose file is in this folder.
    pub(super) fn new(classes: Option<&'a dyn TaskClasses>, folder: &'a Path) -> Self {
        StartNodes { classes, folder, required: HashMap::new() }
    }

    /// The positions of the start nodes: the nodes that no link enters, and those with `force_start_node`. If there is
    /// none, the class nodes that have all required inputs.
    pub(super) fn of(&mut self, nodes: &[NodeEntry], links: &[LinkEntry], graph: &Location) -> LoadResult<Vec<usize>> {
        let entered: HashSet<usize> = links.iter().map(|link| link.target).collect();
        let mut starts = positions_where(nodes, |position, node| node.force_start || !entered.contains(&position));
        if starts.is_empty() && !nodes.is_empty() {
            starts = self.classes_with_all_inputs(nodes, links)?;
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
    fn classes_with_all_inputs(&mut self, nodes: &[NodeEntry], links: &[LinkEntry]) -> LoadResult<Vec<usize>> {
        let required = required::required(nodes.len(), links);
        let waiting: HashSet<usize> =
            links.iter().zip(required).filter(|(_, required)| *required).map(|(link, _)| link.target).collect();
        let free = nodes.iter().enumerate().filter(|(position, _)| !waiting.contains(position));
        let candidates: Vec<(usize, &EwoksClass)> =
            free.filter_map(|(position, node)| Some((position, class(node)?))).collect();
        self.ask_for_inputs(&candidates, nodes)?;
        let has = |position: usize, key| nodes[position].defaults.payload(key).is_some();
        let has_all = |(position, class): &(usize, _)| self.required[*class].iter().all(|key| has(*position, key));
        Ok(candidates.into_iter().filter(has_all).map(|(position, _)| position).collect())
    }

    /// Asks for the required inputs of the classes of these nodes, but for those that it remembers.
    fn ask_for_inputs(&mut self, candidates: &[(usize, &EwoksClass)], nodes: &[NodeEntry]) -> LoadResult<()> {
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
        let asked =
            self.classes.map_or_else(|| Err(no_interpreter()), |classes| classes.required_inputs(&wanted, self.folder));
        let answer = asked.map_err(|UnknownClass { class, reason }| {
            let question = "a run begins at this node if it has all inputs that its task class needs";
            nodes[first[class]].location.invalid(format!("{question}, but {reason}"))
        })?;
        let keys = |names: Vec<String>| names.into_iter().map(Key::from).collect();
        self.required.extend(wanted.into_iter().zip(answer.into_iter().map(keys)));
        Ok(())
    }
}

fn no_interpreter() -> UnknownClass {
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
