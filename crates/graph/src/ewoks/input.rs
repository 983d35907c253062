//! [`Input`]: a value for an input of some nodes of a graph, in place of what their `default_inputs` say.

use pushflow_model::{Key, Value};

/// A value for an input of some nodes. It overrides `default_inputs`, and data that arrives on a link overrides it.
///
/// ```
/// use pushflow_graph::ewoks::{Input, InputNodes};
///
/// let for_start_nodes = Input::of_start("name", "World");
/// let for_one_node = Input::new("b", 2, InputNodes::Id("sub:add".to_owned()));
/// # assert_ne!(for_start_nodes, for_one_node);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Input {
    /// The name or position of the input.
    pub name: Key,
    /// The value of the input.
    pub value: Value,
    /// The nodes that get it.
    pub nodes: InputNodes,
}

/// The nodes that get an input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputNodes {
    /// The nodes at which a run begins.
    #[default]
    Start,
    /// All nodes.
    All,
    /// The node with this id. A node of a nested graph has the id `graph:node`.
    Id(String),
    /// All nodes with this label and with a task identifier that ends so. `None` fits all nodes.
    Like {
        /// The label. A node without a label has its id for one.
        label: Option<String>,
        /// The end of the task identifier.
        task_identifier: Option<String>,
    },
}

impl Input {
    /// An input of these nodes.
    pub fn new(name: impl Into<Key>, value: impl Into<Value>, nodes: InputNodes) -> Input {
        Input { name: name.into(), value: value.into(), nodes }
    }

    /// An input of the nodes at which a run begins.
    pub fn of_start(name: impl Into<Key>, value: impl Into<Value>) -> Input {
        Input::new(name, value, InputNodes::Start)
    }
}
