//! The checks before a run, of its options, its Rust tasks and its interpreter, and the opening of its pools.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::Path;

use pushflow_execute::{find_task, own_tasks};
use pushflow_graph::{ActorId, Graph};
use pushflow_green::Cancellation;
use pushflow_model::{EwoksTask, EwoksWork, PoolType, PythonOptions, PythonTask, ScriptTask, TaskModule, TaskSpec};
use pushflow_pool::{EventSink, OpenError, Policy, Pool, default_pool};
use pushflow_python::find_interpreter;

use crate::error::RunError;
use crate::options::{PythonSettings, RunOptions};
use crate::pools::{self, Pools};

/// The most bytes of all names of modules that an interpreter imports before its first task; each interpreter receives
/// the names.
const MODULES_SIZE: usize = 16 * 1024;

/// Checks the tasks of the graph, and opens the pools on which they run.
///
/// # Errors
/// When the options name no pool and the environment is wrong; when a task, the interpreter or a pool can't be had.
pub(crate) fn open_pools(
    graph: &Graph,
    folder: Option<&Path>,
    options: &RunOptions,
    events: &EventSink,
    opening: &Cancellation,
) -> Result<Pools, RunError> {
    let usual = options.pool.map_or_else(default_pool, Ok).map_err(OpenError::from)?;
    let open = |pool| {
        let share = Share { graph, pool, usual };
        Ok((pool, open_pool(&share, folder, options, events.clone(), opening)?))
    };
    let pools = pools::needed(graph, usual).into_iter().map(open).collect::<Result<_, RunError>>()?;
    Ok(Pools::new(pools, graph, usual))
}

/// Refuses options that contradict each other.
pub(crate) fn check_options(options: &RunOptions) -> Result<(), RunError> {
    if options.pool_options.python.is_some() { Err(RunError::PythonTwice) } else { Ok(()) }
}

/// The tasks of a graph that run on one of its pools.
struct Share<'a> {
    graph: &'a Graph,
    pool: PoolType,
    usual: PoolType,
}

impl<'a> Share<'a> {
    fn tasks(&self) -> impl Iterator<Item = (ActorId, &'a TaskSpec)> {
        self.graph.tasks().filter(|&(actor, _)| pools::pool_type(self.graph, actor, self.usual) == self.pool)
    }

    fn name(&self, actor: ActorId) -> String {
        self.graph.actor(actor).name.clone()
    }
}

fn open_pool(
    share: &Share<'_>,
    folder: Option<&Path>,
    options: &RunOptions,
    events: EventSink,
    opening: &Cancellation,
) -> Result<Box<dyn Pool>, RunError> {
    check_rust_tasks(share)?;
    let mut pool_options = options.pool_options.clone();
    if share.tasks().any(|(_, task)| needs_python(task)) {
        let python = python(folder, &options.python)?;
        pool_options.python = Some(PythonOptions { modules: modules(share), ..python });
    }
    let pool = pushflow_pool::open_pool(share.pool, &pool_options, has_commands(share), events, opening)?;
    if share.tasks().any(|(_, task)| matches!(task, TaskSpec::Python(_) | TaskSpec::Ewoks(_))) {
        pool.start_python(opening)?;
    }
    Ok(pool)
}

/// Whether a task needs a process.
fn has_commands(share: &Share<'_>) -> bool {
    share.tasks().any(|(_, task)| !matches!(task, TaskSpec::Rust { .. }))
}

/// Checks that the Rust tasks exist, where this program can know that: in this process they must be tasks of this
/// program. In workers they must be tasks of the worker program, which is this program exactly if it has tasks of its
/// own.
fn check_rust_tasks(share: &Share<'_>) -> Result<(), RunError> {
    if Policy::of(share.pool).is_some() && own_tasks().next().is_none() {
        return Ok(());
    }
    for (id, task) in share.tasks() {
        if let TaskSpec::Rust { name } = task {
            find_task(name).map_err(|error| RunError::Task { actor: share.name(id), error })?;
        }
    }
    Ok(())
}

/// Whether a task runs in a Python interpreter, also as a script.
fn needs_python(task: &TaskSpec) -> bool {
    match task {
        TaskSpec::Python(_) | TaskSpec::Ewoks(_) => true,
        TaskSpec::Script(ScriptTask::File(path)) => path.extension().is_some_and(|extension| extension == "py"),
        _ => false,
    }
}

/// The module that a task needs, and the function or class in it.
fn module(task: &TaskSpec) -> Option<(&str, &str)> {
    match task {
        TaskSpec::Python(PythonTask { module, function, .. }) => Some((module, function)),
        TaskSpec::Ewoks(EwoksTask { work, .. }) => match work {
            EwoksWork::Class(class) | EwoksWork::InputNames(class) => Some((&class.module, &class.name)),
            EwoksWork::Generated { module, generator, .. } => Some((module, generator)),
            EwoksWork::Notebook { .. } => None,
        },
        _ => None,
    }
}

/// The modules of the pool's Python tasks, each once, up to [`MODULES_SIZE`]. An interpreter imports the others when a
/// task needs them.
fn modules(share: &Share<'_>) -> Vec<TaskModule> {
    let (mut known, mut modules, mut left) = (HashSet::new(), Vec::new(), MODULES_SIZE);
    for (_, task) in share.tasks() {
        let Some((module, function)) = module(task) else { continue };
        if !known.insert((module, function)) {
            continue;
        }
        match left.checked_sub(module.len() + function.len()) {
            Some(less) => left = less,
            None => break,
        }
        modules.push(TaskModule { module: module.to_owned(), function: function.to_owned() });
    }
    modules
}

/// The interpreter, and where it finds modules: in the graph file's folder, then in the folders of the settings.
pub(crate) fn python(folder: Option<&Path>, settings: &PythonSettings) -> Result<PythonOptions, RunError> {
    let interpreter =
        find_interpreter(settings.interpreter.as_deref()).map_err(|error| RunError::Python(error.to_string()))?;
    let named = settings.path.iter().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    let search_path: Vec<OsString> = folder.map(Path::to_owned).into_iter().chain(named).map(Into::into).collect();
    Ok(PythonOptions::new(interpreter, search_path))
}
