//! The forms of Python tasks: functions and other callables.

use super::*;

fn run(source: &str, module: &str, function: &str) -> Result<Data, TaskError> {
    let mut python = Python::new(source);
    python.folder.write("package/__init__.py", "");
    python.folder.write(
        "package/inner.py",
        "def run(): return {'x': 'inner'}\nclass Own:\n  @staticmethod\n  def make(): return {'x': 'made'}",
    );
    python.runner.run(&task(module, function), &Data::new(), &Interrupter::new())
}

#[track_caller]
fn assert_gives(result: Result<Data, TaskError>, x: &str) {
    assert_eq!(value(&result.unwrap(), "x"), Value::from(x));
}

#[test]
fn a_name_that_turns_out_to_be_a_module_stands_for_its_run() {
    assert_gives(run("", "package", "inner"), "inner");
    assert_gives(run("import package.inner as known", "tasks", "known"), "inner");
    let error = run("", "package", "iner").unwrap_err();
    assert_error(&error, ErrorKind::NotFound, "NotFound", r#"the module "package" has no function "iner""#);
}

#[test]
fn a_file_is_looked_for_once_in_each_current_folder_and_then_known_as_a_module_is() {
    let mut python = Python::new("import os\ndef go(to): os.chdir(to); return {}");
    let texts = ["first", "second"];
    let folders = texts.map(|x| Folder::with("own.py", &format!("def run(): return {{'x': '{x}'}}")));
    for place in [0, 1, 0] {
        let folder = folders[place].path();
        python.call("go", &Data::new().with("to", folder.to_str().unwrap())).unwrap();
        assert_gives(python.runner.run(&task("own.py", "run"), &Data::new(), &Interrupter::new()), texts[place]);
        std::fs::remove_file(folder.join("own.py")).ok();
    }
}

#[test]
fn a_function_may_be_inside_a_class() {
    assert_gives(run("", "package.inner", "Own.make"), "made");
}

#[test]
fn a_module_without_run_says_so() {
    let error = run("def rum(): return {}", "tasks", "run").unwrap_err();
    let message = r#"the module "tasks" has no function "run"; did you mean "rum"?"#;
    assert_error(&error, ErrorKind::NotFound, "NotFound", message);
}

#[test]
fn an_object_that_can_be_called_and_the_class_of_one_are_tasks() {
    let source = "
import functools
class Task:
    def __call__(self): return {'x': 'called'}
instance = Task()
partial = functools.partial(dict, x='partial')
";
    assert_gives(run(source, "tasks", "Task"), "called");
    assert_gives(run(source, "tasks", "instance"), "called");
    assert_gives(run(source, "tasks", "partial"), "partial");
}

#[test]
fn a_coroutine_is_awaited() {
    let source = "
import asyncio
async def run():
    await asyncio.sleep(0)
    return {'x': 'awaited'}
async def fails():
    await asyncio.sleep(0)
    raise KeyError('k')
class Later:
    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return {'x': 'later'}
def later(): return Later()
";
    assert_gives(run(source, "tasks", "run"), "awaited");
    assert_gives(run(source, "tasks", "later"), "later");
    assert_eq!(run(source, "tasks", "fails").unwrap_err().type_name, "KeyError");
}

#[test]
fn a_generator_is_refused_by_name() {
    let mut python = Python::new("def run():\n  yield 1\nasync def later():\n  yield 1");
    for (function, noun) in [("run", "a generator"), ("later", "an async_generator")] {
        let expected =
            format!("the task returned {noun}, which can't leave its process: return a list of what it yields");
        for task in [task("tasks", function), value_task("tasks", function)] {
            let error = python.runner.run(&task, &Data::new(), &Interrupter::new()).unwrap_err();
            assert_error(&error, ErrorKind::BadResult, "BadResult", &expected);
        }
    }
}

#[test]
fn a_coroutine_is_interrupted_as_any_task() {
    let folder = Folder::with(
        "tasks.py",
        // Sleeps in short pieces, for the same reason as in `interrupts.rs`. The task closes the file itself, since CPython
        // drops an exception that is raised while it finalizes an open file.
        "import asyncio
async def run():
  open(__file__ + '.began', 'w').close()
  for _ in range(6000): await asyncio.sleep(0.01)",
    );
    let interrupter = Interrupter::new();
    let began = folder.path().join("tasks.py.began");
    let (error, ()) = std::thread::scope(|scope| {
        let attempt = scope.spawn(|| python_runner(&folder).run(&task("tasks", "run"), &Data::new(), &interrupter));
        while !began.exists() {
            std::thread::yield_now();
        }
        interrupter.interrupt();
        (attempt.join().unwrap().unwrap_err(), ())
    });
    assert_eq!(error.kind, ErrorKind::Stopped, "{error}");
}
