//! [`Link`]: when a link triggers its target, and with which data.

use pushflow_model::{Key, Value};

use crate::{Condition, Port};

/// The id of a link in its graph. Links are counted from 0, in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub(crate) u32);

impl LinkId {
    /// The position of the link among the links of its graph.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One link from a source to a target: when it triggers the target, and with which data.
///
/// ```
/// use pushflow_graph::{Arrival, Condition, FieldMap, Link, Mapping};
///
/// // As a link of an ewoks graph file with `conditions`, `data_mapping` and `required`.
/// let link = Link::direct()
///     .with_condition(Condition::equals("size", "big"))
///     .with_mapping(Mapping::Fields(vec![FieldMap::new("image", "input")]))
///     .with_arrival(Arrival::Required);
/// assert_eq!(link.conditions.len(), 1);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Link {
    /// The port from which the link leaves, if its source is a router.
    pub port: Option<Port>,
    /// The conditions of the link. All must hold for the link to be taken.
    pub conditions: Vec<Condition>,
    /// Which data the target gets.
    pub mapping: Mapping,
    /// How the data of this link merges with that of the other links into the target.
    pub arrival: Arrival,
    /// Whether the link is taken when the source fails, and only then. Its data is then the data that had reached the
    /// source, with the entry `WorkflowException` on top (`docs/parity.md` P36, P37).
    pub on_error: bool,
}

impl Link {
    /// A link that is always taken, and whose target runs at once with all the data: the default of workflows built
    /// from code.
    pub fn direct() -> Self {
        Link { port: None, conditions: Vec::new(), mapping: Mapping::All, arrival: Arrival::Direct, on_error: false }
    }

    /// A direct link that is taken when its source fails.
    pub fn on_error() -> Self {
        Link { on_error: true, ..Link::direct() }
    }

    /// A direct link out of a router: out of the port with that value, or out of the port `"other"`.
    pub fn port(value: impl Into<Value>) -> Self {
        Link { port: Some(Port::from(value.into())), ..Link::direct() }
    }

    /// The same link with one more condition.
    #[must_use]
    pub fn with_condition(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// The same link with another mapping.
    #[must_use]
    pub fn with_mapping(self, mapping: Mapping) -> Self {
        Link { mapping, ..self }
    }

    /// The same link with another arrival rule.
    #[must_use]
    pub fn with_arrival(self, arrival: Arrival) -> Self {
        Link { arrival, ..self }
    }
}

/// Which part of the data that the source of a link hands on reaches the target. The list is exhaustive on purpose, as
/// that of [`Arrival`].
#[derive(Clone, Debug, PartialEq)]
pub enum Mapping {
    /// All of it, under the same names.
    All,
    /// The named outputs, under new names. An empty list passes no data: the link only triggers.
    Fields(Vec<FieldMap>),
}

/// One entry of a data mapping: from the source's output to the target's input.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FieldMap {
    /// The output of the source.
    pub source: Key,
    /// The input of the target.
    pub target: Key,
}

impl FieldMap {
    /// From this output of the source to this input of the target.
    pub fn new(source: impl Into<Key>, target: impl Into<Key>) -> Self {
        FieldMap { source: source.into(), target: target.into() }
    }
}

/// How the data of a link merges with that of the other links into the target (`docs/parity.md` P147, P148). The list
/// is exhaustive on purpose: the reactor must know every rule, and the compiler checks that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The target runs at once, with the data of this link alone: the rule of workflows built from code
    /// (`docs/parity.md` P7).
    Direct,
    /// The link brings the inputs of the run to an ewoks start node. The node keeps them, below the data of its other
    /// links.
    Start,
    /// The target waits until this link has delivered, and keeps the last data of the link for the rest of the run.
    Required,
    /// The link triggers the target as soon as the required links have delivered.
    Optional {
        /// Whether the target keeps the last data of the link for its later executions.
        cached: bool,
    },
}
