//! [`Actor`]: one station of a graph, and what it does when it is triggered.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use pushflow_protocol::{TaskError, TaskSpec};
use pushflow_value::Data;

use crate::Router;

/// Names an actor of one graph; counted from 0 in the order in which they were added.
///
/// It knows which graph, so that an actor of another one is never taken for one of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActorId {
    pub(crate) index: u32,
    pub(crate) graph: GraphIdentity,
}

impl ActorId {
    /// The position among the graph's actors.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// Tells graphs apart; a clone of a graph has that of its original, whose actors are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GraphIdentity(u32);

impl Default for GraphIdentity {
    /// One that no other graph of this process has.
    fn default() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        GraphIdentity(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// One actor.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Actor {
    /// Unique in its graph.
    pub name: String,
    /// What it does when it is triggered.
    pub kind: ActorKind,
}

impl Actor {
    /// An actor of that name and kind.
    pub fn new(name: impl Into<String>, kind: ActorKind) -> Self {
        Actor { name: name.into(), kind }
    }
}

/// What an actor does when it is triggered.
#[derive(Clone, Debug)]
pub enum ActorKind {
    /// Where a run begins: passes the run's data on. One per graph.
    Start,
    /// Where a run ends: keeps the result (`parity.md` P56). One per graph.
    Stop,
    /// Passes the data on along every link (`parity.md` P16).
    Fork,
    /// Passes the data on along the links of one port (`parity.md` P44-P51).
    Router(Router),
    /// Waits for one arrival on each of its links, passes them on merged in link order, and waits for the next of each
    /// (`parity.md` P52-P54). What arrives on a link that has delivered waits for the next round.
    Join,
    /// Sets the status of the run to "error" and passes the data on (`parity.md` P59).
    ErrorHandler,
    /// Sets the status of the run, where it has a text for it, and passes the data on (`parity.md` P60).
    Status(Option<String>),
    /// Passes the data on into a submodel or out of it (`parity.md` P62).
    Port,
    /// Does what its author says (see [`Behaviour`]).
    Custom(Arc<dyn Behaviour>),
    /// Runs a task, or passes data on in a task's place.
    Task(Task),
}

/// An actor of one's own: it sees each trigger, may look at the data, and says what goes on.
///
/// It is called on the thread that drives the run, which waits for it: real work belongs into a task. One actor is shared
/// by all runs of its workflow, also by those that go on at the same time.
///
/// ```
/// use pushflow_graph::Behaviour;
/// use pushflow_protocol::TaskError;
/// use pushflow_value::Data;
///
/// /// Lets through what has an entry `sample`.
/// #[derive(Debug)]
/// struct OnlySamples;
///
/// impl Behaviour for OnlySamples {
///     fn triggered(&self, data: Data) -> Result<Vec<Data>, TaskError> {
///         Ok(if data.named("sample").is_some() { vec![data] } else { Vec::new() })
///     }
/// }
/// # assert!(OnlySamples.triggered(Data::new()).unwrap().is_empty());
/// ```
pub trait Behaviour: fmt::Debug + Send + Sync {
    /// What goes on along every link, in this order; nothing if it is empty.
    ///
    /// # Errors
    /// What it returns, or panics with, is the failure of the actor, which takes its error path.
    fn triggered(&self, data: Data) -> Result<Vec<Data>, TaskError>;
}

/// The task of a task actor, with its default inputs.
///
/// ```
/// use pushflow_graph::{Passing, Task, Work};
/// use pushflow_protocol::TaskSpec;
/// use pushflow_value::Data;
///
/// // As a node of an ewoks graph file with `default_inputs`, of task type `method`.
/// let task = Task::from(TaskSpec::python("pkg.mod", "add"))
///     .with_defaults(Data::new().with("b", 1))
///     .with_passing(Passing::Result);
/// assert_eq!(task.defaults.len(), 1);
/// // A node of task type `ppfport`.
/// let port = Task::new(Work::Identity).with_passing(Passing::Dict);
/// # assert_eq!(port.work, Work::Identity);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Task {
    /// What is done at each trigger.
    pub work: Work,
    /// Inputs that anything that arrives overrides (ewoks `default_inputs`).
    pub defaults: Data,
    /// What goes on to the actors after it.
    pub passing: Passing,
}

impl Task {
    /// A task as workflows built from code have it: no defaults, and the inputs travel on below the result.
    pub fn new(work: Work) -> Self {
        Task { work, defaults: Data::new(), passing: Passing::Merged }
    }

    /// The same task with these default inputs in place of those it had.
    #[must_use]
    pub fn with_defaults(self, defaults: Data) -> Self {
        Task { defaults, ..self }
    }

    /// The same task, which hands on by this rule.
    #[must_use]
    pub fn with_passing(self, passing: Passing) -> Self {
        Task { passing, ..self }
    }
}

impl From<TaskSpec> for Task {
    fn from(spec: TaskSpec) -> Self {
        Task::new(Work::Attempt(spec))
    }
}

/// What a task actor does at each trigger.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// An attempt on the pool.
    Attempt(TaskSpec),
    /// Nothing: the inputs are the result (ewoks `ppfport`).
    Identity,
}

/// What a task actor hands on after an attempt succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// The inputs, with the result on top (`parity.md` P32): the rule of workflows built from code.
    Merged,
    /// The result alone (`parity.md` P144): ewoks `method` and `script`.
    Result,
    /// The one entry `_ppfdict`: the inputs, with the entries of an incoming `_ppfdict` on top, with the result on top
    /// of these: ewoks `ppfmethod` and `ppfport`.
    Dict,
}
