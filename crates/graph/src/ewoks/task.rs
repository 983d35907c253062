//! Reads what a node does: `task_type` and `task_identifier`.

use std::path::Path;

use pushflow_model::{
    EwoksClass, EwoksTask, EwoksWork, Map, PythonTask, Returns, ScriptTask, TaskSpec, Value, did_you_mean,
};

use super::error::{LoadError, LoadResult};
use super::fields::Fields;
use super::file::Folders;
use super::settings;
use crate::{Passing, Work};

/// The attributes of older files for these two: the name is the task type, and the value is the identifier.
const OLD_SPELLINGS: &[&str] = &["class", "graph", "method", "notebook", "ppfmethod", "ppfport", "script", "task"];

const TASK_TYPES: &[&str] = &["class", "generated", "graph", "method", "notebook", "ppfmethod", "ppfport", "script"];
/// The task type of a node that stands for a graph.
const GRAPH: &str = "graph";
/// The task type of a node whose task class is made by a function.
const GENERATED: &str = "generated";

/// Whether a node with these attributes stands for a graph.
pub(super) fn is_graph(attributes: &Map) -> bool {
    let task_type = attributes.get("task_type").and_then(Value::as_str);
    task_type == Some(GRAPH) || attributes.get(GRAPH).is_some_and(|graph| *graph != Value::Null)
}

/// The value that names the graph of a graph node, and the attribute that holds this value.
pub(super) fn graph_identifier<'a>(node: &Fields<'a>) -> LoadResult<(&'static str, &'a Value)> {
    let (_, attribute) = task_type(node)?;
    node.get(attribute).map(|identifier| (attribute, identifier)).ok_or_else(|| node.missing(attribute))
}

/// The identifier of the task of a node, as the file has it.
pub(super) fn identifier(node: &Fields<'_>) -> Option<String> {
    let (_, attribute) = task_type(node).ok()?;
    node.get(attribute).and_then(Value::as_str).map(str::to_owned)
}

/// The work of the node with this id, and what it passes on.
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

/// The task type of a node, and the attribute that holds the identifier.
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

/// The notebook that an identifier names: a file, which need not exist yet, or an address that papermill can open.
fn notebook(identifier: &str, node: &Fields<'_>) -> LoadResult<EwoksWork> {
    if identifier.contains("://") {
        return Ok(EwoksWork::Notebook { path: identifier.to_owned() });
    }
    let path = node.location.source.folders.locate(identifier);
    let path = path.to_str().ok_or_else(|| Misnamed::Folder.into_error(identifier, node))?;
    Ok(EwoksWork::Notebook { path: path.to_owned() })
}

/// The function of a task whose identifier names no function (`docs/parity.md` P22).
const DEFAULT_FUNCTION: &str = "run";

/// Why an identifier is no name of a Python function or class.
enum Misnamed {
    /// It does not have the form of such a name.
    Form,
    /// The file is in a folder whose name is not UTF-8.
    Folder,
}

impl Misnamed {
    /// The error about a function with this identifier.
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

/// The module or the absolute path of the file that an identifier names, and the name of the function or class in it.
/// An identifier without such a name stands for `default_name`, if there is one.
///
/// `package.module.function` may also name a module, and then stands for its function `run`. Only the interpreter can
/// tell.
fn python_name(identifier: &str, default_name: Option<&str>, folders: &Folders) -> Result<(String, String), Misnamed> {
    let is_file = |name: &str| is_python_file(name) && (name.contains('/') || folders.find(name).is_some());
    let separated = identifier.rsplit_once("::").or_else(|| identifier.rsplit_once(':'));
    let (module, name) = match separated {
        Some(parts) => parts,
        None if is_python_file(identifier) => (identifier, default_name.ok_or(Misnamed::Form)?),
        None => match identifier.rsplit_once('.') {
            Some(parts) => parts,
            None => (identifier, default_name.ok_or(Misnamed::Form)?),
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

/// Whether a text could be a name in Python: letters of any script, digits and `_`, but no digit first.
fn is_python_name(name: &str) -> bool {
    name.chars().all(|letter| letter == '_' || letter.is_alphanumeric())
        && name.chars().next().is_some_and(|first| !first.is_numeric())
}

/// The script that an identifier names: an existing file, else a command whose words are separated by single spaces.
fn script(identifier: &str, folders: &Folders) -> Work {
    let task = match folders.find(identifier) {
        Some(path) => ScriptTask::File(path),
        None => ScriptTask::Command(identifier.split(' ').map(str::to_owned).collect()),
    };
    Work::Attempt(TaskSpec::Script(task))
}
