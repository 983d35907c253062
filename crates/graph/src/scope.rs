//! [`Scope`]: the workflow itself and each submodel in it, with what handles the errors in there (`parity.md` P61-P68,
//! P78).
//!
//! A submodel is flattened when it is added: its actors become actors of the graph, and the scope remembers which they
//! are. An error goes from the actor that failed to the handlers of its scope, then to those of the scope around it, up
//! to the workflow's; every level hears of it.

use std::collections::HashSet;
use std::ops::Range;

use crate::{ActorId, ActorKind, Graph, GraphError};

/// Names a scope of one graph; a scope has a smaller number than those inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeId(pub(crate) u32);

impl ScopeId {
    /// The workflow itself.
    pub const WORKFLOW: ScopeId = ScopeId(0);

    /// The position among the graph's scopes.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The workflow itself, or a submodel.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The path of the submodel in the graph, such as `outer/inner`; empty for the workflow itself.
    pub name: String,
    /// The scope around it; none for the workflow itself.
    pub parent: Option<ScopeId>,
    /// The actors of a submodel, with those of the submodels inside it, by position. Empty for the workflow, to which all
    /// belong.
    pub(crate) actors: Range<u32>,
    /// What is triggered when an actor in it fails, in this order.
    pub handlers: Vec<ActorId>,
}

/// The scopes of a graph.
#[derive(Clone, Debug)]
pub(crate) struct Scopes {
    pub(crate) all: Vec<Scope>,
    /// Actors whose errors their scopes do not hear of.
    pub(crate) contained: HashSet<ActorId>,
}

impl Default for Scopes {
    fn default() -> Self {
        let workflow = Scope { name: String::new(), parent: None, actors: 0..0, handlers: Vec::new() };
        Scopes { all: vec![workflow], contained: HashSet::new() }
    }
}

impl Graph {
    /// Triggers an actor whenever an actor of the workflow, or of a submodel in it, fails.
    ///
    /// It gets what reached the actor that failed, with the entry `WorkflowException` on top. Errors on the way from a
    /// handler, in actors that nothing else triggers, do not come back to the handlers of the same scope.
    ///
    /// # Errors
    /// When the handler is no actor of this graph, or can't be one: the start actor, or a join.
    pub fn on_error(&mut self, handler: ActorId) -> Result<(), GraphError> {
        self.on_scope_error(ScopeId::WORKFLOW, handler)
    }

    pub(crate) fn on_scope_error(&mut self, scope: ScopeId, handler: ActorId) -> Result<(), GraphError> {
        let actor = self.own_actor(handler, "target")?;
        let what = match actor.kind {
            ActorKind::Start => "the start actor, where a run begins",
            ActorKind::Join => "a join, which waits for its links only",
            _ => {
                self.scopes.all[scope.index()].handlers.push(handler);
                return Ok(());
            }
        };
        Err(GraphError::Misplaced(format!("actor {:?} can't handle errors: it is {what}", actor.name)))
    }

    /// Keeps the errors of an actor from the handlers of its submodel and workflow: only its own error links hear of
    /// them. By default all of them do (`parity.md` P38).
    ///
    /// # Errors
    /// When it is no actor of this graph.
    pub fn contain_errors(&mut self, actor: ActorId) -> Result<(), GraphError> {
        self.own_actor(actor, "source")?;
        self.scopes.contained.insert(actor);
        Ok(())
    }

    /// Whether the handlers of its scopes do not hear of an actor's errors.
    pub fn contains_errors(&self, actor: ActorId) -> bool {
        self.scopes.contained.contains(&actor)
    }

    /// The workflow itself, then each submodel after the one it is in.
    pub fn scopes(&self) -> impl Iterator<Item = (ScopeId, &Scope)> {
        self.scopes.all.iter().enumerate().map(|(index, scope)| (ScopeId(index as u32), scope))
    }

    /// The scope of each actor, by position.
    pub fn scope_of_each(&self) -> Vec<ScopeId> {
        let mut of_each = vec![ScopeId::WORKFLOW; self.actor_count()];
        for (id, scope) in self.scopes() {
            of_each[scope.actors.start as usize..scope.actors.end as usize].fill(id);
        }
        of_each
    }

    /// The path of an actor, such as `/workflow/submodel/actor`, with spaces for `%` (`parity.md` P15, P65, P79).
    ///
    /// ```
    /// use pushflow_graph::Graph;
    ///
    /// let mut graph = Graph::new("50% done");
    /// let fork = graph.add_fork("fork")?;
    /// assert_eq!(graph.path(fork), "/50  done/fork");
    /// # Ok::<(), pushflow_graph::GraphError>(())
    /// ```
    ///
    /// # Panics
    /// When the id is of another graph and out of this one's range.
    pub fn path(&self, actor: ActorId) -> String {
        format!("/{}/{}", self.name, self.actor(actor).name).replace('%', " ")
    }
}
