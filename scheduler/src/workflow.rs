//! [`Workflow`]: a graph that can be built, loaded and run.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pushflow_graph::ewoks::{self, LoadError, LoadOptions};
use pushflow_graph::{ActorId, Behaviour, Graph, GraphError, Link, Retries, Router, Submodel, Task, Warning};
use pushflow_model::{Data, PoolType, Value};

use crate::error::RunError;
use crate::options::RunOptions;
use crate::outcome::Outcome;
use crate::python_classes::with_classes;
use crate::run::Run;

/// Actors and the links between them, which can be run any number of times, also at the same time.
///
/// See the crate's documentation for examples.
#[derive(Clone, Debug)]
pub struct Workflow {
    graph: Arc<Graph>,
    /// The folder of the graph file, where modules and scripts are looked up first.
    folder: Option<PathBuf>,
}

impl Workflow {
    /// A workflow without an actor.
    pub fn new(name: impl Into<String>) -> Workflow {
        Workflow { graph: Arc::new(Graph::new(name)), folder: None }
    }

    /// Loads an ewoks graph file (JSON or YAML); see `docs/ewoks.md`.
    ///
    /// # Errors
    /// When the file can't be read, or is no ewoks graph.
    pub fn load(path: impl AsRef<Path>) -> Result<Workflow, LoadError> {
        Workflow::load_with(path, &LoadOptions::default())
    }

    /// Loads an ewoks graph file with values for inputs of its nodes, or with a root folder for relative file names.
    ///
    /// ```no_run
    /// use pushflow::{Input, LoadOptions, Workflow};
    ///
    /// let options = LoadOptions::default().with_inputs([Input::of_start("name", "World")]);
    /// let workflow = Workflow::load_with("hello.json", &options)?;
    /// # Ok::<(), pushflow::LoadError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Workflow::load`]; when an input names a node that is not in the graph.
    pub fn load_with(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Workflow, LoadError> {
        let path = ewoks::find_file(path.as_ref(), options);
        let graph = ewoks::load_file_with(path.as_ref(), &with_classes(options))?;
        let folder = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned));
        Ok(Workflow { graph: Arc::new(graph), folder })
    }

    /// Reads an ewoks graph (JSON or YAML) from a reader; messages call the graph `name`. Relative file names in the
    /// graph, and Python modules, are looked up in the root folder of the options, or else in the current folder.
    ///
    /// # Errors
    /// As [`Workflow::load_with`].
    pub fn read(reader: impl Read, name: &str, options: &LoadOptions) -> Result<Workflow, LoadError> {
        let graph = ewoks::load_reader(reader, name, &with_classes(options))?;
        let folder = options.root.as_deref().unwrap_or(Path::new("."));
        Ok(Workflow { graph: Arc::new(graph), folder: std::path::absolute(folder).ok() })
    }

    /// The name of the workflow.
    pub fn name(&self) -> &str {
        &self.graph.name
    }

    /// The actors and links.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The graph, for changes. A run keeps the graph with which it began.
    fn edit(&mut self) -> &mut Graph {
        Arc::make_mut(&mut self.graph)
    }

    /// Adds the start actor, which receives the run's inputs.
    ///
    /// # Errors
    /// When the workflow has a start actor.
    pub fn start(&mut self) -> Result<ActorId, GraphError> {
        self.edit().add_start("Start actor")
    }

    /// Adds the stop actor, which keeps the result.
    ///
    /// # Errors
    /// When the workflow has a stop actor.
    pub fn stop(&mut self) -> Result<ActorId, GraphError> {
        self.edit().add_stop("Stop actor")
    }

    /// Adds an actor that runs a task.
    ///
    /// # Errors
    /// When there is an actor of that name.
    pub fn task(&mut self, name: impl Into<String>, task: impl Into<Task>) -> Result<ActorId, GraphError> {
        self.edit().add_task(name, task)
    }

    /// Adds an actor that passes data on along every link.
    ///
    /// # Errors
    /// When there is an actor of that name.
    pub fn fork(&mut self, name: impl Into<String>) -> Result<ActorId, GraphError> {
        self.edit().add_fork(name)
    }

    /// Adds an actor that looks at the entry `item` of its data and passes the data on from the port with that value,
    /// or from the port "other" (`docs/parity.md` P44-P51).
    ///
    /// # Errors
    /// When there is an actor of that name.
    pub fn router(
        &mut self,
        name: impl Into<String>,
        item: impl Into<String>,
        ports: impl IntoIterator<Item = impl Into<Value>>,
    ) -> Result<ActorId, GraphError> {
        self.edit().add_router(name, Router::new(item, ports))
    }

    /// Adds an actor that waits for one arrival on each of its links, merges them in link order, passes the result on,
    /// and then waits for the next arrival on each link (`docs/parity.md` P52-P54).
    ///
    /// # Errors
    /// When there is an actor of that name.
    pub fn join(&mut self, name: impl Into<String>) -> Result<ActorId, GraphError> {
        self.edit().add_join(name)
    }

    /// Adds an actor that sets the status of the run to "error" and passes data on (`docs/parity.md` P59).
    ///
    /// # Errors
    /// When there is an actor of that name.
    pub fn error_handler(&mut self, name: impl Into<String>) -> Result<ActorId, GraphError> {
        self.edit().add_error_handler(name)
    }

    /// Adds an actor that sets the status of the run to a text and passes data on (`docs/parity.md` P60).
    ///
    /// # Errors
    /// When there is an actor of that name.
    pub fn status(&mut self, name: impl Into<String>, status: impl Into<String>) -> Result<ActorId, GraphError> {
        self.edit().add_status(name, Some(status.into()))
    }

    /// Adds an actor of your own, which returns for each trigger the data that goes on; see [`Behaviour`].
    ///
    /// # Errors
    /// When there is an actor of that name.
    pub fn custom(
        &mut self,
        name: impl Into<String>,
        behaviour: impl Behaviour + 'static,
    ) -> Result<ActorId, GraphError> {
        self.edit().add_custom(name, behaviour)
    }

    /// Adds a copy of a graph with ports ([`Graph::add_port`]) as a submodel; see [`Graph::add_submodel`].
    ///
    /// # Errors
    /// When the graph has a start or stop actor, or a join with less than two links; when a name is taken.
    pub fn submodel(&mut self, name: impl Into<String>, graph: &Graph) -> Result<Submodel, GraphError> {
        self.edit().add_submodel(name, graph)
    }

    /// Triggers the actor `handler` whenever `source` fails, with the data that had reached `source` and the entry
    /// `WorkflowException` (`errorMessage`, `traceBack`) on top. An error that triggers a handler does not fail the
    /// run.
    ///
    /// # Errors
    /// As [`Workflow::connect`].
    pub fn connect_on_error(&mut self, source: ActorId, handler: ActorId) -> Result<(), GraphError> {
        self.link(source, handler, Link::on_error())
    }

    /// Triggers an actor whenever any other actor fails, after the handlers of that actor and of the submodels around
    /// it.
    ///
    /// # Errors
    /// When the handler is not of this workflow, or is the start actor or a join.
    pub fn on_error(&mut self, handler: ActorId) -> Result<(), GraphError> {
        self.edit().on_error(handler)
    }

    /// Triggers an actor of this workflow whenever an actor in the submodel fails, after the submodel's own handlers.
    ///
    /// # Errors
    /// As [`Workflow::on_error`].
    pub fn on_submodel_error(&mut self, submodel: &Submodel, handler: ActorId) -> Result<(), GraphError> {
        self.edit().on_submodel_error(submodel, handler)
    }

    /// Keeps the errors of an actor from the handlers of its submodel and workflow.
    ///
    /// # Errors
    /// When the actor is not of this workflow.
    pub fn contain_errors(&mut self, actor: ActorId) -> Result<(), GraphError> {
        self.edit().contain_errors(actor)
    }

    /// Limits how often an actor, and with it any cycle through it, may run in one run; see
    /// [`crate::Limits::max_rounds`].
    ///
    /// # Errors
    /// When it is not of this workflow.
    pub fn limit_rounds(&mut self, actor: ActorId, rounds: u64) -> Result<(), GraphError> {
        self.edit().limit_rounds(actor, rounds)
    }

    /// Limits how long each attempt of a task actor may take; see [`RunOptions::attempt_timeout`], which it overrides.
    ///
    /// # Errors
    /// When it is not of this workflow, or runs no task.
    pub fn limit_time(&mut self, actor: ActorId, time: Duration) -> Result<(), GraphError> {
        self.edit().limit_time(actor, time)
    }

    /// Retries the task of an actor when it fails; see [`Retries`]. Only the last failure is that of the actor; the
    /// earlier ones are listed as handled.
    ///
    /// # Errors
    /// When it is not of this workflow, or runs no task.
    pub fn retry(&mut self, actor: ActorId, retries: Retries) -> Result<(), GraphError> {
        self.edit().retry(actor, retries)
    }

    /// Runs the attempts of a task actor on this pool, whatever the pool of the run is. All pools of a run have the
    /// same options, also the same number of workers.
    ///
    /// # Errors
    /// When it is not of this workflow, or runs no task.
    pub fn run_on(&mut self, actor: ActorId, pool: PoolType) -> Result<(), GraphError> {
        self.edit().run_on(actor, pool)
    }

    /// Links two actors: the data that the source hands on triggers the target.
    ///
    /// # Errors
    /// When an end is not of this workflow, or the link does not fit its ends: out of the stop actor, into the start
    /// actor, out of a router without a port.
    pub fn connect(&mut self, source: ActorId, target: ActorId) -> Result<(), GraphError> {
        self.link(source, target, Link::direct())
    }

    /// Links a port of a router to an actor; the port "other" is always there.
    ///
    /// # Errors
    /// As [`Workflow::connect`]; when the router has no such port.
    pub fn connect_port(&mut self, router: ActorId, port: impl Into<Value>, target: ActorId) -> Result<(), GraphError> {
        self.link(router, target, Link::port(port))
    }

    /// Links two actors in any way a graph file can.
    ///
    /// # Errors
    /// As [`Workflow::connect`].
    pub fn link(&mut self, source: ActorId, target: ActorId, link: Link) -> Result<(), GraphError> {
        self.edit().connect(source, target, link).map(drop)
    }

    /// Finds what looks like a mistake in the workflow, though it may run. Each warning names the actor and says what
    /// to do.
    pub fn check(&self) -> Vec<Warning> {
        self.graph.check()
    }

    /// Runs the workflow to its end; its start actor receives `inputs`.
    ///
    /// # Errors
    /// When the run can't begin. Once it has begun, every error is in the outcome.
    pub fn run(&self, inputs: Data, options: &RunOptions) -> Result<Outcome, RunError> {
        Ok(self.prepare(inputs, options)?.wait())
    }

    /// Opens the pools for a run, which [`Run::wait`] then drives. Its [`Run::stop_handle`] stops it from another
    /// thread.
    ///
    /// # Errors
    /// When the run can't begin.
    pub fn prepare(&self, inputs: Data, options: &RunOptions) -> Result<Run, RunError> {
        Run::prepare(self.graph.clone(), self.folder.as_deref(), inputs, options)
    }
}
