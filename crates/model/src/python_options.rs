//! [`PythonOptions`]: the interpreter of Python tasks and what it imports.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

/// The interpreter of Python tasks, and what it imports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonOptions {
    /// The absolute path of the interpreter.
    pub interpreter: OsString,
    /// The folders that the interpreter searches for modules first.
    pub search_path: Vec<OsString>,
    /// The modules that the interpreter imports before its first task.
    pub modules: Vec<TaskModule>,
    /// Whether interpreters are forked from one that has imported the modules already, where that is possible.
    pub warm: bool,
}

impl PythonOptions {
    /// Options of an interpreter that searches these folders, and imports no module before a task needs it.
    pub fn new(interpreter: impl Into<OsString>, search_path: Vec<OsString>) -> PythonOptions {
        PythonOptions { interpreter: interpreter.into(), search_path, modules: Vec::new(), warm: false }
    }
}

/// A module that a task needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskModule {
    /// The dotted name of the module, or the path of a `.py` file.
    pub module: String,
    /// The function that the task needs of the module; it may also be a module inside it.
    pub function: String,
}
