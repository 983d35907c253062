//! [`TaskSpec`]: a task as data that can be sent to a worker.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Serialises a path as its bytes. The form of serde itself refuses paths that are not UTF-8.
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

    /// The same for an optional path.
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

/// A task as data. Every worker can run it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaskSpec {
    /// A `#[task]` function of the worker's program, by its registered name.
    Rust {
        /// The registered name of the function.
        name: String,
    },
    /// A Python function.
    Python(PythonTask),
    /// A task of a type that `ewokscore` runs, in a Python interpreter that has `ewokscore`.
    Ewoks(EwoksTask),
    /// A program with arguments.
    Command(CommandTask),
    /// A task of the ewoks type `script`: the inputs become the arguments of a program or script.
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

    /// Whether the task runs in a Python interpreter and not in a process of its own.
    pub fn is_python(&self) -> bool {
        matches!(self, TaskSpec::Python(_) | TaskSpec::Ewoks(_))
    }
}

/// A Python function of a module. Named inputs become its keyword arguments, inputs with positions its positional ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PythonTask {
    /// The dotted name of the module, or the path of a `.py` file.
    pub module: String,
    /// The function in the module, `run` by default (`docs/parity.md` P22).
    pub function: String,
    /// How the value that the function returns becomes the result.
    pub returns: Returns,
}

/// How the value that a Python function returns becomes the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Returns {
    /// The value must be a mapping, whose entries are the result (`docs/parity.md` P34).
    Mapping,
    /// The value is the one entry `return_value` of the result (ewoks `method`).
    Value,
}

/// The task of a node of an ewoks graph file that `ewokscore` runs; see `docs/ewoks.md`. The named outputs of the task are
/// the result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EwoksTask {
    /// The task itself.
    pub work: EwoksWork,
    /// The id of the node, which `ewokscore` gives to the task and writes into messages.
    pub node: String,
    /// The label of the node, where it has one.
    pub label: Option<String>,
}

/// The task types of ewoks that `ewokscore` itself runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EwoksWork {
    /// `class`: a class that derives from `ewokscore.Task`.
    Class(EwoksClass),
    /// `generated`: a class that derives from `ewokscore.Task`, made by a function from a text.
    Generated {
        /// The dotted name of the function's module, or the path of its `.py` file.
        module: String,
        /// The function that makes the class.
        generator: String,
        /// The text that the function gets.
        identifier: String,
    },
    /// `notebook`: a Jupyter notebook, run by papermill.
    Notebook {
        /// The path of the notebook, or any other address that papermill opens.
        path: String,
    },
    /// Asks for the names of the inputs of a class, without running it. The result has the entries `required` and
    /// `optional`. No node of a graph has this work.
    InputNames(EwoksClass),
}

/// The place of a class that derives from `ewokscore.Task`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EwoksClass {
    /// The dotted name of the class's module, or the path of its `.py` file.
    pub module: String,
    /// The name of the class in the module.
    pub name: String,
}

/// A program and its arguments. No shell reads them, unless the program is a shell.
///
/// `{NAME}` in an argument or in `stdin` stands for the input of that name, as text. `{{` and `}}` stand for the braces
/// themselves. The result has the entries `stdout`, `stderr` (text, or bytes where they are no UTF-8) and `exit_code`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommandTask {
    /// The program, then its arguments; at least one.
    pub argv: Vec<String>,
    /// The standard input of the program; empty by default.
    pub stdin: Option<String>,
    /// Environment variables that are set for the program beside those of the worker.
    pub environment: Vec<(String, String)>,
    /// The working directory of the program; the scheduler's by default.
    #[serde(with = "any_path::or_none")]
    pub directory: Option<PathBuf>,
    /// Whether the attempt succeeds with any exit code; by default it fails with any other than 0.
    pub any_exit_code: bool,
}

/// A script or command of an ewoks graph file (task type `script` in `docs/ewoks.md`).
///
/// Inputs become arguments: `-x value` for names of one character, `--name value` for longer names, the flag alone where
/// the value is the empty text. Inputs with positions come last, in order. The inputs `_capture_output`, `_merge_err` and
/// `_raise_on_error` are options. The result has the entries `return_code`, `out` and `err`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ScriptTask {
    /// A program and its first arguments.
    Command(Vec<String>),
    /// An existing file. It is executed itself when it starts with `#!`, run by the Python interpreter when its name ends
    /// in `.py`, and else run by `bash`.
    File(#[serde(with = "any_path")] PathBuf),
}
