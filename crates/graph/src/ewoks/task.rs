//! What a node does: `task_type` and `task_identifier`.

use std::path::Path;

use pushflow_protocol::{EwoksClass, EwoksTask, EwoksWork, PythonTask, Returns, ScriptTask, TaskSpec};
use pushflow_value::{Map, Value};

use super::error::{LoadError, LoadResult};
use super::fields::Fields;
use super::file::Folders;
use super::settings;
use crate::nearest::did_you_mean;
use crate::{Passing, Work};

/// Attributes that older files have in their place: the name is the task type, the value the identifier.
const OLD_SPELLINGS: &[&str] = &["class", "graph", "method", "notebook", "ppfmethod", "ppfport", "script", "task"];

const TASK_TYPES: &[&str] = &["class", "generated", "graph", "method", "notebook", "ppfmethod", "ppfport", "script"];
/// The task type of a node that stands for a graph.
const GRAPH: &str = "graph";
/// The task type of a node whose task class a function makes.
const GENERATED: &str = "generated";

/// Whether a node with these attributes stands for a graph.
pub(super) fn is_graph(attributes: &Map) -> bool {
    let task_type = attributes.get("task_type").and_then(Value::as_str);
    task_type == Some(GRAPH) || attributes.get(GRAPH).is_some_and(|graph| *graph != Value::Null)
}

/// What a node that stands for a graph names, and the attribute that names it.
pub(super) fn graph_identifier<'a>(node: &Fields<'a>) -> LoadResult<(&'static str, &'a Value)> {
    let (_, attribute) = task_type(node)?;
    node.get(attribute).map(|identifier| (attribute, identifier)).ok_or_else(|| node.missing(attribute))
}

/// What names the task of a node, as the file has it.
pub(super) fn identifier(node: &Fields<'_>) -> Option<String> {
    let (_, attribute) = task_type(node).ok()?;
    node.get(attribute).and_then(Value::as_str).map(str::to_owned)
}

/// The work of the node of this id, and what it passes on.
pub(super) fn work(id: &str, node: &Fields<'_>) -> LoadResult<(Work, Passing)> {
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
    let folders = &node.location.source.folders;
    if !TASK_TYPES.contains(&task_type) {
        let meant = did_you_mean(task_type, TASK_TYPES.iter().copied());
        return Err(node.invalid(format!("unknown task type {task_type:?}{meant}")));
    }
    let generator = node.text("task_generator")?.filter(|generator| !generator.is_empty());
    if generator.is_some() && task_type != GENERATED {
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
        "script" => (script(identifier, folders), Passing::Result),
        _ => {
            let work = match task_type {
                GENERATED => generated(generator.ok_or_else(|| node.missing("task_generator"))?, identifier, node)?,
                "notebook" => notebook(identifier, node)?,
                _ => class(identifier, node)?,
            };
            let label = node.text("label")?.map(str::to_owned);
            (Work::Attempt(TaskSpec::Ewoks(EwoksTask { work, node: id.to_owned(), label })), Passing::Result)
        }
    })
}

/// The task type, and the attribute that has the identifier.
fn task_type<'a>(node: &Fields<'a>) -> LoadResult<(&'a str, &'static str)> {
    let named = node.text("task_type")?.map(|name| (name, "task_type", "task_identifier"));
    let old = OLD_SPELLINGS.iter().filter(|name| node.get(name).is_some()).map(|name| match *name {
        "task" => (GENERATED, *name, *name),
        name => (name, name, name),
    });
    let mut found = named.into_iter().chain(old);
    let Some((task_type, attribute, identifier)) = found.next() else {
        return Err(node.invalid(format!("\"task_type\" is missing; it may be {}", TASK_TYPES.join(", "))));
    };
    match found.next() {
        Some((_, second, _)) => {
            Err(node.invalid(format!("{attribute:?} and {second:?} both say what the node does; keep one of them")))
        }
        None => Ok((task_type, identifier)),
    }
}

fn port(node: &Fields<'_>) -> LoadResult<(Work, Passing)> {
    if node.get("task_identifier").is_some_and(|identifier| identifier.as_str() != Some("")) {
        return Err(node.invalid("task type \"ppfport\" runs no task; leave \"task_identifier\" out"));
    }
    Ok((Work::Identity, Passing::Dict))
}

fn python(identifier: &str, returns: Returns, node: &Fields<'_>, folders: &Folders) -> LoadResult<Work> {
    let (module, function) =
        python_name(identifier, Some(DEFAULT_FUNCTION), folders).map_err(|wrong| wrong.into_error(identifier, node))?;
    Ok(Work::Attempt(TaskSpec::Python(PythonTask { module, function, returns })))
}

fn class(identifier: &str, node: &Fields<'_>) -> LoadResult<EwoksWork> {
    let named = python_name(identifier, None, &node.location.source.folders);
    let (module, name) = named.map_err(|wrong| match wrong {
        Misnamed::Form => node.invalid(format!(
            "task identifier {identifier:?} names no Python class; write it as \"package.module.Class\" or \
             \"path/to/file.py::Class\""
        )),
        wrong => wrong.into_error(identifier, node),
    })?;
    Ok(EwoksWork::Class(EwoksClass { module, name }))
}

fn generated(generator: &str, identifier: &str, node: &Fields<'_>) -> LoadResult<EwoksWork> {
    let named = python_name(generator, None, &node.location.source.folders);
    let (module, function) = named.map_err(|wrong| wrong.into_error(generator, node))?;
    Ok(EwoksWork::Generated { module, generator: function, identifier: identifier.to_owned() })
}

/// A file, which may not be there yet, or an address, which papermill can open too.
fn notebook(identifier: &str, node: &Fields<'_>) -> LoadResult<EwoksWork> {
    if identifier.contains("://") {
        return Ok(EwoksWork::Notebook { path: identifier.to_owned() });
    }
    let path = node.location.source.folders.locate(identifier);
    let path = path.to_str().ok_or_else(|| Misnamed::Folder.into_error(identifier, node))?;
    Ok(EwoksWork::Notebook { path: path.to_owned() })
}

/// The function that a task has if its identifier names none (`parity.md` P22).
const DEFAULT_FUNCTION: &str = "run";

/// Why an identifier names nothing in a Python module.
enum Misnamed {
    /// It is not written as such names are.
    Form,
    /// The file is in a folder whose name is no text.
    Folder,
}

impl Misnamed {
    /// As an error about a function of that name.
    fn into_error(self, identifier: &str, node: &Fields<'_>) -> Box<LoadError> {
        let advice = match self {
            Misnamed::Form => {
                "write it as \"package.module:function\", \"package.module.function\" or \
                 \"path/to/file.py::function\""
            }
            Misnamed::Folder => "the path of the graph's folder must be UTF-8",
        };
        node.invalid(format!("task identifier {identifier:?} names no Python function; {advice}"))
    }
}

/// The module, or the absolute path of the file, and the name of something in it: the usual one, where there is one, if the
/// identifier has none.
///
/// `package.module.function` may be a module itself, whose `run` is meant: only the interpreter can tell.
fn python_name(identifier: &str, usual: Option<&str>, folders: &Folders) -> Result<(String, String), Misnamed> {
    let is_file = |name: &str| is_python_file(name) && (name.contains('/') || folders.find(name).is_some());
    let separated = identifier.rsplit_once("::").or_else(|| identifier.rsplit_once(':'));
    let (module, name) = match separated {
        Some(parts) => parts,
        None if is_python_file(identifier) => (identifier, usual.ok_or(Misnamed::Form)?),
        None => match identifier.rsplit_once('.') {
            Some(parts) => parts,
            None => (identifier, usual.ok_or(Misnamed::Form)?),
        },
    };
    let dotted = |name: &str| name.split('.').all(is_python_name);
    if !dotted(name) {
        return Err(Misnamed::Form);
    }
    if is_file(module) || (separated.is_some() && is_python_file(module)) {
        let path = folders.locate(module);
        let path = path.to_str().ok_or(Misnamed::Folder)?;
        return Ok((path.to_owned(), name.to_owned()));
    }
    let module = module.strip_suffix(".py").filter(|_| separated.is_none()).unwrap_or(module);
    if dotted(module) { Ok((module.to_owned(), name.to_owned())) } else { Err(Misnamed::Form) }
}

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
