//! Makes a graph smaller as long as a property of it holds.

use serde_json::Value;

use super::generate::Case;

/// The most smaller graphs that are tried.
const MOST_TRIES: usize = 200;

/// The smallest graph found for which the property holds.
pub fn shrink(case: &Case, holds: impl Fn(&Case) -> bool) -> Case {
    let mut smallest = case.clone();
    let mut tries = 0;
    loop {
        let size = size(&smallest);
        let paths = removable(&smallest);
        for path in paths.iter().rev() {
            tries += 1;
            if tries > MOST_TRIES {
                return smallest;
            }
            let smaller = without(&smallest, path);
            if holds(&smaller) {
                smallest = smaller;
            }
        }
        if self::size(&smallest) == size {
            return smallest;
        }
    }
}

fn size(case: &Case) -> usize {
    case.graph.to_string().len() + case.inputs.len()
}

/// Where to something in the graph.
type Path = Vec<Step>;

#[derive(Clone)]
enum Step {
    Key(String),
    At(usize),
    /// One of the inputs from outside.
    Input(usize),
}

/// The parts that a graph may lose.
fn removable(case: &Case) -> Vec<Path> {
    let mut paths: Vec<Path> = (0..case.inputs.len()).map(|at| vec![Step::Input(at)]).collect();
    collect(&case.graph, &mut Vec::new(), &mut paths);
    paths
}

fn collect(value: &Value, path: &mut Path, paths: &mut Vec<Path>) {
    let needed = [
        "id",
        "graph",
        "nodes",
        "links",
        "source",
        "target",
        "sub_source",
        "sub_target",
        "node",
        "sub_node",
        "task_type",
        "task_identifier",
        "multigraph",
        "name",
        "value",
        "source_output",
        "target_input",
    ];
    match value {
        Value::Object(entries) => {
            for (key, entry) in entries {
                path.push(Step::Key(key.clone()));
                if !needed.contains(&key.as_str()) {
                    paths.push(path.clone());
                }
                if entry.is_object() || entry.is_array() {
                    collect(entry, path, paths);
                }
                path.pop();
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                path.push(Step::At(at));
                paths.push(path.clone());
                collect(item, path, paths);
                path.pop();
            }
        }
        _ => {}
    }
}

fn without(case: &Case, path: &[Step]) -> Case {
    let mut smaller = case.clone();
    if let [Step::Input(at)] = path {
        smaller.inputs.remove(*at);
        return smaller;
    }
    let (last, above) = path.split_last().expect("a path leads somewhere");
    let mut value = Some(&mut smaller.graph);
    for step in above {
        value = value.and_then(|value| match step {
            Step::Key(key) => value.get_mut(key),
            Step::At(at) | Step::Input(at) => value.get_mut(at),
        });
    }
    match (value, last) {
        (Some(Value::Object(entries)), Step::Key(key)) => _ = entries.remove(key),
        (Some(Value::Array(items)), Step::At(at)) if *at < items.len() => _ = items.remove(*at),
        _ => {}
    }
    drop_loose_links(&mut smaller.graph);
    smaller
}

/// Drops links with an end that was dropped.
fn drop_loose_links(graph: &mut Value) {
    let Some(nodes) = graph.get_mut("nodes").and_then(Value::as_array_mut) else { return };
    nodes.iter_mut().for_each(|node| drop_loose_links(&mut node["task_identifier"]));
    let ids: Vec<Value> = nodes.iter().map(|node| node["id"].clone()).collect();
    if let Some(links) = graph.get_mut("links").and_then(Value::as_array_mut) {
        links.retain(|link| ids.contains(&link["source"]) && ids.contains(&link["target"]));
    }
}
