//! `pushflow run` on ewoks graph files: inputs, output, and dry runs. The nodes are ports and commands, so that the
//! tests need no Python.

use std::fs::File;

use pushflow_tests::binaries::binaries;
use pushflow_tests::folder::Folder;
use pushflow_tests::run::Program;
use serde_json::{Value, json};

/// A graph `a` -> `sh`, in which `sh` is a command that runs the shell script in its input `script`; and `lonely`, a
/// port.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write_graph(
        json!([
            {"id": "a", "task_type": "ppfport", "label": "the first"},
            {"id": "sh", "pushflow": {"command": ["sh", "-c", "{script}"]}},
            {"id": "lonely", "task_type": "ppfport", "default_inputs": [{"name": "x", "value": 1}]},
        ]),
        json!([{"source": "a", "target": "sh"}]),
    );
    folder
}

fn run(folder: &Folder, arguments: &[&str]) -> Program {
    Program::pushflow_run(folder.graph()).args(arguments)
}

/// Writes an inputs file that makes `sh` run this script.
fn script(folder: &Folder, script: &str) -> String {
    let inputs = json!([{"name": "script", "value": script, "id": "sh"}]);
    folder.write("inputs.json", inputs.to_string()).display().to_string()
}

/// Checks the values that differ from run to run, and replaces them.
fn pinned(mut object: Value) -> Value {
    assert!(object["run"].as_str().is_some_and(|run| run.contains('-')), "{object}");
    assert!(object["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{object}");
    object["run"] = json!("RUN");
    object["seconds"] = json!(0);
    object
}

#[test]
fn the_object_about_a_run_has_this_form() {
    let folder = folder();
    let inputs = script(&folder, "echo it works");
    let finished = run(&folder, &["--inputs", &inputs, "--output", "all", "--format", "json", "x=2"]).run();
    let mut object = pinned(finished.assert_code(0).json());
    assert_eq!(finished.stdout.lines().count(), 1);
    let keys: Vec<&String> = object.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["schema", "run", "workflow", "outcome", "result", "nodes", "errors", "seconds"]);
    let done = json!({"stdout": "it works\n", "stderr": "", "exit_code": 0});
    assert_eq!(object["result"].take(), done);
    let port = |x: i64| {
        let outputs = json!({"_ppfdict": {"x": x}});
        json!({"executions": [{"status": "finished", "attempt": null, "inputs": {"x": x}, "outputs": outputs}]})
    };
    let sh = json!({"status": "finished", "attempt": 1, "inputs": {"script": "echo it works"}, "outputs": done});
    let expected = json!({
        "schema": 1, "run": "RUN", "workflow": "test", "outcome": "finished", "result": null,
        "nodes": {"a": port(2), "lonely": port(2), "sh": {"executions": [sh]}},
        "errors": [], "seconds": 0,
    });
    assert_eq!(object, expected);
}

#[test]
fn the_object_about_a_run_that_failed_has_this_form() {
    let folder = folder();
    let inputs = script(&folder, "exit 3");
    let finished = run(&folder, &["--inputs", &inputs, "--output", "all", "--format", "json"]).run();
    let object = pinned(finished.assert_code(1).json());
    assert_eq!((&object["outcome"], &object["result"]), (&json!("failed"), &json!({"_ppfdict": {"x": 1}})));
    let sh = &object["nodes"]["sh"]["executions"][0];
    let keys: Vec<&String> = sh.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["status", "attempt", "inputs", "error"]);
    assert_eq!((&sh["status"], &sh["error"]["traceback"]), (&json!("failed"), &json!([])));
    let error = &object["errors"][0];
    assert_eq!((&error["node"], &error["handled"]), (&json!("sh"), &json!(false)));
    assert_eq!((&error["type"], &error["message"]), (&sh["error"]["type"], &sh["error"]["message"]));
}

#[test]
fn an_error_that_is_handled_is_listed_as_such_and_the_handler_gets_the_data() {
    let folder = Folder::new();
    folder.write_graph(
        json!([
            {"id": "sh", "pushflow": {"command": ["sh", "-c", "exit {code}"]}},
            {"id": "handler", "task_type": "ppfport", "default_error_node": true},
        ]),
        json!([]),
    );
    let finished = run(&folder, &["code=4", "--format", "json", "--output", "all"]).run();
    let object = finished.assert_code(0).json();
    assert_eq!((&object["outcome"], &object["errors"][0]["handled"]), (&json!("finished"), &json!(true)));
    assert_eq!(
        finished.stderr, "note: an error of sh (attempt 1) was handled: CommandFailed: sh exited with code 4\n",
        "nothing fails in silence"
    );
    let got = &object["nodes"]["handler"]["executions"][0]["inputs"];
    assert!(got["WorkflowException"]["errorMessage"].as_str().is_some_and(|text| !text.is_empty()), "{object}");
    assert_eq!(got["code"], Value::Null, "inputs from outside are default inputs, which an error link does not carry");
}

#[test]
fn attempts_that_took_too_long_are_told_apart() {
    let folder = folder();
    let inputs = script(&folder, "exec sleep 1000");
    let finished = run(&folder, &["--timeout", "2s", "--format", "json"]).args(["--inputs", &inputs]).run();
    assert_eq!(finished.assert_code(3).json()["outcome"], "timed_out");
    let text = folder.read("graph.json").replace(r#""command":["#, r#""timeout":"100ms","command":["#);
    folder.write("graph.json", text);
    let finished = run(&folder, &["--inputs", &inputs, "--output", "all", "--format", "json"]).run();
    let object = finished.assert_code(1).json();
    assert_eq!(object["nodes"]["sh"]["executions"][0]["status"], "timed_out", "{object}");
}

#[test]
fn a_limit_of_the_graph_counts_unless_the_command_line_has_one() {
    let folder = Folder::new();
    let graph = json!({
        "graph": {"id": "test", "pushflow": {"max_rounds": 5}},
        "nodes": [{"id": "a", "task_type": "ppfport", "force_start_node": true}, {"id": "end", "task_type": "ppfport"}],
        "links": [
            {"source": "a", "target": "a", "conditions": [{"source_output": "go", "value": true}], "map_all_data": true},
            {"source": "a", "target": "end", "conditions": [{"source_output": "go", "value": false}]},
        ],
    });
    folder.write("graph.json", graph.to_string());
    run(&folder, &["go=true"]).run().assert_code(1).assert_error("the actor may run 5 times in one run (max_rounds)");
    run(&folder, &["go=true", "--max-rounds", "9"]).run().assert_code(1).assert_error("the actor may run 9 times");
    run(&folder, &["go=false"]).run().assert_code(0);
}

#[test]
fn inputs_come_from_a_file_from_standard_input_and_from_the_command_line_which_wins() {
    let folder = folder();
    let inputs = json!([
        {"name": "script", "value": "echo $0", "all": true},
        {"name": "x", "value": "of the file", "label": "the first"},
        {"name": "y", "value": "of the file"},
    ]);
    let file = folder.write("inputs.json", inputs.to_string());
    for place in [file.to_str().unwrap(), "-", "/dev/stdin"] {
        let program =
            run(&folder, &["--inputs", place, "y=ours", "--output", "ends"]).stdin(File::open(&file).unwrap());
        let finished = program.run();
        assert!(finished.assert_code(0).stdout.contains("sh:\n  stdout: |\n    sh\n"), "{finished:?}");
        assert!(finished.stdout.contains("lonely:\n  x: 1\n"), "{finished:?}");
        assert!(finished.stdout.contains("  y: ours\n") && !finished.stdout.contains("y: of the file"), "{finished:?}");
    }
}

#[test]
fn inputs_that_are_none_are_refused() {
    let folder = folder();
    let refused = |arguments: &[&str], sentence: &str| {
        let finished = run(&folder, arguments).run();
        finished.assert_code(2).assert_error(sentence);
        assert_eq!(finished.stdout, "");
    };
    let inputs = folder.write("inputs.json", r#"[{"name": "x", "value": 1, "id": "lonley"}]"#).display().to_string();
    refused(
        &["--inputs", &inputs],
        "the input \"x\" is for a node of id \"lonley\", and there is none; did you mean \"lonely\"?",
    );
    let inputs = folder.write("inputs.json", "[\n{\"name\": \"x\"}]").display().to_string();
    refused(&["--inputs", &inputs], "inputs.json, line 2 column 1: input number 1: \"value\" is missing");
    let missing = folder.path("nothing.json").display().to_string();
    refused(&["--inputs", &missing], "nothing.json: the inputs can't be read: No such file or directory");
    refused(&["x=1", "x=2"], "the input \"x\" is given twice");
    let both = Program::pushflow_run("-").args(["--inputs", "-"]).run();
    both.assert_code(2).assert_error("the graph and the inputs can't both come from standard input");
}

#[test]
fn a_graph_comes_from_standard_input_in_json_or_yaml() {
    let folder = folder();
    folder.write("graph.yaml", "graph: {id: test}\nnodes:\n- id: a\n  task_type: ppfport\n");
    for name in ["graph.json", "graph.yaml"] {
        let graph = File::open(folder.path(name)).unwrap();
        let finished = Program::pushflow_run("-").args(["--dry-run", "--format", "json"]).stdin(graph).run();
        assert_eq!(finished.assert_code(0).json()["workflow"], "test");
    }
    let broken = File::open(folder.write("broken", "{")).unwrap();
    let finished = Program::pushflow_run("-").stdin(broken).run();
    finished.assert_code(2).assert_error("error: standard input, line 1 column 1: the text is no JSON: ");
}

#[test]
fn files_are_looked_for_in_the_root_folder() {
    let (folder, elsewhere) = (folder(), Folder::new());
    elsewhere.write("outer.json", json!({"nodes": [{"id": "g", "graph": "graph"}]}).to_string());
    let outer = elsewhere.path("outer.json");
    let program = || Program::pushflow_run(&outer).args(["--dry-run", "--format", "json"]);
    program().run().assert_code(2).assert_error("the graph file \"graph\" can't be read: there is no such file");
    let finished = program().arg("--root-dir").arg(folder.path("")).run();
    assert_eq!(finished.assert_code(0).json()["start_nodes"], json!(["g:a", "g:lonely"]));
    let refused = program().args(["--root-dir", "/no/folder"]).run();
    refused.assert_code(2).assert_error("error: there is no folder \"/no/folder\" for --root-dir");
    let finished = Program::pushflow_run("graph").arg("--dry-run").arg("--root-dir").arg(folder.path("")).run();
    let expected = "workflow: test\nnodes: 3\nlinks: 1\nstart nodes: a, lonely\nend nodes: sh, lonely\n";
    assert_eq!(finished.assert_code(0).stdout, expected);
}

#[test]
fn a_dry_run_runs_nothing_and_still_refuses_what_is_wrong() {
    let folder = folder();
    let inputs = script(&folder, &format!("touch {}", folder.path("ran").display()));
    run(&folder, &["--inputs", &inputs, "--dry-run"]).run().assert_code(0);
    assert!(!folder.has("ran"));
    folder.write("graph.json", r#"{"nodes": [{"id": "a"}]}"#);
    run(&folder, &["--dry-run"]).run().assert_code(2).assert_error("\"task_type\" is missing");
}

#[test]
fn a_dry_run_prints_the_first_warnings_and_counts_the_others() {
    let folder = Folder::new();
    let port = |id: usize| json!({"id": id, "task_type": "ppfport"});
    let links = (1..=30).map(|id| json!({"source": 0, "target": id})).collect();
    folder.write_graph((0..=30).map(port).collect(), links);
    let finished = run(&folder, &["--dry-run", "--format", "json"]).run();
    let warnings = finished.assert_code(0).json()["warnings"].as_array().unwrap().len();
    assert_eq!((warnings, finished.stderr.lines().count()), (29, 21));
    finished.assert_error("and 9 more warnings, which --format json lists\n");
}

#[test]
fn every_execution_can_be_printed_as_text() {
    let folder = folder();
    let inputs = script(&folder, "exit 3");
    let finished = run(&folder, &["--inputs", &inputs, "--output", "all"]).run();
    assert!(finished.assert_code(1).stdout.starts_with("a:\nlonely:\n  x: 1\nsh (attempt 1): "), "{finished:?}");
}

#[test]
fn progress_is_shown_on_standard_error_only_where_it_is_asked_for() {
    let folder = folder();
    let inputs = script(&folder, "echo it works");
    let shown = |progress: &str| run(&folder, &["--inputs", &inputs, "--progress", progress]).run();
    let plain = shown("plain");
    let lines = "pushflow: sh (attempt 1) begins\npushflow: sh (attempt 1) is done\n";
    assert_eq!(plain.assert_code(0).stderr, lines);
    let bar = shown("bar");
    assert!(bar.assert_code(0).stderr.starts_with("\r\u{1b}[K0:00  0 done, "), "{bar:?}");
    assert!(bar.stderr.ends_with("\r\u{1b}[K"), "nothing is left of it: {bar:?}");
    for quiet in ["none", "auto"] {
        assert_eq!(shown(quiet).assert_code(0).stderr, "", "standard error is no terminal");
    }
}

#[test]
fn the_schema_is_printed_as_it_is_in_the_repository() {
    let finished = Program::at(&binaries().pushflow).arg("schema").run();
    let schema = finished.assert_code(0).json();
    assert_eq!(finished.stdout, include_str!("../../../docs/pushflow-graph.schema.json"));
    for name in ["timeout", "max_rounds", "retries", "pool", "rust", "command"] {
        assert!(schema["$defs"]["node_settings"]["properties"][name].is_object(), "{name}");
    }
}
