//! [`PythonOptions`]: how to run Python tasks.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

/// How to run Python tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonOptions {
    /// The interpreter, an absolute path.
    pub interpreter: OsString,
    /// Folders in which the interpreter searches for modules before all others.
    pub search_path: Vec<OsString>,
    /// The modules that an interpreter imports before its first task.
    pub modules: Vec<TaskModule>,
    /// Whether interpreters are forked from one that has imported the modules, where that is possible.
    pub warm: bool,
}

impl PythonOptions {
    /// An interpreter that finds modules in these folders, and imports none before a task needs it.
    pub fn new(interpreter: impl Into<OsString>, search_path: Vec<OsString>) -> PythonOptions {
        PythonOptions { interpreter: interpreter.into(), search_path, modules: Vec::new(), warm: false }
    }
}

/// A module that tasks need.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskModule {
    /// Its dotted name, or the path of a `.py` file.
    pub module: String,
    /// The function that a task needs of the module; it may also be a module inside that one.
    pub function: String,
}
