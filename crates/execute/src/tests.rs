//! Attempts with real programs and a real Python interpreter.

mod buffers;
mod commands;
mod direct;
mod docs;
mod errors;
mod ewoks;
mod forms;
mod greenlets;
mod host;
mod importing;
mod interrupts;
mod leaks;
mod libraries;
mod python;
mod restoring;
mod scripts;
mod shared;
mod values;
mod versions;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pushflow_green::Environment;
use pushflow_guardian::Interrupter;
use pushflow_model::{Data, ErrorKind, Payload, PythonOptions, PythonTask, Returns, TaskError, TaskSpec, Value};
use pushflow_python::{PythonHost, SharedPython, find_interpreter};

use self::direct::DirectLauncher;
use crate::runner::Runner;

/// The folder of one test, which is removed at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("pushflow-run-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    /// A folder with one file.
    fn with(name: &str, content: &str) -> Self {
        let folder = Folder::new();
        folder.write(name, content);
        folder
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes a file that can be executed.
    fn write_program(&self, name: &str, content: &str) -> PathBuf {
        let path = self.write(name, content);
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A runner without a Python interpreter.
fn runner() -> Runner {
    Runner::new(Arc::new(DirectLauncher), None)
}

/// A runner whose interpreter finds modules in `folder`.
fn python_runner(folder: &Folder) -> Runner {
    Runner::new(Arc::new(DirectLauncher), Some(options(folder)))
}

fn options(folder: &Folder) -> PythonOptions {
    let interpreter = find_interpreter(None).unwrap();
    PythonOptions::new(interpreter, vec![folder.path().into()])
}

/// An interpreter that runs several attempts at a time.
fn shared(folder: &Folder, environment: Environment) -> Arc<SharedPython> {
    Arc::new(SharedPython::new(options(folder), environment, Arc::new(DirectLauncher)))
}

/// The environments with a shared interpreter: only the plain one where the interpreter of the tests has no gevent.
fn environments() -> Vec<Environment> {
    let mut environments = vec![Environment::Plain];
    environments.extend(libraries::is_there("gevent").then_some(Environment::Green));
    environments
}

/// Waits until a task has written a file.
fn wait_for(folder: &Folder, name: &str) {
    let start = std::time::Instant::now();
    while !folder.path().join(name).exists() {
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "there is no {name}");
        std::thread::yield_now();
    }
}

/// A module `tasks` of Python tasks, and a runner for them.
struct Python {
    runner: Runner,
    folder: Folder,
}

impl Python {
    fn new(source: &str) -> Self {
        let folder = Folder::with("tasks.py", source);
        Python { runner: python_runner(&folder), folder }
    }

    /// The same, in an interpreter that runs several attempts at a time.
    fn sharing(source: &str, environment: Environment) -> Self {
        let folder = Folder::with("tasks.py", source);
        let runner = Runner::sharing(Arc::new(DirectLauncher), shared(&folder, environment));
        Python { runner, folder }
    }

    /// The module once with an interpreter of its own, and once, if gevent is installed, with an interpreter that gevent
    /// has patched.
    fn own_and_green(source: &str) -> impl Iterator<Item = Python> {
        let green = environments().into_iter().filter(|&environment| environment == Environment::Green);
        std::iter::once(Python::new(source)).chain(green.map(|environment| Python::sharing(source, environment)))
    }

    fn call(&mut self, function: &str, inputs: &Data) -> Result<Data, TaskError> {
        self.runner.run(&task("tasks", function), inputs, &Interrupter::new())
    }

    /// The error of a function without inputs.
    fn failure(&mut self, function: &str) -> TaskError {
        self.call(function, &Data::new()).unwrap_err()
    }

    fn host_pid(&self) -> Option<u32> {
        self.runner.host.as_ref().map(PythonHost::pid)
    }
}

fn task(module: &str, function: &str) -> TaskSpec {
    TaskSpec::Python(PythonTask { module: module.into(), function: function.into(), returns: Returns::Mapping })
}

/// A task whose result is the value that the function returns.
fn value_task(module: &str, function: &str) -> TaskSpec {
    TaskSpec::Python(PythonTask { module: module.into(), function: function.into(), returns: Returns::Value })
}

fn value(data: &Data, name: &str) -> Value {
    data.value(name).unwrap().unwrap_or_else(|| panic!("no {name} in {data:?}")).clone()
}

#[track_caller]
fn assert_error(error: &TaskError, kind: ErrorKind, type_name: &str, message: &str) {
    assert_eq!((error.kind, error.type_name.as_str(), error.message.as_str()), (kind, type_name, message));
}

/// The child processes of this thread, zombies included.
fn children() -> String {
    fs::read_to_string("/proc/thread-self/children").unwrap()
}
