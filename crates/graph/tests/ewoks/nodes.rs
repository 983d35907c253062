//! The tasks of nodes and their default inputs.

use pushflow_graph::{Passing, Work};
use pushflow_model::{EwoksClass, EwoksTask, EwoksWork, Key, PythonTask, Returns, ScriptTask, TaskSpec, Value};

use crate::{load, one_node, refused, task};

fn work(attributes: &str) -> (Work, Passing) {
    let graph = load(&one_node(attributes)).unwrap();
    let task = task(&graph, "a");
    (task.work.clone(), task.passing)
}

fn python(module: &str, function: &str, returns: Returns) -> Work {
    let (module, function) = (module.to_owned(), function.to_owned());
    Work::Attempt(TaskSpec::Python(PythonTask { module, function, returns }))
}

fn method(identifier: &str) -> Work {
    work(&format!(r#""task_type": "method", "task_identifier": "{identifier}""#)).0
}

#[test]
fn a_ppfmethod_returns_an_update_of_the_travelling_dictionary() {
    let (work, passing) = work(r#""task_type": "ppfmethod", "task_identifier": "hello_task.run""#);
    assert_eq!(work, python("hello_task", "run", Returns::Mapping));
    assert_eq!(passing, Passing::Dict);
}

#[test]
fn a_method_returns_any_value() {
    let (work, passing) = work(r#""task_type": "method", "task_identifier": "pkg.mod.add""#);
    assert_eq!(work, python("pkg.mod", "add", Returns::Value));
    assert_eq!(passing, Passing::Result);
}

#[test]
fn a_ppfport_runs_nothing() {
    assert_eq!(work(r#""task_type": "ppfport""#), (Work::Identity, Passing::Dict));
    assert_eq!(work(r#""task_type": "ppfport", "task_identifier": """#).0, Work::Identity);
    let expected = r#"node "a": task type "ppfport" runs no task; leave "task_identifier" out"#;
    assert_eq!(refused(&one_node(r#""task_type": "ppfport", "task_identifier": "a.b""#)), expected);
}

#[test]
fn a_function_of_a_file_is_looked_up_in_the_graphs_folder() {
    assert_eq!(method("tasks/add.py::run"), python("/graphs/tasks/add.py", "run", Returns::Value));
    assert_eq!(method("/elsewhere/add.py::run"), python("/elsewhere/add.py", "run", Returns::Value));
    assert_eq!(method("pkg.mod::run"), python("pkg.mod", "run", Returns::Value));
}

#[test]
fn an_identifier_that_names_no_function_is_refused() {
    let message = |identifier: &str| {
        let text = one_node(&format!(r#""task_type": "method", "task_identifier": "{identifier}""#));
        let message = refused(&text);
        let start = format!("node \"a\": task identifier {identifier:?} names no Python function; ");
        message.strip_prefix(&start).expect("the identifier is named").to_owned()
    };
    let advice = r#"write it as "package.module:function", "package.module.function" or "path/to/file.py::function""#;
    for identifier in
        [".run", "mod.", "a..b", "a:b:run", "a/b.c", "mod.1a", "::run", "a.py::", "a b.c", ".py", ":", "a:1"]
    {
        assert_eq!(message(identifier), advice, "{identifier}");
    }
}

#[test]
fn a_module_or_file_without_a_function_stands_for_its_run() {
    assert_eq!(method("tasks"), python("tasks", "run", Returns::Value));
    assert_eq!(method("pkg.mod.py"), python("pkg.mod", "run", Returns::Value));
    assert_eq!(method("tasks/add.py"), python("/graphs/tasks/add.py", "run", Returns::Value));
}

#[test]
fn a_function_after_a_colon_may_be_inside_a_class() {
    assert_eq!(method("pkg.mod:run"), python("pkg.mod", "run", Returns::Value));
    assert_eq!(method("pkg.mod:Task.make"), python("pkg.mod", "Task.make", Returns::Value));
    assert_eq!(method("add.py:run"), python("/graphs/add.py", "run", Returns::Value));
}

fn ewoks(attributes: &str) -> EwoksWork {
    match work(attributes) {
        (Work::Attempt(TaskSpec::Ewoks(EwoksTask { work, node, label: None })), Passing::Result) if node == "a" => work,
        other => panic!("{other:?}"),
    }
}

fn class(module: &str, name: &str) -> EwoksWork {
    EwoksWork::Class(EwoksClass { module: module.into(), name: name.into() })
}

#[test]
fn a_class_is_in_a_module_or_in_a_file_of_the_graphs_folder() {
    let named = |identifier: &str| ewoks(&format!(r#""task_type": "class", "task_identifier": "{identifier}""#));
    assert_eq!(named("pkg.mod.Sum"), class("pkg.mod", "Sum"));
    assert_eq!(named("pkg.mod:Outer.Sum"), class("pkg.mod", "Outer.Sum"));
    assert_eq!(named("tasks/add.py::Sum"), class("/graphs/tasks/add.py", "Sum"));
    assert_eq!(named("pkg.mod::Sum"), class("pkg.mod", "Sum"));
    assert_eq!(ewoks(r#""class": "pkg.mod.Sum""#), class("pkg.mod", "Sum"));
    for identifier in ["Sum", "tasks/add.py", ".Sum", "mod.", "a b.Sum", "pkg.mod.1"] {
        let text = one_node(&format!(r#""task_type": "class", "task_identifier": "{identifier}""#));
        let expected = format!(
            "node \"a\": task identifier {identifier:?} names no Python class; write it as \"package.module.Class\" or \
             \"path/to/file.py::Class\""
        );
        assert_eq!(refused(&text), expected);
    }
}

#[test]
fn a_generated_task_names_the_function_that_makes_its_class() {
    let expected =
        EwoksWork::Generated { module: "pkg.mod".into(), generator: "make".into(), identifier: "any thing".into() };
    let rest = r#""task_identifier": "any thing", "task_generator": "pkg.mod.make""#;
    assert_eq!(ewoks(&format!(r#""task_type": "generated", {rest}"#)), expected);
    assert_eq!(ewoks(r#""task": "any thing", "task_generator": "pkg.mod.make""#), expected);
    let without = r#"node "a": "task_generator" is missing"#;
    assert_eq!(refused(&one_node(r#""task": "any thing""#)), without);
    assert_eq!(refused(&one_node(r#""task": "any thing", "task_generator": """#)), without);
    let wrong = refused(&one_node(r#""task": "x", "task_generator": "make""#));
    let advice = r#"write it as "package.module:function", "package.module.function" or "path/to/file.py::function""#;
    assert_eq!(wrong, format!(r#"node "a": task identifier "make" names no Python function; {advice}"#));
}

#[test]
fn a_notebook_is_a_file_or_an_address() {
    let notebook = |path: &str| ewoks(&format!(r#""task_type": "notebook", "task_identifier": "{path}""#));
    let expected = |path: &str| EwoksWork::Notebook { path: path.into() };
    assert_eq!(notebook("fit.ipynb"), expected("/graphs/fit.ipynb"));
    assert_eq!(notebook("https://somewhere/fit.ipynb"), expected("https://somewhere/fit.ipynb"));
    assert_eq!(ewoks(r#""notebook": "/n/fit.ipynb""#), expected("/n/fit.ipynb"));
}

#[test]
fn a_task_of_ewokscore_knows_its_node_by_id_and_label() {
    let text = r#"{"nodes": [{"id": "g", "task_type": "graph", "task_identifier": {"nodes": [
        {"id": "a", "label": "Node A", "task_type": "class", "task_identifier": "m.C"}]}}]}"#;
    let Work::Attempt(TaskSpec::Ewoks(task)) = task(&load(text).unwrap(), "g:a").work.clone() else {
        panic!("it is a class")
    };
    assert_eq!((task.node.as_str(), task.label.as_deref()), ("g:a", Some("Node A")));
}

#[test]
fn a_script_that_is_no_file_is_a_command_split_at_single_spaces() {
    let (work, passing) = work(r#""task_type": "script", "task_identifier": "python -c  print(1)""#);
    let words = ["python", "-c", "", "print(1)"].map(str::to_owned).to_vec();
    assert_eq!(work, Work::Attempt(TaskSpec::Script(ScriptTask::Command(words))));
    assert_eq!(passing, Passing::Result);
}

#[test]
fn the_older_spelling_of_a_supported_task_type_is_read() {
    assert_eq!(work(r#""method": "pkg.mod.add""#), work(r#""task_type": "method", "task_identifier": "pkg.mod.add""#));
    assert_eq!(work(r#""ppfmethod": "m.run""#).1, Passing::Dict);
    assert_eq!(work(r#""ppfport": true"#).0, Work::Identity);
    assert_eq!(work(r#""script": "ls""#).1, Passing::Result);
    let two = refused(&one_node(r#""task_type": "method", "task_identifier": "a.b", "script": "ls""#));
    assert_eq!(two, r#"node "a": "task_type" and "script" both say what the node does; keep one of them"#);
}

#[test]
fn a_node_must_say_what_it_does() {
    let missing = r#"node "a": "task_type" is missing; it may be class, generated, graph, method, notebook, ppfmethod, ppfport, script"#;
    assert_eq!(refused(&one_node(r#""label": "a""#)), missing);
    let unknown = r#"node "a": unknown task type "ppf_method"; did you mean "ppfmethod"?"#;
    assert_eq!(refused(&one_node(r#""task_type": "ppf_method""#)), unknown);
    assert_eq!(refused(&one_node(r#""task_type": "subprocess""#)), r#"node "a": unknown task type "subprocess""#);
    for nothing in ["", r#", "task_identifier": null"#, r#", "task_identifier": """#] {
        let text = one_node(&format!(r#""task_type": "method"{nothing}"#));
        assert_eq!(refused(&text), r#"node "a": "task_identifier" is missing"#);
    }
    let generator = one_node(r#""task_type": "method", "task_identifier": "a.b", "task_generator": "c.d""#);
    let expected = r#"node "a": "task_generator" belongs to task type "generated"; leave it out"#;
    assert_eq!(refused(&generator), expected);
}

#[test]
fn default_inputs_are_named_or_positional_and_the_last_of_a_name_counts() {
    let items = r#"{"name": "x", "value": 1}, {"name": 1, "value": null}, {"name": "02", "value": [1]},
                   {"name": "x", "value": 2}"#;
    let graph = load(&one_node(&format!(r#""task_type": "ppfport", "default_inputs": [{items}]"#))).unwrap();
    let defaults = &task(&graph, "a").defaults;
    let entries: Vec<(Key, Value)> =
        defaults.iter().map(|(key, payload)| (key.clone(), payload.value().unwrap().clone())).collect();
    let list = Value::from(vec![Value::from(1)]);
    assert_eq!(entries, [(Key::from("x"), 2.into()), (Key::from(1), Value::Null), (Key::from(2), list)]);
}

#[test]
fn a_default_input_needs_a_name_and_a_value() {
    let message = |item: &str| refused(&one_node(&format!(r#""task_type": "ppfport", "default_inputs": [{item}]"#)));
    let place = r#"node "a", item 1 of "default_inputs": "#;
    assert_eq!(message(r#"{"value": 1}"#), format!(r#"{place}"name" is missing"#));
    assert_eq!(message(r#"{"name": "x"}"#), format!(r#"{place}"value" is missing"#));
    let boolean = format!(r#"{place}"name" must be a text or a position, not a boolean"#);
    assert_eq!(message(r#"{"name": true, "value": 1}"#), boolean);
    let far = format!(r#"{place}"name" is a position, so it must be between 0 and 65535"#);
    for position in ["-1", "65536", r#""99999999999999999999""#] {
        assert_eq!(message(&format!(r#"{{"name": {position}, "value": 1}}"#)), far);
    }
}

#[test]
fn a_nodes_id_is_the_actors_name_and_its_label_is_kept_beside() {
    let text =
        r#"{"nodes": [{"id": 12, "task_type": "ppfport", "label": "twelve"}, {"id": "b", "task_type": "ppfport"}]}"#;
    let graph = load(text).unwrap();
    let label = |name: &str| graph.label(graph.find(name).unwrap());
    assert_eq!((label("12"), label("b")), ("twelve", "b"));
}

#[test]
fn an_else_value_that_no_condition_can_look_for_is_refused() {
    let text = one_node(r#""task_type": "ppfport", "conditions_else_value": [1]"#);
    let expected = "node \"a\": \"conditions_else_value\" is a list, but a condition needs a text, a number, a boolean \
                    or null";
    assert_eq!(refused(&text), expected);
}
