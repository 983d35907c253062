//! [`TaskSpec`]: what a worker is asked to run, as data that can travel.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A path that need not be text, as the bytes that it is: serde's own form of it refuses those that are no UTF-8.
mod any_path {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(deserializer).map(PathBuf::from)
    }

    /// The same where there may be none.
    pub(super) mod or_none {
        use super::*;

        pub(in super::super) fn serialize<S: Serializer>(
            path: &Option<PathBuf>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            path.as_ref().map(|path| path.as_os_str()).serialize(serializer)
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<PathBuf>, D::Error> {
            Option::<OsString>::deserialize(deserializer).map(|path| path.map(PathBuf::from))
        }
    }
}

/// A task as data: every worker knows how to run it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaskSpec {
    /// A `#[task]` function of the worker's program, by its registered name.
    Rust {
        /// The name it is registered under.
        name: String,
    },
    /// A Python function.
    Python(PythonTask),
    /// A task as ewoks runs it, in a Python interpreter that has `ewokscore`.
    Ewoks(EwoksTask),
    /// A program with arguments.
    Command(CommandTask),
    /// A program or script as ewoks runs it: the inputs become its arguments.
    Script(ScriptTask),
}

impl TaskSpec {
    /// The `#[task]` function of this name.
    pub fn rust(name: impl Into<String>) -> TaskSpec {
        TaskSpec::Rust { name: name.into() }
    }

    /// A function of a Python module (a dotted name, or the path of a `.py` file) that returns a mapping.
    pub fn python(module: impl Into<String>, function: impl Into<String>) -> TaskSpec {
        TaskSpec::Python(PythonTask { module: module.into(), function: function.into(), returns: Returns::Mapping })
    }

    /// A program with arguments; see [`CommandTask`] for its inputs and result.
    ///
    /// ```
    /// use pushflow_model::TaskSpec;
    /// let count_lines = TaskSpec::command(["wc", "-l", "{path}"]);
    /// # assert!(matches!(count_lines, TaskSpec::Command(_)));
    /// ```
    pub fn command(argv: impl IntoIterator<Item = impl Into<String>>) -> TaskSpec {
        TaskSpec::Command(CommandTask {
            argv: argv.into_iter().map(Into::into).collect(),
            stdin: None,
            environment: Vec::new(),
            directory: None,
            any_exit_code: false,
        })
    }

    /// Whether it runs in a Python interpreter, not in a process of its own.
    pub fn is_python(&self) -> bool {
        matches!(self, TaskSpec::Python(_) | TaskSpec::Ewoks(_))
    }
}

/// A Python function of a module: called with the data as keyword and positional arguments.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PythonTask {
    /// The dotted name of the module, or the path of a `.py` file.
    pub module: String,
    /// The function in it, `run` by default (`parity.md` P22).
    pub function: String,
    /// What becomes of the value that the function returns.
    pub returns: Returns,
}

/// What becomes of the value that a Python function returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Returns {
    /// It must be a mapping: its entries are the result (`parity.md` P34).
    Mapping,
    /// Any value: the result has the one entry `return_value` (ewoks `method`).
    Value,
}

/// What `ewokscore` runs of the node of an ewoks graph file (`ewoks_format.md`): its outputs by their names are the result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EwoksTask {
    /// What is run.
    pub work: EwoksWork,
    /// The node's id, as the task and messages of `ewokscore` see it.
    pub node: String,
    /// The node's label, where it has one.
    pub label: Option<String>,
}

/// The task types of ewoks that `ewokscore` itself runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EwoksWork {
    /// `class`: a class that derives from `ewokscore.Task`.
    Class(EwoksClass),
    /// `generated`: such a class, made by a function from a text.
    Generated {
        /// The dotted name of the function's module, or the path of its `.py` file.
        module: String,
        /// The function.
        generator: String,
        /// What the function gets.
        identifier: String,
    },
    /// `notebook`: a Jupyter notebook, run by papermill.
    Notebook {
        /// Its path, or whatever else papermill opens.
        path: String,
    },
    /// No task of a graph, but a question about one: what a class needs. The result has the entries `required` and
    /// `optional`, the names of its inputs.
    InputNames(EwoksClass),
}

/// Where a class that derives from `ewokscore.Task` is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EwoksClass {
    /// The dotted name of its module, or the path of its `.py` file.
    pub module: String,
    /// Its name in the module.
    pub name: String,
}

/// A program and its arguments: no shell unless the program is one.
///
/// `{NAME}` in an argument or in `stdin` stands for the input of that name, as text; `{{` and `}}` for the braces
/// themselves. The result has the entries `stdout`, `stderr` (text, or bytes where they are no UTF-8) and `exit_code`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommandTask {
    /// The program, then its arguments; at least one.
    pub argv: Vec<String>,
    /// What the program reads from its standard input; nothing by default.
    pub stdin: Option<String>,
    /// Variables set for the program, beside those of the worker.
    pub environment: Vec<(String, String)>,
    /// The folder to run in; the scheduler's own by default.
    #[serde(with = "any_path::or_none")]
    pub directory: Option<PathBuf>,
    /// Whether an exit code other than 0 is a result like any other; by default it fails the attempt.
    pub any_exit_code: bool,
}

/// A script or command of an ewoks graph file (`ewoks_format.md`, task type `script`).
///
/// Inputs become arguments: `-x value` for names of one character, `--name value` for longer ones, a flag alone where
/// the value is the empty text; positions last, in order. The inputs `_capture_output`, `_merge_err` and
/// `_raise_on_error` are options. The result has the entries `return_code`, `out` and `err`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ScriptTask {
    /// A program and its first arguments.
    Command(Vec<String>),
    /// An existing file: run as it is when it starts with `#!`, by the Python interpreter when its name ends in `.py`,
    /// else by `bash`.
    File(#[serde(with = "any_path")] PathBuf),
}
