//! [`Handlers`]: which scopes handle an actor's failures.
//!
//! The handlers of each scope around the actor are triggered, the innermost scope first, unless the actor contains its
//! errors. A scope is left out if only its own handlers lead to the actor. Otherwise a failure of that actor would
//! trigger the same handlers, which would trigger the actor, and so on for ever.

use std::collections::{HashMap, HashSet};

use pushflow_graph::{ActorId, Graph, ScopeId};

/// The scopes of a run, with their handlers.
#[derive(Debug)]
pub(super) struct Handlers {
    scopes: Vec<ScopeHandlers>,
    /// The innermost scope of each actor; empty where no scope has a handler.
    scope_of: Vec<ScopeId>,
    contained: HashSet<ActorId>,
    /// For each actor that only handlers lead to, the scopes of these handlers.
    reached_by_handlers: HashMap<ActorId, Vec<ScopeId>>,
}

#[derive(Debug)]
struct ScopeHandlers {
    parent: Option<ScopeId>,
    handlers: Vec<ActorId>,
}

impl Handlers {
    pub(super) fn new(graph: &Graph) -> Self {
        let scopes: Vec<ScopeHandlers> = graph
            .scopes()
            .map(|(_, scope)| ScopeHandlers { parent: scope.parent, handlers: scope.handlers.clone() })
            .collect();
        let any = scopes.iter().any(|scope| !scope.handlers.is_empty());
        let contained = if any {
            graph.actors().map(|(id, _)| id).filter(|&id| graph.contains_errors(id)).collect()
        } else {
            HashSet::new()
        };
        Handlers {
            scope_of: if any { graph.scope_of_each() } else { Vec::new() },
            reached_by_handlers: if any { reached_by_handlers(graph, &scopes) } else { HashMap::new() },
            contained,
            scopes,
        }
    }

    /// The handlers that a failure of the actor triggers, in order.
    pub(super) fn scope_handlers(&self, actor: ActorId) -> impl Iterator<Item = ActorId> {
        let innermost = self.scope_of.get(actor.index()).copied().filter(|_| !self.contained.contains(&actor));
        let excluded = self.reached_by_handlers.get(&actor).map_or(&[][..], Vec::as_slice);
        std::iter::successors(innermost, |scope| self.scopes[scope.index()].parent)
            .filter(|scope| !excluded.contains(scope))
            .flat_map(|scope| self.scopes[scope.index()].handlers.iter().copied())
    }
}

/// For each actor that no path leads to from the start actor, the scopes whose handlers lead to it.
fn reached_by_handlers(graph: &Graph, scopes: &[ScopeHandlers]) -> HashMap<ActorId, Vec<ScopeId>> {
    let mut usual = vec![false; graph.actor_count()];
    visit(graph, graph.start().into_iter().collect(), |actor| !std::mem::replace(&mut usual[actor.index()], true));
    let mut reached_by_handlers: HashMap<ActorId, Vec<ScopeId>> = HashMap::new();
    for ((id, _), scope) in graph.scopes().zip(scopes) {
        visit(graph, scope.handlers.clone(), |actor| {
            if usual[actor.index()] {
                return false;
            }
            let scopes = reached_by_handlers.entry(actor).or_default();
            let new = scopes.last() != Some(&id);
            if new {
                scopes.push(id);
            }
            new
        });
    }
    reached_by_handlers
}

/// Follows all links from the actors in `next`, onwards from each actor that is new.
fn visit(graph: &Graph, mut next: Vec<ActorId>, mut is_new: impl FnMut(ActorId) -> bool) {
    while let Some(actor) = next.pop() {
        if is_new(actor) {
            next.extend(graph.outgoing(actor).into_iter().map(|(_, target)| target));
        }
    }
}
