//! Mistakes in a command line, a graph file, an interpreter or a Python task. Each is reported in one clear sentence
//! with the right exit code, and leaves no process running (which every run asserts).

use pushflow_tests::folder::Folder;
use pushflow_tests::run::{Finished, Program};
use serde_json::{Value, json};

use crate::assert_refused;

// ----- known before the run: exit code 2, nothing on standard output -----

/// Asserts that a graph file with this text is refused. After the file's name and the place in it, the message is
/// exactly this sentence.
#[track_caller]
fn assert_graph_refused(text: &str, sentence: &str) {
    let folder = Folder::new();
    let graph = folder.write("graph.json", text);
    let finished = assert_refused(Program::pushflow_run(&graph), sentence);
    let place = format!("error: {}, line ", graph.display());
    assert!(finished.stderr.starts_with(&place), "{finished:?}");
    assert!(finished.stderr.ends_with(&format!(": {sentence}\n")), "{finished:?}");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
}

fn graph(nodes: Value, links: Value) -> String {
    json!({"graph": {"id": "test"}, "nodes": nodes, "links": links}).to_string()
}

fn hello() -> Folder {
    Folder::with_tasks("def hello(**inputs):\n    return {}\n", &["hello"])
}

#[test]
fn a_missing_graph_file_is_said_with_the_nearest_name() {
    let folder = hello();
    let missing = folder.path("grahp.json");
    let finished = Program::pushflow_run(&missing).run();
    let sentence = format!("error: {}: there is no such file; did you mean \"graph.json\"?\n", missing.display());
    assert_eq!(finished.assert_code(2).stderr, sentence);
}

#[test]
fn a_missing_folder_is_said() {
    let folder = hello();
    let finished = Program::pushflow_run("nowhere/graph.json").in_folder(folder.path("")).run();
    let sentence = "error: nowhere/graph.json: there is no such file, nor a folder \"nowhere\"\n";
    assert_eq!(finished.assert_code(2).stderr, sentence);
}

#[test]
fn a_folder_is_no_graph_file() {
    let folder = hello();
    let finished = Program::pushflow_run(folder.path("")).run();
    finished.assert_code(2).assert_error("this is a folder, not a graph file");
}

#[test]
fn text_that_is_no_json_is_said_with_line_and_column() {
    let sentence = "the text is no JSON: expected value";
    assert_graph_refused("{\"graph\": {\"id\": \"x\"},\n\"nodes\": [}", sentence);
    let folder = Folder::new();
    let graph = folder.write("graph.json", "{\"graph\": {\"id\": \"x\"},\n\"nodes\": [}");
    assert_refused(Program::pushflow_run(graph), "graph.json, line 2 column 11: the text");
}

#[test]
fn a_cut_off_file_an_empty_one_and_garbage_are_no_json() {
    let folder = Folder::new();
    for content in [&b""[..], b"{\"graph\": {\"id\": \"x", b"\x00\xff\xfe\x80", b"nodes: []\n"] {
        let graph = folder.write("graph.json", content);
        assert_refused(Program::pushflow_run(&graph), "graph.json, line 1 column ").assert_error("error: ");
    }
}

#[test]
fn nesting_without_end_is_refused() {
    let folder = Folder::new();
    let inline = (0..10_000).fold("{}".to_owned(), |text, _| format!(r#"{{"nodes":[{{"id":"g","graph":{text}}}]}}"#));
    let blocks: String = (0..10_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    for (name, text) in [
        ("brackets.json", "[".repeat(1_000_000)),
        ("inline.json", inline),
        ("brackets.yaml", "[".repeat(10_000)),
        ("blocks.yaml", blocks),
    ] {
        let graph = folder.write(name, text);
        let finished = assert_refused(Program::pushflow_run(&graph), &format!("{name}, line "));
        assert!(finished.stderr.ends_with(": the value nests deeper than 128 levels\n"), "{finished:?}");
    }
}

#[test]
fn what_no_graph_can_hold_is_refused_with_its_place() {
    let folder = Folder::new();
    let deep = "inner.json";
    folder.write(deep, json!({"nodes": [{"id": "g", "graph": "graph.json"}]}).to_string());
    let circle = json!({"nodes": [{"id": "g", "graph": deep}]}).to_string();
    let cases: [(&[u8], &str); 6] = [
        (
            b"{\"nodes\": [],\n \"nodes\": []}",
            "graph.json, line 2 column 8: the key \"nodes\" comes twice in one map: remove one",
        ),
        (b"{\"x\":\n 9223372036854775808}", "graph.json, line 2 column 20: the integer 9223372036854775808"),
        (b"{\"x\":\n \"\xff\"}", "graph.json, line 2 column 3: byte 9 is not UTF-8, so this is no text"),
        (b"{\"x\":\n [1", "graph.json, line 2 column 3: the text is no JSON: EOF while parsing a list"),
        (b"[]", "graph.json, line 1 column 1: graph: must be an object with attributes, not a list"),
        (
            circle.as_bytes(),
            "node \"g\": the graph file \"graph.json\" contains itself: graph.json -> inner.json -> graph.json",
        ),
    ];
    for (text, sentence) in cases {
        let graph = folder.write("graph.json", text);
        let finished = assert_refused(Program::pushflow_run(&graph), sentence);
        assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
    }
}

#[test]
fn a_graph_file_that_may_not_be_read_is_said() {
    let folder = Folder::new();
    // Permissions do not bind every user, so the test uses a socket: no user can open it as a file.
    let socket = folder.path("graph.json");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_refused(Program::pushflow_run(&socket), "graph.json: the file can't be read: ");
}

#[test]
fn an_unknown_field_is_said_with_the_nearest_right_one() {
    let text = json!({"graph": {"id": "test", "lable": "x"}, "nodes": [], "links": []}).to_string();
    assert_graph_refused(&text, "graph: unknown attribute \"lable\"; did you mean \"label\"?");
    let node = json!({"id": "a", "task_type": "ppfmethod", "task_identifer": "tasks.hello"});
    let sentence = "node \"a\": unknown attribute \"task_identifer\"; did you mean \"task_identifier\"?";
    assert_graph_refused(&graph(json!([node]), json!([])), sentence);
}

#[test]
fn an_unknown_node_in_a_link_is_said_with_the_nearest_right_one() {
    let nodes = json!([
        {"id": "alpha", "task_type": "ppfmethod", "task_identifier": "tasks.hello"},
        {"id": "beta", "task_type": "ppfmethod", "task_identifier": "tasks.hello"},
    ]);
    let links = json!([{"source": "alpha", "target": "btea", "map_all_data": true}]);
    let sentence = "link \"alpha -> btea\": \"target\" names no node of the graph; did you mean \"beta\"?";
    assert_graph_refused(&graph(nodes, links), sentence);
}

#[test]
fn an_unknown_task_type_is_said_with_the_nearest_right_one() {
    let nodes = json!([{"id": "a", "task_type": "ppfmethd", "task_identifier": "tasks.hello"}]);
    let sentence = "node \"a\": unknown task type \"ppfmethd\"; did you mean \"ppfmethod\"?";
    assert_graph_refused(&graph(nodes, json!([])), sentence);
}

#[test]
fn an_unknown_pool_is_said_with_the_nearest_right_one() {
    let folder = hello();
    let run = |pool| Program::pushflow_run(folder.graph()).args(["--pool", pool]);
    assert_refused(run("proces"), "there is no pool \"proces\"; did you mean \"process\"?");
    assert_refused(run("scaling"), "there is no pool \"scaling\": scaling is an option that every pool has");
}

#[test]
fn a_wrong_option_or_value_is_said() {
    let folder = hello();
    let run = |arguments: &[&str]| Program::pushflow_run(folder.graph()).args(arguments);
    assert_refused(run(&["--wrokers", "3"]), "'--wrokers'").assert_error("'--workers'");
    assert_refused(run(&["--workers", "0"]), "'--workers <N>'");
    assert_refused(
        run(&["--timeout", "five"]),
        "'five' for '--timeout <TIME>': a time is a number and its unit, such as 400ms",
    );
    assert_refused(run(&["--format", "xml"]), "'--format <FORMAT>'").assert_error("json");
    assert_refused(run(&["name"]), "'name' for '[NAME=VALUE]...': an input is written NAME=VALUE");
    assert_refused(run(&["=1"]), "'=1' for '[NAME=VALUE]...': an input is written NAME=VALUE");
    assert_refused(run(&["a=1", "a=2"]), "error: the input \"a\" is given twice");
}

#[test]
fn without_python3_it_is_said_how_to_name_one() {
    let folder = hello();
    let program = Program::pushflow_run(folder.graph()).without("PUSHFLOW_PYTHON").env("PATH", folder.path(""));
    let sentence = "error: no python3 was found in PATH; set PUSHFLOW_PYTHON to the interpreter to use\n";
    assert_eq!(assert_refused(program, sentence).stderr, sentence);
}

#[test]
fn an_interpreter_that_is_missing_is_said() {
    let folder = hello();
    let program = Program::pushflow_run(folder.graph()).args(["--python", "/no/python"]);
    assert_refused(
        program,
        "error: the Python interpreter \"/no/python\" that was asked for is no program that can be executed",
    );
}

#[test]
fn without_python_tasks_no_interpreter_is_needed() {
    let folder = Folder::with_script("#!/bin/sh\nexit 0\n", json!([]));
    let program = Program::pushflow_run(folder.graph()).without("PUSHFLOW_PYTHON").env("PATH", "/nowhere");
    program.run().assert_code(0);
}

// ----- found out by running: exit code 1, the actor named -----

/// Asserts that the run fails, and that the error of this actor has these words.
#[track_caller]
fn assert_failed(finished: &Finished, actor: &str, words: &str) {
    finished.assert_code(1).assert_error("pushflow: the run failed after");
    let sentences: Vec<&str> = finished.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(sentences.len(), 1, "{finished:#?}");
    assert!(sentences[0].starts_with(&format!("error: {actor} (attempt 1")), "{finished:#?}");
    assert!(sentences[0].contains(words), "no {words:?} in {finished:#?}");
}

fn run_task(function: &str, body: &str) -> Finished {
    let module = format!("import os, signal, sys\n\ndef {function}(**inputs):\n    {body}\n");
    let folder = Folder::with_tasks(&module, &[function]);
    Program::pushflow_run(folder.graph()).run()
}

#[test]
fn a_task_that_raises_fails_with_its_traceback() {
    let finished = run_task("raises", "raise ValueError('wrong value')");
    assert_failed(&finished, "raises", "ValueError: wrong value");
    finished.assert_error("    Traceback (most recent call last):").assert_error("tasks.py\", line 4, in raises");
    assert!(!finished.stderr.contains("pushflow host"), "{finished:#?}");
}

#[test]
fn a_task_that_exits_fails() {
    assert_failed(&run_task("exits", "os._exit(3)"), "exits", "exited with code 3");
    assert_failed(&run_task("leaves", "sys.exit(4)"), "leaves", "SystemExit: 4");
}

#[test]
fn a_task_that_raises_keyboard_interrupt_by_itself_fails_with_it() {
    let finished = run_task("gives_up", "raise KeyboardInterrupt('by myself')");
    assert_failed(&finished, "gives_up", "KeyboardInterrupt: by myself");
}

#[test]
fn a_task_that_is_killed_fails_with_the_signal() {
    let killed = run_task("killed", "os.kill(os.getpid(), signal.SIGKILL)");
    assert_failed(&killed, "killed", "was killed by signal 9 (SIGKILL)");
    let crashed = run_task("crashed", "os.kill(os.getpid(), signal.SIGSEGV)");
    assert_failed(&crashed, "crashed", "was killed by signal 11 (SIGSEGV)");
    crashed.assert_error("tasks.py\", line 4 in crashed");
}

#[test]
fn a_task_that_kills_its_worker_fails_with_the_signal() {
    let finished = run_task("kills", "os.kill(int(os.environ['PUSHFLOW_WORKER_PID']), signal.SIGKILL); signal.pause()");
    assert_failed(&finished, "kills", "the worker process (pid ");
    finished.assert_error("was killed by signal 9 (SIGKILL)");
}

#[test]
fn a_task_that_returns_no_mapping_fails_with_the_type() {
    let none = run_task("nothing", "return None");
    assert_failed(&none, "nothing", "the task returned None, but a mapping of names to values is expected");
    let number = run_task("number", "return 7");
    assert_failed(&number, "number", "the task returned an int, but a mapping of names to values is expected");
}

#[test]
fn a_task_whose_result_has_no_end_fails() {
    let finished = run_task("endless", "inputs['self'] = inputs; return inputs");
    assert_failed(&finished, "endless", "BadResult");
}

#[test]
fn a_missing_module_is_said_with_the_nearest_name() {
    let folder = hello();
    let node = json!({"id": "node", "task_type": "ppfmethod", "task_identifier": "taks.hello"});
    folder.write_graph(json!([node]), json!([]));
    let finished = Program::pushflow_run(folder.graph()).run();
    let words = format!("no module named \"taks\" in {} ", folder.graph().parent().unwrap().display());
    assert_failed(&finished, "node", &words);
    finished.assert_error("did you mean \"tasks\"?");
}

#[test]
fn a_missing_function_is_said_with_the_nearest_name() {
    let folder = hello();
    let node = json!({"id": "node", "task_type": "ppfmethod", "task_identifier": "tasks.helo"});
    folder.write_graph(json!([node]), json!([]));
    let finished = Program::pushflow_run(folder.graph()).run();
    assert_failed(&finished, "node", "the module \"tasks\" has no function \"helo\"; did you mean \"hello\"?");
}

#[test]
fn a_module_that_can_not_be_imported_is_said_with_its_traceback() {
    let folder = Folder::with_tasks("def task(**inputs):\n    return {}\nimport no_such_library\n", &["task"]);
    let finished = Program::pushflow_run(folder.graph()).run();
    assert_failed(&finished, "task", "ModuleNotFoundError: No module named 'no_such_library'");
}

#[test]
fn an_interpreter_that_is_no_python_is_said() {
    let folder = hello();
    let finished = Program::pushflow_run(folder.graph()).args(["--python", "/bin/true"]).run();
    finished.assert_error("the Python interpreter /bin/true exited with code 0 before it was ready");
    assert_eq!(finished.code(), Some(2), "{finished:?}");
}

#[test]
fn a_script_that_fails_is_an_error_only_if_that_is_asked_for() {
    let script = "#!/bin/sh\necho 'the reason' >&2\nexit 3\n";
    let asked = Folder::with_script(script, json!([{"name": "_raise_on_error", "value": true}]));
    let finished = Program::pushflow_run(asked.graph()).run();
    assert_failed(&finished, "script", "3");
    finished.assert_error("script| the reason").assert_error("    the reason");
    let not_asked = Folder::with_script(script, json!([]));
    let finished = Program::pushflow_run(not_asked.graph()).args(["--format", "json"]).run();
    assert_eq!(finished.assert_code(0).result()["return_code"], 3);
}

#[test]
fn an_input_that_a_task_does_not_take_is_said() {
    let folder = Folder::with_tasks("def add(value):\n    return {'value': value + 1}\n", &["add"]);
    let finished = Program::pushflow_run(folder.graph()).arg("valu=1").run();
    assert_failed(&finished, "add", "TypeError: ");
}
