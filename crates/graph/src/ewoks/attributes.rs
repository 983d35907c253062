//! The names of the attributes that the format knows, for each kind of object.

use super::{serialized, settings};

pub(super) const TOP_LEVEL: &[&str] = &["graph", "nodes", "links", "directed", "multigraph", serialized::KEY];
pub(super) const GRAPH: &[&str] =
    &["id", "label", "schema_version", "requirements", "input_nodes", "output_nodes", settings::KEY];
pub(super) const ALIAS: &[&str] = &["id", "node", "sub_node", "link_attributes"];
/// The attributes of all nodes, but for those that say what the node does.
pub(super) const NODE: &[&str] = &[
    "id",
    "label",
    "default_inputs",
    "force_start_node",
    "conditions_else_value",
    "default_error_node",
    "default_error_attributes",
    settings::KEY,
];
/// The attributes of a node that stands for a graph, beside those of all nodes.
pub(super) const GRAPH_NODE: &[&str] = &["task_type", "task_identifier", "graph"];
/// The attributes of a link.
pub(super) const LINK: &[&str] = &[
    "source",
    "target",
    "sub_source",
    "sub_target",
    "sub_target_attributes",
    "map_all_data",
    "data_mapping",
    "conditions",
    "on_error",
    "required",
    "cache_if_optional",
];
/// The attributes of a node that say what the node does.
pub(super) const TASK: &[&str] = &["task_type", "task_identifier", "task_generator"];
