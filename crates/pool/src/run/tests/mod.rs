//! Attempts with real programs and a real Python.

mod buffers;
mod commands;
mod direct;
mod docs;
mod errors;
mod ewoks;
mod forms;
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

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pushflow_protocol::{ErrorKind, PythonOptions, PythonTask, Returns, TaskError, TaskSpec};
use pushflow_value::{Data, Payload, Value};

use self::direct::DirectLauncher;
use super::{Interrupter, Runner};

/// A folder of its own for one test, removed with it.
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

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A runner for programs.
fn runner() -> Runner {
    Runner::new(Arc::new(DirectLauncher), None)
}

/// A runner whose Python tasks are in `folder`.
fn python_runner(folder: &Folder) -> Runner {
    Runner::new(Arc::new(DirectLauncher), Some(options(folder)))
}

fn options(folder: &Folder) -> PythonOptions {
    let interpreter = super::find_interpreter(None).unwrap();
    PythonOptions::new(interpreter, vec![folder.path().into()])
}

/// A Python task that is one function `run` of the module `tasks`, with a runner for it.
struct Python {
    runner: Runner,
    folder: Folder,
}

impl Python {
    fn new(source: &str) -> Self {
        let folder = Folder::with("tasks.py", source);
        Python { runner: python_runner(&folder), folder }
    }

    fn call(&mut self, function: &str, inputs: &Data) -> Result<Data, TaskError> {
        self.runner.run(&task("tasks", function), inputs, &Interrupter::new())
    }

    /// The error of a function that takes nothing.
    fn failure(&mut self, function: &str) -> TaskError {
        self.call(function, &Data::new()).unwrap_err()
    }

    fn host_pid(&self) -> Option<u32> {
        self.runner.host.as_ref().map(super::PythonHost::pid)
    }
}

fn task(module: &str, function: &str) -> TaskSpec {
    TaskSpec::Python(PythonTask { module: module.into(), function: function.into(), returns: Returns::Mapping })
}

/// A task whose result is whatever it returns.
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

/// The children of this thread, zombies included.
fn children() -> String {
    fs::read_to_string("/proc/thread-self/children").unwrap()
}
