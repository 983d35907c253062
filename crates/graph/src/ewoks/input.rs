//! [`Input`]: a value for an input of some nodes of a graph, in place of what their `default_inputs` say.

use pushflow_value::{Key, Value};

/// A value for an input of some nodes. What arrives on a link overrides it, and it overrides `default_inputs`.
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
    /// The input: a name or a position.
    pub name: Key,
    /// Its value.
    pub value: Value,
    /// Which nodes get it.
    pub nodes: InputNodes,
}

/// Which nodes get an input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputNodes {
    /// Those at which a run begins.
    #[default]
    Start,
    /// All.
    All,
    /// The one of that id; a node of a graph in the graph is `graph:node`.
    Id(String),
    /// All of this label and of a task identifier that ends so, where these are given.
    Like {
        /// The label; for a node without one its id.
        label: Option<String>,
        /// How the task identifier ends.
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
