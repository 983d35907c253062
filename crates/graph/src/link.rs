//! [`Link`]: what triggers its target, and with what.

use pushflow_model::{Key, Value};

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
#[derive(Clone, Debug)]
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
pub struct FieldMap {
    /// The output of the source.
    pub source: Key,
    /// The input of the target.
    pub target: Key,
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
