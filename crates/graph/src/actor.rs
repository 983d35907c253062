//! [`Actor`]: one node of a graph, and what it does when it is triggered.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use pushflow_model::{Data, TaskError, TaskSpec};

use crate::Router;

/// The id of an actor in its graph. Actors are counted from 0, in the order in which they were added.
///
/// The id says which graph it belongs to, so that a graph can refuse the ids of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActorId {
    pub(crate) index: u32,
    pub(crate) graph: GraphIdentity,
}

impl ActorId {
    /// The position of the actor among the actors of its graph.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// Tells graphs apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GraphIdentity(u32);

impl Default for GraphIdentity {
    /// An identity that no other graph of this process has.
    fn default() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        GraphIdentity(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The ids of the actors of one graph.
///
/// A clone of a graph keeps the ids of the actors that the original had. What is added to either from then on has an id
/// that the other one refuses: a clone has an identity of its own for these.
#[derive(Debug, Default)]
pub(crate) struct ActorIds {
    original: GraphIdentity,
    /// How many actors there are. A clone needs the number, and knows no more of the graph than this.
    count: u32,
    /// The identities of the actors from these indices on, in the order of the indices.
    later: Vec<(u32, GraphIdentity)>,
}

impl Clone for ActorIds {
    fn clone(&self) -> Self {
        // An identity that no actor of this graph has yet is not needed: so many clones in a row keep the list short.
        let mut later: Vec<_> = self.later.iter().copied().filter(|(first, _)| *first < self.count).collect();
        later.push((self.count, GraphIdentity::default()));
        ActorIds { original: self.original, later, count: self.count }
    }
}

impl ActorIds {
    /// The id of the next actor. It counts once [`ActorIds::add`] was called.
    pub(crate) fn next(&self) -> ActorId {
        self.at(self.count)
    }

    /// Counts the next actor.
    pub(crate) fn add(&mut self) {
        self.count += 1;
    }

    /// The id of the actor at this index.
    pub(crate) fn at(&self, index: u32) -> ActorId {
        let later = self.later.iter().rfind(|(first, _)| *first <= index);
        ActorId { index, graph: later.map_or(self.original, |&(_, identity)| identity) }
    }

    /// Whether an actor of the graph has this id.
    pub(crate) fn contain(&self, id: ActorId) -> bool {
        id.index < self.count && self.at(id.index) == id
    }
}

/// One actor: a node of a graph.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Actor {
    /// The name of the actor, unique in its graph.
    pub name: String,
    /// What the actor does when it is triggered.
    pub kind: ActorKind,
}

impl Actor {
    /// An actor with this name and kind.
    pub fn new(name: impl Into<String>, kind: ActorKind) -> Self {
        Actor { name: name.into(), kind }
    }
}

/// What an actor does when it is triggered.
///
/// The list is exhaustive on purpose: the reactor must know every kind, and the compiler checks that it does.
#[derive(Clone, Debug)]
pub enum ActorKind {
    /// Passes the inputs of the run on: a run begins here. A graph has one.
    Start,
    /// Keeps the result: a run ends here (`docs/parity.md` P56). A graph has one.
    Stop,
    /// Passes the data on along every link (`docs/parity.md` P16).
    Fork,
    /// Passes the data on along the links of one port (`docs/parity.md` P44-P51).
    Router(Router),
    /// Waits for one arrival on each of its links, passes these arrivals on as one, merged in link order, and waits for
    /// the next round (`docs/parity.md` P52-P54). A second arrival on one link waits for the next round.
    Join,
    /// Sets the status of the run to "error" and passes the data on (`docs/parity.md` P59).
    ErrorHandler,
    /// Sets the status of the run to this text, if there is one, and passes the data on (`docs/parity.md` P60).
    Status(Option<String>),
    /// Passes the data on into a submodel or out of it (`docs/parity.md` P62).
    Port,
    /// Does what code of your own says (see [`Behaviour`]).
    Custom(Arc<dyn Behaviour>),
    /// Runs a task, or passes its inputs on as the result.
    Task(Task),
}

/// The behaviour of an actor of your own: the reactor calls it at each trigger, and it decides which data goes on.
///
/// The thread that drives the run calls it and waits for it, so that real work belongs into a task. All runs of a
/// workflow share one behaviour, also those that go on at the same time.
///
/// ```
/// use pushflow_graph::Behaviour;
/// use pushflow_model::TaskError;
/// use pushflow_model::Data;
///
/// /// Passes on data that has an entry `sample`, and no other.
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
    /// The data that goes on along every link, in this order. An empty list triggers nothing.
    ///
    /// # Errors
    /// An error or a panic is the failure of the actor, and takes the error path of the actor.
    fn triggered(&self, data: Data) -> Result<Vec<Data>, TaskError>;
}

/// The task of a task actor, with its default inputs.
///
/// ```
/// use pushflow_graph::{Passing, Task, Work};
/// use pushflow_model::TaskSpec;
/// use pushflow_model::Data;
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
    /// What the actor does at each trigger.
    pub work: Work,
    /// Values for inputs that do not arrive (ewoks `default_inputs`). An arrival overrides the value of the same name.
    pub defaults: Data,
    /// What the actor hands on when an attempt has succeeded.
    pub passing: Passing,
}

impl Task {
    /// A task without default inputs, whose inputs go on below the result: the default of workflows built from code.
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

/// What a task actor does at each trigger. The list is exhaustive on purpose, as that of [`ActorKind`].
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// It runs an attempt of this task on a pool.
    Attempt(TaskSpec),
    /// It runs nothing: the inputs are the result (ewoks `ppfport`).
    Identity,
}

/// What a task actor hands on when an attempt has succeeded. The list is exhaustive on purpose, as that of
/// [`ActorKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// The inputs, with the result on top (`docs/parity.md` P32): the rule of workflows built from code.
    Merged,
    /// The result alone (`docs/parity.md` P144): ewoks `method` and `script`.
    Result,
    /// The one entry `_ppfdict`, a dictionary: the inputs, above them the entries of an incoming `_ppfdict`, above
    /// these the result. This is the rule of ewoks `ppfmethod` and `ppfport`.
    Dict,
}
