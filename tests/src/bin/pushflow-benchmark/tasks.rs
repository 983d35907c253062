//! The tasks: those of the peers, in Rust and in Python.

use pushflow::{Data, TaskSpec, Value, task};

/// The file with the Python tasks.
pub(crate) const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/pushflow-benchmark/tasks.py");

/// The language of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Rust,
    Python,
}

impl Language {
    pub(crate) const ALL: [Language; 2] = [Language::Rust, Language::Python];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Python => "python",
        }
    }

    /// The task of that name.
    pub(crate) fn task(self, name: &str) -> TaskSpec {
        match self {
            Language::Rust => TaskSpec::rust(name),
            Language::Python => TaskSpec::python(PYTHON, name),
        }
    }
}

#[task]
fn identity(x: Value) -> Data {
    Data::new().with("x", x)
}

#[task]
fn add_one(value: i64) -> Data {
    Data::new().with("value", value + 1)
}

#[task]
fn check(value: i64, limit: i64) -> Data {
    Data::new().with("again", value < limit)
}

/// What it gets, copied as the peers' task copies it.
#[task]
fn copy(blob: Value) -> Data {
    Data::new().with("blob", blob)
}
