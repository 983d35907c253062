//! What can be known before a run, and the pool for it: the tasks, the interpreter, the worker program.

use std::ffi::OsString;
use std::path::Path;

use pushflow_graph::Graph;
use pushflow_pool::run::find_interpreter;
use pushflow_pool::{EventSink, Policy, Pool, PoolType, find_task, own_tasks};
use pushflow_protocol::{PythonOptions, ScriptTask, TaskSpec};

use crate::run::tasks;
use crate::{RunError, RunOptions};

/// Checks the tasks of the graph, and opens the pool that they are to run on.
pub(crate) fn open_pool(
    graph: &Graph,
    folder: Option<&Path>,
    options: &RunOptions,
    events: EventSink,
) -> Result<Box<dyn Pool>, RunError> {
    check_rust_tasks(graph, options.pool)?;
    let mut pool_options = options.pool_options.clone();
    if options.pool == PoolType::Gevent {
        refuse_python(graph, options.pool)?;
    } else if tasks(graph).any(|(_, task)| needs_python(task)) {
        pool_options.python = Some(python(folder, options)?);
    }
    Ok(pushflow_pool::open_pool(options.pool, &pool_options, has_commands(graph), events)?)
}

/// Whether a task needs a process.
fn has_commands(graph: &Graph) -> bool {
    tasks(graph).any(|(_, task)| !matches!(task, TaskSpec::Rust { .. }))
}

/// In this process every Rust task must be one of this program's. In workers it is the worker program that must know it, which
/// is this program exactly where it has tasks of its own.
fn check_rust_tasks(graph: &Graph, pool: PoolType) -> Result<(), RunError> {
    if Policy::of(pool).is_some() && own_tasks().next().is_none() {
        return Ok(());
    }
    for (id, task) in tasks(graph) {
        if let TaskSpec::Rust { name } = task {
            let actor = || graph.actor(id).name.clone();
            find_task(name).map_err(|source| RunError::Task { actor: actor(), source })?;
        }
    }
    Ok(())
}

/// Whether a task runs in a Python interpreter, be it as a script.
fn needs_python(task: &TaskSpec) -> bool {
    match task {
        TaskSpec::Python(_) => true,
        TaskSpec::Script(ScriptTask::File(path)) => path.extension().is_some_and(|extension| extension == "py"),
        _ => false,
    }
}

fn refuse_python(graph: &Graph, pool: PoolType) -> Result<(), RunError> {
    match tasks(graph).find(|(_, task)| matches!(task, TaskSpec::Python(_))) {
        None => Ok(()),
        Some((id, _)) => Err(RunError::Unsupported {
            actor: graph.actor(id).name.clone(),
            reason: format!("Python tasks do not run on the pool \"{pool}\" in this version: choose \"process\""),
        }),
    }
}

/// The interpreter, and where it finds modules: the graph file's folder, then what the user named.
fn python(folder: Option<&Path>, options: &RunOptions) -> Result<PythonOptions, RunError> {
    let interpreter =
        find_interpreter(options.python.interpreter.as_deref()).map_err(|error| RunError::Python(error.to_string()))?;
    let named = options.python.path.iter().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    let search_path: Vec<OsString> = folder.map(Path::to_owned).into_iter().chain(named).map(Into::into).collect();
    Ok(PythonOptions { interpreter: interpreter.into(), search_path })
}
