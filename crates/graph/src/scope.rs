//! [`Scope`]: the workflow itself, or a submodel in it, with the handlers of the errors in it (`docs/parity.md`
//! P61-P68, P78).
//!
//! A graph flattens a submodel when it is added: the actors of the submodel become actors of the graph, and the scope
//! remembers which they are. An error triggers the handlers of the scope of the failed actor, then those of the scope
//! around it, and so on up to those of the workflow. No level hides it from the next.

use std::collections::HashSet;
use std::ops::Range;

use crate::ActorId;

/// The id of a scope in its graph. A scope has a smaller number than the scopes inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeId(pub(crate) u32);

impl ScopeId {
    /// The workflow itself.
    pub const WORKFLOW: ScopeId = ScopeId(0);

    /// The position of the scope among the scopes of its graph.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The workflow itself, or a submodel.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Scope {
    /// The path of the submodel in the graph, such as `outer/inner`. It is empty for the workflow itself.
    pub name: String,
    /// The scope around this one; `None` for the workflow itself.
    pub parent: Option<ScopeId>,
    /// The positions of the actors of a submodel, with those of the submodels inside it. The range is empty for the
    /// workflow, to which all actors belong.
    pub(crate) actors: Range<u32>,
    /// The actors that the failure of an actor in this scope triggers, in this order.
    pub handlers: Vec<ActorId>,
}

/// The scopes of a graph.
#[derive(Clone, Debug)]
pub(crate) struct Scopes {
    pub(crate) all: Vec<Scope>,
    /// The actors whose errors do not trigger the handlers of their scopes.
    pub(crate) contained: HashSet<ActorId>,
}

impl Default for Scopes {
    fn default() -> Self {
        let workflow = Scope { name: String::new(), parent: None, actors: 0..0, handlers: Vec::new() };
        Scopes { all: vec![workflow], contained: HashSet::new() }
    }
}
