//! The errors of Python tasks that fail.

use super::*;

/// The message of a bad result.
#[track_caller]
fn bad_result(body: &str) -> String {
    let error = Python::new(body).failure("run");
    assert_eq!((error.kind, error.type_name.as_str()), (ErrorKind::BadResult, "BadResult"), "{error}");
    error.message
}

#[track_caller]
fn refused(expression: &str) -> String {
    bad_result(&format!("import collections, datetime, sys\ndef run(): return {expression}"))
}

#[test]
fn a_result_that_is_no_mapping_is_refused_with_its_type() {
    let expected = |noun: &str| format!("the task returned {noun}, but a mapping of names to values is expected");
    assert_eq!(refused("3"), expected("an int"));
    assert_eq!(refused("None"), expected("None"));
    assert_eq!(refused("datetime.date(2000, 1, 1)"), expected("a datetime.date"));
}

#[test]
fn a_value_that_can_not_be_pickled_is_named_with_its_entry_and_type() {
    let generator = refused("{'a': 1, 'x': [0, (n for n in 'a')]}");
    assert!(
        generator.starts_with(r#"the result's entry "x" holds a generator that can't be pickled (TypeError: "#),
        "{generator}"
    );
    let function = refused("{'x': {'y': lambda: 1}}");
    assert!(function.starts_with(r#"the result's entry "x" holds a function that can't be pickled ("#), "{function}");
    let module = refused("{'x': sys}");
    assert!(
        module.starts_with(r#"the result's entry "x" holds a module that can't be pickled (TypeError: "#),
        "{module}"
    );
}

#[test]
fn keys_must_be_names_or_positions() {
    assert_eq!(refused("{1.5: 2}"), "the result has a key that is a float, but keys are names or positions");
    assert_eq!(refused("{True: 2}"), "the result has a key that is a bool, but keys are names or positions");
    assert_eq!(refused("{-1: 2}"), "the result has the key -1, which is no position");
    assert_eq!(refused("{(1, 2): 3}"), "the result has a key that is a tuple, but keys are names or positions");
    assert_eq!(
        refused("{datetime.date(2000, 1, 1): 3}"),
        "the result has a key that is a datetime.date, but keys are names or positions"
    );
}

#[test]
fn a_result_that_is_too_deep_is_refused_before_any_stack_is_full() {
    let nested =
        |levels: usize| format!("def run():\n  x = 1\n  for _ in range({levels}): x = [x]\n  return {{'x': x}}");
    let levels = pushflow_model::MAX_DEPTH;
    let deepest = Python::new(&nested(levels)).call("run", &Data::new()).unwrap();
    assert!(deepest.named("x").unwrap().encoded().is_ok(), "what may leave Python may travel on");
    let expected = r#"the result's entry "x" nests deeper than 128 levels, or contains itself"#;
    assert_eq!(bad_result(&nested(levels + 1)), expected);
    assert_eq!(bad_result("def run():\n  x = []\n  x.append(x)\n  return {'x': x}"), expected);
    assert_eq!(bad_result("def run():\n  x = {}\n  x['x'] = x\n  return x"), expected);
    assert_eq!(bad_result("def run():\n  x = ([],)\n  x[0].append(x)\n  return {'x': x}"), expected);
    assert_eq!(bad_result(&nested(100_000)), "the result nests deeper than 128 levels, or contains itself");
}

#[test]
fn a_result_that_repeats_itself_without_end_is_refused() {
    let message = bad_result("def run():\n  x = ['x' * 1000]\n  for _ in range(60): x = [x, x]\n  return {'x': x}");
    assert!(message.contains("repeats its parts so often that it would fill more than 256 MiB"), "{message}");
}

#[test]
fn an_input_that_is_too_deep_or_too_far_is_refused() {
    let mut python = Python::new("def run(*a, **b): return {}");
    let deep = (0..=pushflow_model::MAX_DEPTH).fold(Value::Null, |value, _| Value::from(vec![value]));
    let error = python.call("run", &Data::new().with("x", deep)).unwrap_err();
    assert_error(&error, ErrorKind::BadInput, "BadInput", r#"the input "x" nests deeper than 128 levels"#);
    let error = python.call("run", &Data::new().with(70_000_u32, 1)).unwrap_err();
    let message = "an input is at position 70000, beyond the last possible one, 65535";
    assert_error(&error, ErrorKind::BadInput, "BadInput", message);
}

#[test]
fn an_exception_comes_with_its_type_text_and_the_traceback_of_the_task_alone() {
    let mut python = Python::new("def run():\n    return helper()\n\ndef helper():\n    raise ValueError('no é')\n");
    let error = python.failure("run");
    assert_error(&error, ErrorKind::Raised, "ValueError", "no é");
    let file = python.folder.path().join("tasks.py");
    let frame = |line: u32, name: &str| format!("  File \"{}\", line {line}, in {name}", file.display());
    // Some versions of CPython mark the position in a line, each in its own way.
    let is_line = |line: &&String| line.contains(|letter: char| !" ^~".contains(letter));
    assert_eq!(
        error.traceback.iter().filter(is_line).collect::<Vec<_>>(),
        [
            "Traceback (most recent call last):",
            &frame(2, "run"),
            "    return helper()",
            &frame(5, "helper"),
            "    raise ValueError('no é')",
            "ValueError: no é",
        ]
    );
    assert_eq!(error.pid, python.host_pid());
}

#[test]
fn exceptions_of_every_kind_are_caught() {
    let mut python = Python::new(
        "
import sys
class Own(Exception):
    class Inner(BaseException): pass
class Mute(Exception):
    def __str__(self): raise ZeroDivisionError
def exits(): sys.exit(3)
def interrupts(): raise KeyboardInterrupt('by itself')
def generator(): raise GeneratorExit
def own(): raise Own('mine')
def inner(): raise Own.Inner
def mute(): raise Mute
def surrogate(): raise ValueError('\\ud800')
def deep(): return deep()
def chained():
    try: 1 / 0
    except ZeroDivisionError as error: raise KeyError('k') from error
",
    );
    let mut fails = |function: &str, type_name: &str, message: &str| {
        let error = python.failure(function);
        assert_error(&error, ErrorKind::Raised, type_name, message);
        error
    };
    fails("exits", "SystemExit", "3");
    fails("interrupts", "KeyboardInterrupt", "by itself");
    fails("generator", "GeneratorExit", "");
    fails("own", "tasks.Own", "mine");
    fails("inner", "tasks.Own.Inner", "");
    fails("mute", "tasks.Mute", "its text can't be had: __str__ raised ZeroDivisionError");
    fails("surrogate", "ValueError", "\\ud800");
    fails("deep", "RecursionError", "maximum recursion depth exceeded");
    let chained = fails("chained", "KeyError", "'k'").traceback;
    assert!(chained.contains(&"ZeroDivisionError: division by zero".to_owned()), "{chained:#?}");
    assert!(!chained.iter().any(|line| line.contains("pushflow host")), "{chained:#?}");
}

#[test]
fn arguments_that_do_not_fit_are_an_exception_without_frames() {
    let error = Python::new("def run(x): return {}").failure("run");
    let message = "run() missing 1 required positional argument: 'x'";
    assert_error(&error, ErrorKind::Raised, "TypeError", message);
    assert_eq!(error.traceback, [format!("TypeError: {message}")]);
}

#[test]
fn a_missing_module_is_named_with_where_it_was_looked_for_and_the_nearest_name() {
    let mut python = Python::new("");
    python.folder.write("package/__init__.py", "");
    python.folder.write("package/inner.py", "");
    let folder = python.folder.path().display().to_string();
    let mut missing = |module: &str, message: &str| {
        let error = python.runner.run(&task(module, "run"), &Data::new(), &Interrupter::new()).unwrap_err();
        assert_error(&error, ErrorKind::NotFound, "NotFound", message);
    };
    missing("task", &format!(r#"no module named "task" in {folder} or on Python's own path; did you mean "tasks"?"#));
    missing("qqqqqq", &format!(r#"no module named "qqqqqq" in {folder} or on Python's own path"#));
    missing("jsn", &format!(r#"no module named "jsn" in {folder} or on Python's own path; did you mean "json"?"#));
    missing("tmie", &format!(r#"no module named "tmie" in {folder} or on Python's own path; did you mean "time"?"#));
    missing("jsonxx", &format!(r#"no module named "jsonxx" in {folder} or on Python's own path"#));
    missing("takss", &format!(r#"no module named "takss" in {folder} or on Python's own path; did you mean "tasks"?"#));
    missing(
        "package.iner",
        &format!(r#"no module named "package.iner" in {folder}/package; did you mean "package.inner"?"#),
    );
    missing("tasks.x", r#"no module named "tasks.x": "tasks" is a module, not a package"#);
    missing("", r#""" is no name of a module"#);
    missing("..x", r#""..x" is no name of a module"#);
    missing(
        "task.py",
        &format!(
            r#"no file "task.py" in {folder}, {}; did you mean "tasks.py"?"#,
            std::env::current_dir().unwrap().display()
        ),
    );
    missing(
        &format!("{folder}/taks.py"),
        &format!(r#"no file "taks.py" in {folder}; did you mean "{folder}/tasks.py"?"#),
    );
}

#[test]
fn a_missing_function_is_named_with_the_nearest_one() {
    let mut python = Python::new("value = 1\ndef compute(): pass\n");
    let error = python.failure("comptue");
    let message = r#"the module "tasks" has no function "comptue"; did you mean "compute"?"#;
    assert_error(&error, ErrorKind::NotFound, "NotFound", message);
    let error = python.failure("value");
    let message = r#""value" of the module "tasks" is no function, but of type int"#;
    assert_error(&error, ErrorKind::NotFound, "NotFound", message);
}

#[test]
fn an_import_that_fails_inside_the_module_is_an_exception_of_the_task() {
    let mut python = Python::new("import no_such_module\ndef run(): return {}");
    let error = python.failure("run");
    assert_error(&error, ErrorKind::Raised, "ModuleNotFoundError", "No module named 'no_such_module'");
    assert!(error.traceback[1].contains("tasks.py\", line 1"), "{:#?}", error.traceback);
    python.folder.write("broken.py", "def run(:\n");
    let broken = python.folder.path().join("broken.py").display().to_string();
    for module in ["broken", &broken] {
        let error = python.runner.run(&task(module, "run"), &Data::new(), &Interrupter::new()).unwrap_err();
        assert_eq!((error.kind, error.type_name.as_str()), (ErrorKind::Raised, "SyntaxError"), "{error}");
        assert!(!error.traceback.iter().any(|line| line.contains("importlib")), "{:#?}", error.traceback);
    }
}

#[test]
fn without_python_its_tasks_are_refused() {
    let error = runner().run(&task("tasks", "run"), &Data::new(), &Interrupter::new()).unwrap_err();
    let message = "this pool was opened without a Python interpreter";
    assert_error(&error, ErrorKind::Unsupported, "Unsupported", message);
}

#[test]
fn an_interpreter_that_does_not_exist_is_named() {
    let options = PythonOptions::new("/no/python3", Vec::new());
    let mut runner = Runner::new(Arc::new(DirectLauncher), Some(options));
    let error = runner.run(&task("tasks", "run"), &Data::new(), &Interrupter::new()).unwrap_err();
    let message = "the Python interpreter /no/python3 could not be started: there is no such program";
    assert_error(&error, ErrorKind::NotFound, "NotFound", message);
}

#[test]
fn an_interpreter_that_is_none_is_lost_before_it_was_ready() {
    let options = PythonOptions::new("/bin/false", Vec::new());
    let mut runner = Runner::new(Arc::new(DirectLauncher), Some(options));
    let error = runner.run(&task("tasks", "run"), &Data::new(), &Interrupter::new()).unwrap_err();
    let message =
        "the Python interpreter /bin/false exited with code 1 before it was ready; it must be Python 3.8 or newer";
    assert_error(&error, ErrorKind::WorkerLost, "WorkerLost", message);
    assert_eq!(children(), "");
}
