//! Tasks that `ewokscore` runs. Where the interpreter lacks `ewokscore`, these tests print that, and fail in CI.

use pushflow_model::{EwoksClass, EwoksTask, EwoksWork};

use super::libraries::with_library;
use super::*;

/// Task classes, and a function that makes one.
const TASKS: &str = "
try:
    from ewokscore import Task
    from ewokscore.missing_data import MISSING_DATA
except ImportError:
    class Task:
        def __init_subclass__(cls, **_): pass
class Sum(Task, input_names=['a'], optional_input_names=['b'], output_names=['result', 'unset']):
    def run(self):
        self.outputs.result = self.inputs.a + self.get_input_value('b', 0)
class Two(Task, input_names=['first', 'second']):
    def run(self): pass
class Positions(Task, n_required_positional_inputs=2, output_names=['got']):
    def run(self): self.outputs.got = list(self.get_positional_input_values())
class Self(Task, output_names=['node', 'label']):
    def run(self): self.outputs.node, self.outputs.label = self.node_id, self.label
class Fails(Task):
    def run(self):
        try:
            {}['x']
        except KeyError as error:
            raise ValueError('no') from error
class Leaves(Task):
    def run(self): raise SystemExit(3)
class Breaks(Task):
    def __init__(self, **_): raise OSError('the beam is off')
class Plain: pass
number = 3
def make(name):
    class Made(Task, registry_name=name, input_names=['x'], output_names=['name']):
        def run(self): self.outputs.name = name * self.inputs.x
    return Made
def make_nothing(name): return name
def is_missing(unset): return {'x': unset is MISSING_DATA or unset == MISSING_DATA}
def is_loaded():
    import sys
    return {'x': 'ewokscore' in sys.modules}
";

fn tasks() -> Option<Python> {
    with_library("ewokscore", TASKS)
}

fn work(work: EwoksWork) -> TaskSpec {
    TaskSpec::Ewoks(EwoksTask { work, node: "sub:node".into(), label: None })
}

fn class(name: &str) -> EwoksClass {
    EwoksClass { module: "tasks".into(), name: name.into() }
}

impl Python {
    fn ewoks(&mut self, task: EwoksWork, inputs: &Data) -> Result<Data, TaskError> {
        self.runner.run(&work(task), inputs, &Interrupter::new())
    }

    fn run_class(&mut self, name: &str, inputs: &Data) -> Result<Data, TaskError> {
        self.ewoks(EwoksWork::Class(class(name)), inputs)
    }

    #[track_caller]
    fn refused(&mut self, task: EwoksWork, kind: ErrorKind) -> String {
        let error = self.ewoks(task, &Data::new()).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        error.message
    }
}

fn generated(generator: &str) -> EwoksWork {
    EwoksWork::Generated { module: "tasks".into(), generator: generator.into(), identifier: "ab".into() }
}

#[test]
fn a_class_gets_its_inputs_and_gives_all_its_outputs() {
    let Some(mut python) = tasks() else { return };
    let result = python.run_class("Sum", &Data::new().with("a", 1).with("b", 2)).unwrap();
    assert_eq!(value(&result, "result"), Value::Int(3));
    let unset = value(&result, "unset").to_json().unwrap().to_string();
    assert_eq!(unset, r#"{"$type":"ewokscore.missing_data.MissingData","$repr":"<MISSING_DATA>"}"#);
    let unset: Data = [("unset", result.named("unset").unwrap().clone())].into_iter().collect();
    assert_eq!(value(&python.call("is_missing", &unset).unwrap(), "x"), Value::Bool(true));
    assert_eq!(value(&python.run_class("Sum", &Data::new().with("a", 1)).unwrap(), "result"), Value::Int(1));
}

#[test]
fn an_input_that_an_earlier_task_has_not_set_is_missing() {
    let Some(mut python) = tasks() else { return };
    let unset = python.run_class("Sum", &Data::new().with("a", 1)).unwrap().named("unset").unwrap().clone();
    let as_input = |name: &str| [(name, unset.clone())].into_iter().collect::<Data>();
    let result = python.run_class("Sum", &as_input("b").with("a", 1)).unwrap();
    assert_eq!(value(&result, "result"), Value::Int(1));
    let error = python.run_class("Sum", &as_input("a")).unwrap_err();
    assert_eq!(error.type_name, "ewoksutils.exceptions.TaskInputError", "{error}");
    assert!(error.message.starts_with("The following inputs could not be loaded for ewoks task 'sub:node'"), "{error}");
}

#[test]
fn a_class_that_lacks_inputs_says_which() {
    let Some(mut python) = tasks() else { return };
    let error = python.run_class("Two", &Data::new().with("secnd", 1)).unwrap_err();
    let message =
        r#"the task class tasks.Two lacks the required inputs "first" and "second"; is it what came as "secnd"?"#;
    assert_error(&error, ErrorKind::BadInput, "BadInput", message);
    let error = python.run_class("Positions", &Data::new().with(0, 1)).unwrap_err();
    let message = "the task class tasks.Positions lacks the required input at position 1";
    assert_error(&error, ErrorKind::BadInput, "BadInput", message);
}

#[test]
fn positions_are_inputs_too() {
    let Some(mut python) = tasks() else { return };
    let result = python.run_class("Positions", &Data::new().with(0, 1).with(1, 2)).unwrap();
    assert_eq!(value(&result, "got"), Value::from(vec![Value::Int(1), Value::Int(2)]));
}

#[test]
fn a_task_knows_its_node() {
    let Some(mut python) = tasks() else { return };
    let mut names = |label: Option<&str>| {
        let task =
            EwoksTask { work: EwoksWork::Class(class("Self")), node: "a".into(), label: label.map(str::to_owned) };
        let result = python.runner.run(&TaskSpec::Ewoks(task), &Data::new(), &Interrupter::new()).unwrap();
        (value(&result, "node"), value(&result, "label"))
    };
    assert_eq!(names(None), ("a".into(), "a".into()));
    assert_eq!(names(Some("Node A")), ("a".into(), "Node A".into()));
}

#[test]
fn the_error_is_that_of_the_task_and_what_ewokscore_raised_around_it_is_a_cause() {
    let Some(mut python) = tasks() else { return };
    let error = python.run_class("Fails", &Data::new()).unwrap_err();
    assert_error(&error, ErrorKind::Raised, "ValueError", "no");
    assert_eq!(error.traceback.last().unwrap(), "ValueError: no");
    let causes: Vec<(&str, &str)> =
        error.causes().iter().map(|cause| (cause.type_name.as_str(), cause.message.as_str())).collect();
    let around = "Execution failed for ewoks task 'sub:node' (id: 'sub:node', task: 'tasks.Fails'): no";
    assert_eq!(causes, [("ewoksutils.exceptions.TaskExecutionError", around), ("KeyError", "'x'")]);
    let instance: Data = [("error", Payload::from_encoded(error.instance().unwrap().clone()))].into_iter().collect();
    python.folder.write("handler.py", "def run(error): return {'x': repr(error)}");
    let handled = python.runner.run(&task("handler", "run"), &instance, &Interrupter::new()).unwrap();
    assert_eq!(value(&handled, "x"), Value::from("ValueError('no')"));
}

#[test]
fn what_is_raised_beside_run_is_an_exception_like_any_other() {
    let Some(mut python) = tasks() else { return };
    let error = python.run_class("Leaves", &Data::new()).unwrap_err();
    assert_error(&error, ErrorKind::Raised, "SystemExit", "3");
    let error = python.run_class("Breaks", &Data::new()).unwrap_err();
    assert_error(&error, ErrorKind::Raised, "OSError", "the beam is off");
    assert_eq!(error.causes(), []);
}

#[test]
fn what_is_no_task_class_is_refused() {
    let Some(mut python) = tasks() else { return };
    let mut message = |name: &str| python.refused(EwoksWork::Class(class(name)), ErrorKind::NotFound);
    assert_eq!(message("Summ"), r#"the module "tasks" has no class "Summ"; did you mean "Sum"?"#);
    let plain = r#""Plain" of the module "tasks" is no ewoks task class: it does not derive from ewokscore.Task"#;
    assert_eq!(message("Plain"), plain);
    assert_eq!(message("number"), r#""number" of the module "tasks" is no ewoks task class, but of type int"#);
    let missing = EwoksClass { module: "no_tasks".into(), name: "Sum".into() };
    let missing = python.refused(EwoksWork::Class(missing), ErrorKind::NotFound);
    assert!(missing.starts_with(r#"no module named "no_tasks" in "#), "{missing}");
}

#[test]
fn a_class_of_a_file_is_found() {
    let Some(mut python) = tasks() else { return };
    python.folder.write("own.py", TASKS);
    let own = EwoksWork::Class(EwoksClass { module: "own.py".into(), name: "Sum".into() });
    assert_eq!(value(&python.ewoks(own, &Data::new().with("a", 1)).unwrap(), "result"), Value::Int(1));
}

#[test]
fn a_class_may_be_made_by_a_function() {
    let Some(mut python) = tasks() else { return };
    for _ in 0..2 {
        let result = python.ewoks(generated("make"), &Data::new().with("x", 2)).unwrap();
        assert_eq!(value(&result, "name"), Value::from("abab"));
    }
    let nothing = python.refused(generated("make_nothing"), ErrorKind::NotFound);
    let expected = r#"what "make_nothing" of the module "tasks" made of "ab" is no ewoks task class, but of type str"#;
    assert_eq!(nothing, expected);
    let missing = python.refused(generated("makes"), ErrorKind::NotFound);
    assert_eq!(missing, r#"the module "tasks" has no function "makes"; did you mean "make"?"#);
}

#[test]
fn the_inputs_of_a_class_are_told() {
    let Some(mut python) = tasks() else { return };
    let names = python.ewoks(EwoksWork::InputNames(class("Sum")), &Data::new()).unwrap();
    let list = |name: &str| Value::from(vec![Value::from(name)]);
    assert_eq!((value(&names, "required"), value(&names, "optional")), (list("a"), list("b")));
}

#[test]
fn ewokscore_is_loaded_with_the_first_task_that_needs_it() {
    let source = "
def is_loaded():
    import sys
    return {'x': [name in sys.modules for name in ('ewokscore', '_pushflow_ewoks')]}
";
    let Some(mut python) = with_library("ewokscore", source) else { return };
    python.folder.write("own.py", TASKS);
    let loaded = |python: &mut Python| value(&python.call("is_loaded", &Data::new()).unwrap(), "x");
    let both = |there: bool| Value::from(vec![Value::Bool(there), Value::Bool(there)]);
    assert_eq!(loaded(&mut python), both(false));
    let own = EwoksWork::Class(EwoksClass { module: "own".into(), name: "Self".into() });
    python.ewoks(own, &Data::new()).unwrap();
    assert_eq!(loaded(&mut python), both(true));
}

#[test]
fn an_interpreter_without_ewokscore_says_so() {
    // A module of this name that can't be imported, even if `ewokscore` is installed.
    let source = "import sys\nsys.modules['ewokscore'] = None\ndef run(): return {'x': sys.executable}";
    let mut python = Python::new(source);
    // The interpreter's own name for itself. It differs from the path of a launcher, such as pyenv's.
    let interpreter = value(&python.call("run", &Data::new()).unwrap(), "x");
    let interpreter = interpreter.as_str().unwrap();
    let message = python.refused(EwoksWork::Class(class("Sum")), ErrorKind::NotFound);
    let expected = format!(
        "the task needs the Python package \"ewokscore\", which {interpreter} does not have: install it there, or \
         choose another interpreter with --python or PUSHFLOW_PYTHON",
    );
    assert_eq!(message, expected);
}

#[test]
fn a_notebook_that_is_not_there_and_one_without_papermill_say_so() {
    let source = "import sys\nsys.modules['papermill'] = None\ndef run(): return {}";
    let notebook = || EwoksWork::Notebook { path: "/no/such.ipynb".into() };
    let Some(mut python) = with_library("ewokscore", source) else { return };
    python.call("run", &Data::new()).unwrap();
    let message = python.refused(notebook(), ErrorKind::NotFound);
    assert!(message.starts_with(r#"the task needs the Python package "papermill", which "#), "{message}");
    assert!(message.ends_with(" does not have: install ewokscore[notebooks]"), "{message}");
    let Some(mut python) = with_library("papermill", TASKS) else { return };
    assert_eq!(python.refused(notebook(), ErrorKind::NotFound), r#"there is no notebook "/no/such.ipynb""#);
}
