//! Finding and reading the graph file and the files that it names.

use std::fs;
use std::path::Path;

use pushflow_graph::Work;
use pushflow_graph::ewoks::{LoadOptions, Problem, load_file, load_file_with, load_reader, load_str};
use pushflow_model::{ScriptTask, TaskSpec};

use crate::task;

/// A folder that holds these files.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

/// The message about a file that must be refused, without its path.
fn refused(path: &Path) -> String {
    let error = load_file(path).expect_err("the file was accepted");
    assert_eq!(error.file, path.display().to_string());
    assert!(error.to_string().starts_with(&error.file), "the file is named first: {error}");
    error.problem.to_string()
}

#[test]
fn a_graph_file_is_read() {
    let folder = folder(&[("demo.json", br#"{"graph": {"id": "demo"}}"#)]);
    assert_eq!(load_file(&folder.path().join("demo.json")).unwrap().name, "demo");
}

#[test]
fn a_file_with_any_name_and_a_byte_order_mark_is_read_as_json() {
    let folder = folder(&[("demo.graph", b"\xef\xbb\xbf{\"graph\": {\"id\": \"demo\"}}")]);
    assert_eq!(load_file(&folder.path().join("demo.graph")).unwrap().name, "demo");
}

#[test]
fn a_missing_file_is_refused_with_the_nearest_name() {
    let folder = folder(&[("demo.json", b"{}"), ("other.json", b"{}")]);
    let expected = r#"there is no such file; did you mean "demo.json"?"#;
    assert_eq!(refused(&folder.path().join("dmeo.json")), expected);
    assert_eq!(refused(&folder.path().join("nothing-like-it.json")), "there is no such file");
}

#[test]
fn a_file_in_a_missing_folder_is_refused_naming_the_folder() {
    let folder = folder(&[]);
    let missing = folder.path().join("graphs");
    let expected = format!("there is no such file, nor a folder {:?}", missing.display().to_string());
    assert_eq!(refused(&missing.join("demo.json")), expected);
}

#[test]
fn a_folder_is_refused() {
    let folder = folder(&[]);
    assert_eq!(refused(folder.path()), "this is a folder, not a graph file");
}

#[test]
fn a_file_below_a_file_is_refused() {
    let folder = folder(&[("demo.json", b"{}")]);
    assert!(refused(&folder.path().join("demo.json/inner.json")).starts_with("the file can't be read: "));
}

#[test]
fn a_file_that_is_not_utf_8_is_refused_with_the_position() {
    let folder = folder(&[("demo.json", b"{\"a\xff\": 1}")]);
    let error = load_file(&folder.path().join("demo.json")).unwrap_err();
    assert!(
        error.to_string().ends_with("demo.json, line 1 column 4: byte 4 is not UTF-8, so this is no text"),
        "{error}"
    );
}

#[test]
fn a_yaml_file_is_read_and_an_error_in_it_has_its_place() {
    let text: &[u8] = b"graph: {id: demo}\nnodes:\n- id: a\n  task_type: ppfport\n  label: [1]\n";
    let folder = folder(&[("good.YML", &text[..55]), ("bad.yaml", text), ("graph", &text[..55])]);
    for name in ["good.YML", "graph"] {
        assert!(load_file(&folder.path().join(name)).unwrap().find("a").is_some(), "{name}");
    }
    let error = load_file(&folder.path().join("bad.yaml")).unwrap_err().to_string();
    assert!(error.ends_with("bad.yaml, line 5 column 10: node \"a\": \"label\" must be a text, not a list"), "{error}");
}

#[test]
fn the_extension_of_a_graph_file_may_be_left_out() {
    let folder = folder(&[("one.json", b"{}"), ("two.yaml", b"graph: {id: two}")]);
    assert!(load_file(&folder.path().join("one")).is_ok());
    assert_eq!(load_file(&folder.path().join("two")).unwrap().name, "two");
}

#[test]
fn a_root_folder_is_looked_up_first() {
    let [root, other] = [("in root", "root"), ("elsewhere", "other")].map(|(label, _)| {
        folder(&[("demo.json", format!(r#"{{"graph": {{"id": "demo", "label": "{label}"}}}}"#).as_bytes())])
    });
    let options = LoadOptions::default().with_root(root.path());
    assert_eq!(load_file_with(Path::new("demo.json"), &options).unwrap().name, "in root");
    assert_eq!(load_file_with(&other.path().join("demo.json"), &options).unwrap().name, "elsewhere");
}

#[test]
fn a_graph_is_read_from_anything_that_can_be_read() {
    let read = |text: &[u8]| load_reader(text, "standard input", &LoadOptions::default());
    assert_eq!(read(b"{\"graph\": {\"id\": \"demo\"}}").unwrap().name, "demo");
    assert_eq!(read(b"graph:\n  id: demo\n").unwrap().name, "demo");
    let error = read(b"{").unwrap_err().to_string();
    assert!(error.starts_with("standard input, line 1 column 1: the text is no JSON: "), "{error}");
}

#[test]
fn an_empty_file_is_refused_as_no_json() {
    let folder = folder(&[("demo.json", b"")]);
    let error = load_file(&folder.path().join("demo.json")).unwrap_err();
    assert!(matches!(*error.problem, Problem::Text(_)), "{error}");
}

/// The work of a script node of a graph in that folder.
fn script(folder: &Path, identifier: &str) -> ScriptTask {
    let node = format!(r#"{{"id": "a", "task_type": "script", "task_identifier": "{identifier}"}}"#);
    let graph = load_str(&format!(r#"{{"nodes": [{node}]}}"#), folder, "demo.json").unwrap();
    match &task(&graph, "a").work {
        Work::Attempt(TaskSpec::Script(script)) => script.clone(),
        other => panic!("{other:?} is no script"),
    }
}

#[test]
fn a_script_is_looked_up_in_the_graphs_folder_then_in_the_current_one() {
    let folder = folder(&[("run.sh", b"echo"), ("Cargo.toml", b"")]);
    let current = std::env::current_dir().unwrap();
    assert_eq!(script(folder.path(), "run.sh"), ScriptTask::File(folder.path().join("run.sh")));
    assert_eq!(script(folder.path(), "Cargo.toml"), ScriptTask::File(folder.path().join("Cargo.toml")));
    assert_eq!(script(folder.path(), "src/lib.rs"), ScriptTask::File(current.join("src/lib.rs")));
    let absolute = folder.path().join("run.sh");
    assert_eq!(script(&current, absolute.to_str().unwrap()), ScriptTask::File(absolute));
}

#[test]
fn the_base_folder_of_a_text_may_be_relative() {
    let current = std::env::current_dir().unwrap();
    assert_eq!(script(Path::new("src"), "lib.rs"), ScriptTask::File(current.join("src/lib.rs")));
}

#[test]
fn a_python_file_that_is_there_is_a_file_and_no_module() {
    let folder = folder(&[("hello.py", b"")]);
    let node = r#"{"id": "a", "task_type": "method", "task_identifier": "hello.py"}"#;
    let graph = load_str(&format!(r#"{{"nodes": [{node}]}}"#), folder.path(), "demo.json").unwrap();
    let file = folder.path().join("hello.py").display().to_string();
    assert!(format!("{graph:?}").contains(&format!("module: {file:?}, function: \"run\"")), "{graph:?}");
}
