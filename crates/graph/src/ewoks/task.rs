//! What a node does: `task_type` and `task_identifier`.

use std::path::Path;

use pushflow_protocol::{PythonTask, Returns, ScriptTask, TaskSpec};
use pushflow_value::{Map, Value};

use super::fields::Fields;
use super::file::Folders;
use super::settings;
use super::spot::Reading;
use crate::nearest::did_you_mean;
use crate::{Passing, Work};

/// The attributes of a node that this file reads.
pub(super) const ATTRIBUTES: &[&str] = &["task_type", "task_identifier", "task_generator"];
/// Attributes that older files have in their place: the name is the task type, the value the identifier.
const OLD_SPELLINGS: &[&str] = &["class", "graph", "method", "notebook", "ppfmethod", "ppfport", "script", "task"];

const TASK_TYPES: &[&str] = &["class", "generated", "graph", "method", "notebook", "ppfmethod", "ppfport", "script"];
/// The task type of a node that stands for a graph.
const GRAPH: &str = "graph";
const SUPPORTED: &str = "\"graph\", \"method\", \"ppfmethod\", \"ppfport\" and \"script\"";

/// Whether a node with these attributes stands for a graph.
pub(super) fn is_graph(attributes: &Map) -> bool {
    let task_type = attributes.get("task_type").and_then(Value::as_str);
    task_type == Some(GRAPH) || attributes.get(GRAPH).is_some_and(|graph| *graph != Value::Null)
}

/// What a node that stands for a graph names, and the attribute that names it.
pub(super) fn graph_identifier<'a>(node: &Fields<'a>) -> Reading<(&'static str, &'a Value)> {
    let (_, attribute) = task_type(node)?;
    node.get(attribute).map(|identifier| (attribute, identifier)).ok_or_else(|| node.missing(attribute))
}

/// What names the task of a node, as the file has it.
pub(super) fn identifier(node: &Fields<'_>) -> Option<String> {
    let (_, attribute) = task_type(node).ok()?;
    node.get(attribute).and_then(Value::as_str).map(str::to_owned)
}

/// The work of a node, and what it passes on.
pub(super) fn work(node: &Fields<'_>) -> Reading<(Work, Passing)> {
    if let Some(own) = settings::task(node)? {
        let said = ["task_type"].iter().chain(OLD_SPELLINGS).find(|name| node.get(name).is_some());
        if let Some(attribute) = said {
            let message =
                format!("{attribute:?} and {:?} both say what the node does; keep one of them", settings::KEY);
            return Err(node.invalid(message));
        }
        return Ok((Work::Attempt(own), Passing::Result));
    }
    let (task_type, identifier_attribute) = task_type(node)?;
    let folders = &node.spot.source.folders;
    if !TASK_TYPES.contains(&task_type) {
        let meant = did_you_mean(task_type, TASK_TYPES.iter().copied());
        return Err(node.invalid(format!("unknown task type {task_type:?}{meant}")));
    }
    if !matches!(task_type, "method" | "ppfmethod" | "ppfport" | "script") {
        return Err(node.spot.unsupported(format!("task type {task_type:?}")));
    }
    if node.get("task_generator").is_some() {
        return Err(node.invalid("\"task_generator\" belongs to task type \"generated\"; leave it out"));
    }
    if task_type == "ppfport" {
        return port(node);
    }
    let identifier = node.text(identifier_attribute)?.unwrap_or_default();
    if identifier.is_empty() {
        return Err(node.missing(identifier_attribute));
    }
    Ok(match task_type {
        "method" => (python(identifier, Returns::Value, node, folders)?, Passing::Result),
        "ppfmethod" => (python(identifier, Returns::Mapping, node, folders)?, Passing::Dict),
        _ => (script(identifier, folders), Passing::Result),
    })
}

/// The task type, and the attribute that has the identifier.
fn task_type<'a>(node: &Fields<'a>) -> Reading<(&'a str, &'static str)> {
    let named = node.text("task_type")?.map(|name| (name, "task_type", "task_identifier"));
    let old = OLD_SPELLINGS.iter().filter(|name| node.get(name).is_some()).map(|name| match *name {
        "task" => ("generated", *name, *name),
        name => (name, name, name),
    });
    let mut found = named.into_iter().chain(old);
    let Some((task_type, attribute, identifier)) = found.next() else {
        return Err(node.invalid(format!("\"task_type\" is missing; this version supports {SUPPORTED}")));
    };
    match found.next() {
        Some((_, second, _)) => {
            Err(node.invalid(format!("{attribute:?} and {second:?} both say what the node does; keep one of them")))
        }
        None => Ok((task_type, identifier)),
    }
}

fn port(node: &Fields<'_>) -> Reading<(Work, Passing)> {
    if node.get("task_identifier").is_some_and(|identifier| identifier.as_str() != Some("")) {
        return Err(node.invalid("task type \"ppfport\" runs no task; leave \"task_identifier\" out"));
    }
    Ok((Work::Identity, Passing::Dict))
}

fn python(identifier: &str, returns: Returns, node: &Fields<'_>, folders: &Folders) -> Reading<Work> {
    let (module, function) = python_function(identifier, folders)
        .map_err(|advice| node.invalid(format!("task identifier {identifier:?} names no Python function; {advice}")))?;
    Ok(Work::Attempt(TaskSpec::Python(PythonTask { module, function, returns })))
}

/// The function that a task has if its identifier names none (`parity.md` P22).
const USUAL_FUNCTION: &str = "run";

/// The module, or the absolute path of the file, and the function; or advice on how to write them.
///
/// `package.module.function` may be a module itself, whose `run` is meant: only the interpreter can tell.
fn python_function(identifier: &str, folders: &Folders) -> Result<(String, String), String> {
    let is_file = |name: &str| is_python_file(name) && (name.contains('/') || folders.find(name).is_some());
    let separated = identifier.rsplit_once("::").or_else(|| identifier.rsplit_once(':'));
    let (module, function) = match separated {
        Some((module, function)) => (module, function),
        None if is_python_file(identifier) => (identifier, USUAL_FUNCTION),
        None => identifier.rsplit_once('.').unwrap_or((identifier, USUAL_FUNCTION)),
    };
    let dotted = |name: &str| name.split('.').all(is_python_name);
    if !dotted(function) {
        return Err(ADVICE.to_owned());
    }
    if is_file(module) || (separated.is_some() && is_python_file(module)) {
        let path = folders.locate(module);
        let path = path.to_str().ok_or("the path of the graph's folder must be UTF-8")?;
        return Ok((path.to_owned(), function.to_owned()));
    }
    let module = module.strip_suffix(".py").filter(|_| separated.is_none()).unwrap_or(module);
    if dotted(module) { Ok((module.to_owned(), function.to_owned())) } else { Err(ADVICE.to_owned()) }
}

/// How to name a Python function.
const ADVICE: &str =
    "write it as \"package.module:function\", \"package.module.function\" or \"path/to/file.py::function\"";

fn is_python_file(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "py")
}

/// Whether a text could be a name in Python: letters of any script, digits and `_`, no digit first.
fn is_python_name(name: &str) -> bool {
    name.chars().all(|letter| letter == '_' || letter.is_alphanumeric())
        && name.chars().next().is_some_and(|first| !first.is_numeric())
}

/// An existing file, else a command whose words are separated by single spaces.
fn script(identifier: &str, folders: &Folders) -> Work {
    let task = match folders.find(identifier) {
        Some(path) => ScriptTask::File(path),
        None => ScriptTask::Command(identifier.split(' ').map(str::to_owned).collect()),
    };
    Work::Attempt(TaskSpec::Script(task))
}
