//! Start nodes of graphs in which links enter all nodes: the loader asks a `TaskClasses` which inputs the task classes
//! need.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use pushflow_graph::Graph;
use pushflow_graph::ewoks::{Input, InputNodes, LoadError, LoadOptions, TaskClasses, UnknownClass, load_reader};
use pushflow_model::EwoksClass;

use crate::{link, refused, targets};

/// Knows the classes `m.Sum`, which needs `a` and `b`, and `m.Free`, which needs no inputs.
#[derive(Debug, Default)]
struct KnownClasses {
    questions: Mutex<Vec<Vec<String>>>,
    folders: Mutex<Vec<PathBuf>>,
}

impl TaskClasses for KnownClasses {
    fn required_inputs(&self, classes: &[EwoksClass], folder: &Path) -> Result<Vec<Vec<String>>, UnknownClass> {
        self.questions.lock().unwrap().push(classes.iter().map(|class| class.name.clone()).collect());
        self.folders.lock().unwrap().push(folder.to_owned());
        let needs = |(position, class): (usize, &EwoksClass)| match class.name.as_str() {
            "Sum" => Ok(vec!["a".to_owned(), "b".to_owned()]),
            "Free" => Ok(Vec::new()),
            other => Err(UnknownClass::new(position, format!("nobody knows {other}"))),
        };
        classes.iter().enumerate().map(needs).collect()
    }
}

const ON: &str = r#""conditions": [{"source_output": "x", "value": 1}]"#;
const REQUIRED: &str = r#""required": true"#;
const A_AND_B: &str = r#"[{"name": "a", "value": 1}, {"name": "b", "value": null}]"#;

fn node(id: &str, class: &str, defaults: &str) -> String {
    format!(r#"  {{"id": "{id}", "task_type": "class", "task_identifier": "m.{class}", "default_inputs": {defaults}}}"#)
}

fn port(id: &str) -> String {
    format!(r#"  {{"id": "{id}", "task_type": "ppfport"}}"#)
}

fn text(nodes: &[String], links: &[String]) -> String {
    format!("{{\"nodes\": [\n{}],\n\"links\": [{}]}}", nodes.join(",\n"), links.join(", "))
}

fn load(text: &str, known: &Arc<KnownClasses>, inputs: Vec<Input>) -> Result<Graph, LoadError> {
    let options = LoadOptions::default().with_inputs(inputs).with_root("/graphs").with_classes(known.clone());
    load_reader(text.as_bytes(), "demo.json", &options)
}

#[test]
fn a_run_begins_at_class_nodes_that_have_all_they_need() {
    let nodes = [node("a", "Sum", A_AND_B), node("b", "Sum", "[]"), node("c", "Free", "[]")];
    let links = [link("a", "b", ON), link("b", "c", ON), link("c", "a", ON)];
    let known = Arc::<KnownClasses>::default();
    assert_eq!(targets(&load(&text(&nodes, &links), &known, Vec::new()).unwrap(), "Start"), ["a", "c"]);
    assert_eq!(*known.questions.lock().unwrap(), [["Sum", "Free"]], "each class once, and all at once");
    assert_eq!(*known.folders.lock().unwrap(), [Path::new("/graphs")]);
}

#[test]
fn a_class_node_that_waits_for_a_link_is_no_start_node_and_nobody_is_asked() {
    let nodes = [node("a", "Unknown", A_AND_B), node("b", "Sum", A_AND_B)];
    let links = [link("a", "b", ON), link("b", "a", REQUIRED)];
    let known = Arc::<KnownClasses>::default();
    assert_eq!(targets(&load(&text(&nodes, &links), &known, Vec::new()).unwrap(), "Start"), ["b"]);
    assert_eq!(*known.questions.lock().unwrap(), [["Sum"]]);
}

#[test]
fn nobody_is_asked_where_some_node_has_no_incoming_link() {
    let nodes = [node("a", "Unknown", "[]"), port("b")];
    let known = Arc::<KnownClasses>::default();
    let graph = load(&text(&nodes, &[link("b", "a", ON), link("a", "a", ON)]), &known, Vec::new()).unwrap();
    assert_eq!(targets(&graph, "Start"), ["b"]);
    assert!(known.questions.lock().unwrap().is_empty());
}

#[test]
fn inputs_from_outside_may_make_a_start_node_and_are_for_those_without_them() {
    let nodes = [node("a", "Sum", "[]"), node("b", "Free", "[]")];
    let text = text(&nodes, &[link("a", "b", ON), link("b", "a", ON)]);
    let known = Arc::<KnownClasses>::default();
    let input = |name: &str| Input::new(name, 1, only("a"));
    let graph = load(&text, &known, vec![input("a"), input("b")]).unwrap();
    assert_eq!(targets(&graph, "Start"), ["a", "b"]);
    assert_eq!(known.questions.lock().unwrap().len(), 1, "what is known is not asked again");
    let graph = load(&text, &known, vec![Input::of_start("a", 1), Input::of_start("b", 1)]).unwrap();
    assert_eq!(targets(&graph, "Start"), ["b"], "only the start node got them");
}

#[test]
fn inputs_from_outside_may_make_the_only_start_node_unless_some_are_for_start_nodes() {
    let text = text(&[node("a", "Sum", "[]")], &[link("a", "a", ON)]);
    let load = |inputs| load(&text, &Arc::default(), inputs);
    let input = |name: &str| Input::new(name, 1, InputNodes::All);
    assert_eq!(targets(&load(vec![input("a"), input("b")]).unwrap(), "Start"), ["a"]);
    let error = load(vec![input("a"), input("b"), Input::of_start("c", 1)]).unwrap_err().to_string();
    assert!(error.contains("graph: there is no start node"), "{error}");
}

fn only(id: &str) -> InputNodes {
    InputNodes::Id(id.to_owned())
}

#[test]
fn a_class_that_is_not_known_is_said_with_its_node_and_place() {
    let nodes = [node("a", "Free", "[]"), node("b", "Other", "[]")];
    let text = text(&nodes, &[link("a", "b", ON), link("b", "a", ON)]);
    let error = load(&text, &Arc::default(), Vec::new()).unwrap_err().to_string();
    let expected = "demo.json, line 3 column 3: node \"b\": a run begins at this node if it has all inputs that its task \
                    class needs, but nobody knows Other";
    assert_eq!(error, expected);
}

#[test]
fn without_anybody_to_ask_the_graph_is_refused() {
    let text = text(&[node("a", "Free", "[]")], &[link("a", "a", ON)]);
    let expected = "node \"a\": a run begins at this node if it has all inputs that its task class needs, but there is no \
                    Python interpreter to ask for these; set \"force_start_node\" to true on the node to begin with";
    assert_eq!(refused(&text), expected);
}

#[test]
fn a_graph_in_which_no_class_has_all_it_needs_has_no_start_node() {
    let text = text(&[node("a", "Sum", r#"[{"name": "a", "value": 1}]"#)], &[link("a", "a", ON)]);
    let error = load(&text, &Arc::default(), Vec::new()).unwrap_err().to_string();
    assert!(error.contains("graph: there is no start node"), "{error}");
}
