//! [`Scope`]: the workflow itself and each submodel in it, with what handles the errors in there (`parity.md` P61-P68,
//! P78).
//!
//! A submodel is flattened when it is added: its actors become actors of the graph, and the scope remembers which they
//! are. An error goes from the actor that failed to the handlers of its scope, then to those of the scope around it, up
//! to the workflow's; every level hears of it.

use std::collections::HashSet;
use std::ops::Range;

use crate::ActorId;

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
#[non_exhaustive]
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
