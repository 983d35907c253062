//! Tasks that `ewokscore` runs, on every pool: classes, generated classes and notebooks. The tests cover how these
//! tasks fail, which data error links carry, and where a run begins if that depends on a class.
//!
//! The tests need `ewokscore` in their interpreter; see [`interpreter_with`].

use pushflow_tests::folder::Folder;
use pushflow_tests::run::{Finished, Program};
use serde_json::{Value, json};

use crate::assert_refused;
use crate::ewoks_examples::{POOLS, interpreter_with};

const TASKS: &str = "
from ewokscore import Task
class Sum(Task, input_names=['a', 'b'], output_names=['result', 'is_small']):
    def run(self):
        self.outputs.result = self.inputs.a + self.inputs.b
        self.outputs.is_small = self.outputs.result < 5
class Fails(Task, input_names=['sample']):
    def run(self):
        error = ValueError('no beam')
        if hasattr(error, 'add_note'): error.add_note('at ' + self.inputs.sample)
        raise error from OSError('the shutter is closed')
class Handles(Task, input_names=['WorkflowException', 'WorkflowExceptionInstance'], optional_input_names=['sample'],
              output_names=['type', 'cause', 'text', 'notes']):
    def run(self):
        error = self.inputs.WorkflowExceptionInstance
        assert isinstance(error, ValueError)
        self.outputs.type = type(error).__name__
        self.outputs.text = self.inputs.WorkflowException['errorMessage']
        self.outputs.cause = [cause['type'] for cause in self.inputs.WorkflowException['causes']]
        self.outputs.notes = self.inputs.WorkflowException.get('notes', ['at sample 3'])
def make(name):
    class Made(Task, registry_name=name, input_names=['x'], output_names=['x']):
        def run(self): self.outputs.x = name * self.inputs.x
    return Made
class Forgets(Task, input_names=['x'], output_names=['unset']):
    def run(self): pass
def tells(q=5, **_): return repr(q)
def tells_all(q=5, **_): return {'seen': repr(q)}
def speaks(**_):
    print('spoken')
    return {}
";

/// A folder with the tasks and a graph; `None` where the interpreter lacks ewokscore.
fn folder(nodes: Value, links: Value) -> Option<Folder> {
    interpreter_with(&["ewokscore"])?;
    let folder = Folder::new();
    folder.write("tasks.py", TASKS);
    folder.write_graph(nodes, links);
    Some(folder)
}

fn on(pool: &str, folder: &Folder) -> Program {
    Program::pushflow_run(folder.graph()).args([
        "--pool",
        pool,
        "--workers",
        "1",
        "--format",
        "json",
        "--output",
        "all",
    ])
}

fn class(id: &str, name: &str, inputs: &Value) -> Value {
    let inputs = inputs.as_object().unwrap().iter().map(|(name, value)| json!({"name": name, "value": value}));
    json!({"id": id, "task_type": "class", "task_identifier": format!("tasks.{name}"),
           "default_inputs": inputs.collect::<Vec<_>>()})
}

/// The only execution of a node.
fn execution(finished: &Finished, node: &str) -> Value {
    let object = finished.json();
    assert_eq!(object["nodes"][node]["executions"].as_array().map(Vec::len), Some(1), "{object}");
    object["nodes"][node]["executions"][0].clone()
}

#[test]
fn the_error_of_an_execution_is_that_of_the_task_with_its_notes_and_causes() {
    let nodes = json!([class("a", "Fails", &json!({"sample": "sample 3"}))]);
    let Some(folder) = folder(nodes, json!([])) else { return };
    for pool in POOLS {
        let finished = on(pool, &folder).run();
        let error = execution(finished.assert_code(1), "a")["error"].clone();
        let keys: Vec<&String> = error.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["type", "message", "traceback", "notes", "causes"], "{pool}");
        assert_eq!((&error["type"], &error["message"]), (&json!("ValueError"), &json!("no beam")), "{pool}");
        let wrapper = "Execution failed for ewoks task 'a' (id: 'a', task: 'tasks.Fails'): no beam";
        let causes = json!([
            {"type": "ewoksutils.exceptions.TaskExecutionError", "message": wrapper},
            {"type": "OSError", "message": "the shutter is closed"},
        ]);
        assert_eq!(error["causes"], causes, "{pool}");
        assert!([json!([]), json!(["at sample 3"])].contains(&error["notes"]), "{pool}: {error}");
    }
}

#[test]
fn an_error_link_carries_the_exception_itself_and_what_is_known_of_it() {
    let nodes = json!([class("a", "Fails", &json!({})), class("handler", "Handles", &json!({})),
                       {"id": "first", "task_type": "ppfport", "default_inputs": [{"name": "sample", "value": "sample 3"}]}]);
    let links = json!([{"source": "a", "target": "handler", "map_all_data": true, "on_error": true},
                       {"source": "first", "target": "a", "data_mapping": [{"source_output": "_ppfdict", "target_input": "x"}]}]);
    let mut nodes = nodes;
    nodes[0]["default_inputs"] = json!([{"name": "sample", "value": "sample 3"}]);
    let Some(folder) = folder(nodes, links) else { return };
    for pool in POOLS {
        let finished = on(pool, &folder).run();
        let expected = json!({
            "type": "ValueError", "text": "no beam", "notes": ["at sample 3"],
            "cause": ["ewoksutils.exceptions.TaskExecutionError", "OSError"],
        });
        assert_eq!(finished.assert_code(0).result(), expected, "{pool}");
    }
}

#[test]
fn outputs_of_classes_go_on_by_their_names_and_conditions_look_at_them() {
    let nodes = json!([
        class("a", "Sum", &json!({"a": 1, "b": 2})),
        class("b", "Sum", &json!({"b": 10})),
        class("never", "Sum", &json!({"b": 10}))
    ]);
    let link = |target: &str, is_small: bool| {
        json!({"source": "a", "target": target, "data_mapping": [{"source_output": "result", "target_input": "a"}],
               "conditions": [{"source_output": "is_small", "value": is_small}]})
    };
    let Some(folder) = folder(nodes, json!([link("b", true), link("never", false)])) else { return };
    let finished = on("process", &folder).run();
    assert_eq!(finished.assert_code(0).result(), json!({"result": 13, "is_small": false}));
    assert_eq!(finished.json()["nodes"]["never"], Value::Null);
}

/// As in the original, such an input gets no other value either, not even the default of the node `method` below.
#[test]
fn an_output_that_a_class_has_not_set_is_no_input_of_other_tasks() {
    let nodes = json!([
        class("a", "Forgets", &json!({"x": 1})),
        {"id": "method", "task_type": "method", "task_identifier": "tasks.tells",
         "default_inputs": [{"name": "q", "value": 9}]},
        {"id": "ppfmethod", "task_type": "ppfmethod", "task_identifier": "tasks.tells_all"},
        {"id": "ppfport", "task_type": "ppfport"}
    ]);
    let link = |target: &str| json!({"source": "a", "target": target, "data_mapping": [{"source_output": "unset", "target_input": "q"}]});
    let Some(folder) = folder(nodes, json!([link("method"), link("ppfmethod"), link("ppfport")])) else { return };
    for pool in ["thread", "process"] {
        let finished = on(pool, &folder).run();
        let outputs = |node: &str| execution(&finished, node)["outputs"].clone();
        assert_eq!(outputs("method"), json!({"return_value": "5"}), "{pool}");
        assert_eq!(outputs("ppfmethod"), json!({"_ppfdict": {"seen": "5"}}), "{pool}");
        assert_eq!(outputs("ppfport"), json!({"_ppfdict": {}}), "{pool}");
    }
}

#[test]
fn inputs_that_a_class_lacks_are_named_and_those_that_it_does_not_know_are_warned_of() {
    let nodes =
        json!([class("a", "Sum", &json!({"a": 1, "bb": 2})), class("b", "Sum", &json!({"a": 1, "b": 2, "c": 3}))]);
    let Some(folder) = folder(nodes, json!([])) else { return };
    let finished = on("process", &folder).run();
    let lacks = r#"error: a (attempt 1, pid "#;
    finished.assert_code(1).assert_error(lacks);
    finished
        .assert_error(r#"BadInput: the task class tasks.Sum lacks the required input "b"; is it what came as "bb"?"#);
    finished.assert_error("TaskInputWarning: Unexpected inputs for task Sum: ['c']");
}

#[test]
fn a_class_may_be_generated_on_every_pool() {
    let node = json!({"id": "a", "task_type": "generated", "task_identifier": "ab", "task_generator": "tasks.make",
                      "default_inputs": [{"name": "x", "value": 2}]});
    let Some(folder) = folder(json!([node]), json!([])) else { return };
    for pool in POOLS {
        assert_eq!(on(pool, &folder).run().assert_code(0).result(), json!({"x": "abab"}), "{pool}");
    }
}

/// A loop of two nodes, so that a link leads to every node.
fn endless(class_name: &str) -> (Value, Value) {
    let nodes = json!([class("a", class_name, &json!({"a": 1, "b": 1})), class("b", class_name, &json!({"b": 1}))]);
    let link = |source: &str, target: &str| {
        json!({"source": source, "target": target, "data_mapping": [{"source_output": "result", "target_input": "a"}],
               "conditions": [{"source_output": "is_small", "value": true}]})
    };
    (nodes, json!([link("a", "b"), link("b", "a")]))
}

#[test]
fn a_run_may_begin_at_a_class_that_has_all_it_needs() {
    let (nodes, links) = endless("Sum");
    let Some(folder) = folder(nodes, links) else { return };
    let finished = on("process", &folder).run();
    assert_eq!(finished.assert_code(0).result(), json!({"result": 5, "is_small": false}));
    let described = Program::pushflow_run(folder.graph()).args(["--dry-run", "--format", "json"]).run();
    assert_eq!(described.assert_code(0).json()["start_nodes"], json!(["a"]));
}

#[test]
fn a_class_that_tells_no_inputs_is_said_with_its_place() {
    let (nodes, links) = endless("Summ");
    let Some(folder) = folder(nodes, links) else { return };
    let run = || Program::pushflow_run(folder.graph());
    let place = "graph.json, line 1 column ";
    let question = "node \"a\": a run begins at this node if it has all inputs that its task class needs, but ";
    let missing = format!("{question}the module \"tasks\" has no class \"Summ\"; did you mean \"Sum\"?");
    assert_refused(run(), &missing).assert_error(place);
    folder.write("tasks.py", "raise OSError('no disk')");
    assert_refused(run(), &format!("{question}to load it raised OSError: no disk"));
    // The `sleep` that the module has started ends with the interpreter.
    folder.write("tasks.py", "import subprocess, time\nsubprocess.Popen(['sleep', '1000'])\ntime.sleep(1000)");
    let late = format!("{question}Python did not tell them within 1s");
    assert_refused(run().args(["--attempt-timeout", "1s"]), &late);
    let slow = folder.write_program("python3", "#!/bin/sh\nexec sleep 1000\n");
    assert_refused(run().args(["--attempt-timeout", "1s", "--python"]).arg(slow), &late);
    assert_refused(run().args(["--python", "/no/python"]), &format!("{question}the Python interpreter \"/no/python\""));
}

#[test]
fn what_tasks_print_is_not_in_the_object_about_the_run() {
    let folder = Folder::with_tasks("def speaks(**_):\n    print('spoken')\n    return {}", &["speaks"]);
    for pool in POOLS {
        let finished = on(pool, &folder).run();
        finished.assert_code(0).assert_error("spoken");
        assert_eq!(finished.json()["outcome"], "finished", "{pool}");
    }
}

const NOTEBOOK: &str = r#"{"cells": [
  {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": ["a = 0"], "outputs": [], "execution_count": null},
  {"cell_type": "code", "metadata": {"tags": ["results"]}, "source": ["twice = 2 / a\ntwice"], "outputs": [],
   "execution_count": null}],
 "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
 "nbformat": 4, "nbformat_minor": 4}"#;

#[test]
fn a_notebook_runs_with_its_inputs_and_gives_its_results() {
    let node = |a: i64| {
        json!([{"id": "a", "task_type": "notebook", "task_identifier": "half.ipynb",
                "default_inputs": [{"name": "a", "value": a}]}])
    };
    if interpreter_with(&["papermill", "ipykernel"]).is_none() {
        return;
    }
    let Some(folder) = folder(node(4), json!([])) else { return };
    folder.write("half.ipynb", NOTEBOOK);
    for pool in ["process", "thread"] {
        let result = on(pool, &folder).run().assert_code(0).result();
        assert_eq!(result, json!({"results": {"twice": 0.5}, "output_notebook": null}), "{pool}");
    }
    folder.write_graph(node(0), json!([]));
    let finished = on("process", &folder).run();
    let error = execution(finished.assert_code(1), "a")["error"].clone();
    assert_eq!((&error["type"], &error["message"]), (&json!("ZeroDivisionError"), &json!("division by zero")));
    assert_eq!(error["causes"][1]["type"], "papermill.exceptions.PapermillExecutionError", "{error}");
}

#[test]
fn a_graph_is_taken_as_ewokscore_saves_it() {
    let node = json!({"id": "a", "task_type": "method", "task_identifier": "kinds.of", "default_inputs": []});
    let Some(folder) = folder(json!([node]), json!([])) else { return };
    folder.write("kinds.py", "def of(**values): return {name: repr(value) for name, value in values.items()}");
    let save = "
import datetime, sys
from ewokscore import load_graph
values = {'pair': (1, {2}), 'date': datetime.date(2000, 1, 2), 'bytes': b'ab', 'plain': [1, None]}
graph = load_graph('graph.json')
for serializer in (None, 'json_pickle'):
    inputs = [{'name': name, 'value': value} for name, value in values.items() if serializer or name == 'plain']
    graph.graph.nodes['a']['default_inputs'] = inputs
    graph.dump('{}.json'.format(serializer), serializer=serializer)
";
    folder.write("save.py", save);
    let interpreter = interpreter_with(&[]).expect("there is one");
    let saved = Program::at(std::path::Path::new(&interpreter)).arg("save.py").in_folder(folder.path("")).run();
    saved.assert_code(0);
    let result = |name: &str| {
        let program = Program::pushflow_run(folder.path(name)).args(["--format", "json"]);
        program.run().assert_code(0).result()["return_value"].clone()
    };
    assert_eq!(result("None.json"), json!({"plain": "[1, None]"}));
    let all = json!({"pair": "(1, {2})", "date": "datetime.date(2000, 1, 2)", "bytes": "b'ab'", "plain": "[1, None]"});
    assert_eq!(result("json_pickle.json"), all);
}
