//! [`Link`]: what triggers its target, and with what.

use pushflow_value::{Key, Value};

use crate::{Condition, Port};

/// Names a link of one graph; counted from 0 in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub(crate) u32);

impl LinkId {
    /// The position among the graph's links.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One link: what triggers its target, and with what.
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
    /// For a link that leaves a router: which port.
    pub port: Option<Port>,
    /// All must hold for the link to be taken.
    pub conditions: Vec<Condition>,
    /// What the target gets.
    pub mapping: Mapping,
    /// How arrivals on this link merge with the target's others.
    pub arrival: Arrival,
    /// Whether it is taken when the source fails, and then only; its data is what reached the source, with the entry
    /// `WorkflowException` on top (`parity.md` P36, P37).
    pub on_error: bool,
}

impl Link {
    /// A link as workflows built from code have it: always taken, and the target runs at once with all the data.
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

/// What the target of a link gets of the data that its source hands on.
#[derive(Clone, Debug, PartialEq)]
pub enum Mapping {
    /// Everything, by the same names.
    All,
    /// The named outputs, under new names; empty: nothing, the link only triggers.
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

/// How what arrives on a link merges with what arrives on the target's other links (`ewoks_format.md`, "Execution";
/// `parity.md` P147, P148).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Runs the target at once, with this link's data alone: the rule of workflows built from code (`parity.md` P7).
    Direct,
    /// The run's own inputs to an ewoks start node: kept, below everything that arrives on other links.
    Start,
    /// Must have delivered before the target runs; its last data is kept for ever.
    Required,
    /// Runs the target once the required links have delivered.
    Optional {
        /// Whether its last data is kept for later runs of the target.
        cached: bool,
    },
}
