//! [`Submodel`]: a graph inside a graph (`parity.md` P61-P68).
//!
//! A submodel is a [`Graph`] with ports instead of a start and a stop actor. Adding it to another graph copies its actors
//! there, under names that begin with the submodel's; the same graph may be added again under another name. Nothing of it
//! is left at run time but the scopes.

use std::collections::BTreeMap;

use crate::nearest::did_you_mean;
use crate::scope::Scope;
use crate::{Actor, ActorId, ActorKind, Graph, GraphError, ScopeId};

/// A graph that was added to another one: what to connect to.
#[derive(Clone, Debug)]
pub struct Submodel {
    name: String,
    scope: ScopeId,
    ports: BTreeMap<String, ActorId>,
}

impl Submodel {
    /// What it is called in the graph that it is in.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The actor that stands for one of its ports: links to it lead into the submodel, or links from it out of it.
    ///
    /// # Errors
    /// When it has no such port.
    pub fn port(&self, name: &str) -> Result<ActorId, GraphError> {
        let names = || self.ports.keys().map(String::as_str);
        self.ports.get(name).copied().ok_or_else(|| GraphError::UnknownSubmodelPort {
            submodel: self.name.clone(),
            port: name.to_owned(),
            ports: if self.ports.is_empty() { "none".to_owned() } else { names().collect::<Vec<_>>().join(", ") },
            hint: did_you_mean(name, names()),
        })
    }
}

impl Graph {
    /// Adds a port, by which data enters or leaves this graph where it is a submodel of another one.
    ///
    /// # Errors
    /// When there is an actor of that name.
    pub fn add_port(&mut self, name: impl Into<String>) -> Result<ActorId, GraphError> {
        self.add(Actor::new(name, ActorKind::Port))
    }

    /// Adds a copy of another graph as a submodel.
    ///
    /// Its actor `a` becomes `NAME/a`, its port `In` becomes `NAME.In`, and its own error handlers
    /// ([`Graph::on_error`]) hear of the errors inside it, before those of this graph do.
    ///
    /// ```
    /// use pushflow_graph::{Graph, Link};
    ///
    /// let mut inner = Graph::new("pass");
    /// let (enter, leave) = (inner.add_port("In")?, inner.add_port("Out")?);
    /// inner.connect(enter, leave, Link::direct())?;
    ///
    /// let mut outer = Graph::new("outer");
    /// let submodel = outer.add_submodel("pass", &inner)?;
    /// let start = outer.add_start("Start")?;
    /// outer.connect(start, submodel.port("In")?, Link::direct())?;
    /// assert_eq!(outer.actor(submodel.port("Out")?).name, "pass.Out");
    /// # Ok::<(), pushflow_graph::GraphError>(())
    /// ```
    ///
    /// # Errors
    /// When it has a start or stop actor, or a join with less than two links; when one of the names is taken. This graph
    /// is then as it was.
    pub fn add_submodel(&mut self, name: impl Into<String>, inner: &Graph) -> Result<Submodel, GraphError> {
        let name = name.into();
        refuse_start_and_stop(&name, inner)?;
        inner.validate_joins()?;
        let scopes = inner.scope_of_each();
        let is_port = |(id, actor): (ActorId, &Actor)| {
            matches!(actor.kind, ActorKind::Port) && scopes[id.index()] == ScopeId::WORKFLOW
        };
        let renamed = |(id, actor)| format!("{name}{}{}", if is_port((id, actor)) { '.' } else { '/' }, actor.name);
        if let Some(taken) = inner.actors().map(renamed).find(|new| self.find(new).is_some()) {
            return Err(GraphError::DuplicateName(taken));
        }
        let first = self.actor_count() as u32;
        let mut ports = BTreeMap::new();
        for (inner_id, actor) in inner.actors() {
            let id = self.add(Actor::new(renamed((inner_id, actor)), actor.kind.clone()))?;
            if is_port((inner_id, actor)) {
                ports.insert(actor.name.clone(), id);
            }
        }
        let identity = self.identity;
        let moved = |id: ActorId| ActorId { index: first + id.index, graph: identity };
        for (_, source, target, link) in inner.links() {
            self.connect(moved(source), moved(target), link.clone())?;
        }
        self.labels.extend(inner.labels.iter().map(|(&id, label)| (moved(id), label.clone())));
        self.scopes.contained.extend(inner.scopes.contained.iter().map(|&id| moved(id)));
        self.rounds.extend(inner.rounds.iter().map(|(&id, &rounds)| (moved(id), rounds)));
        self.times.extend(inner.times.iter().map(|(&id, &time)| (moved(id), time)));
        self.retries.extend(inner.retries.iter().map(|(&id, &retries)| (moved(id), retries)));
        self.pools.extend(inner.pools.iter().map(|(&id, &pool)| (moved(id), pool)));
        let scope = self.add_scopes(&name, first, inner);
        Ok(Submodel { name, scope, ports })
    }

    /// Triggers an actor of this graph whenever an actor in the submodel fails, after the submodel's own handlers.
    ///
    /// # Errors
    /// As [`Graph::on_error`].
    pub fn on_submodel_error(&mut self, submodel: &Submodel, handler: ActorId) -> Result<(), GraphError> {
        self.on_scope_error(submodel.scope, handler)
    }

    /// The scopes of a graph whose actors were added from `first` on, inside the workflow itself.
    fn add_scopes(&mut self, name: &str, first: u32, inner: &Graph) -> ScopeId {
        let base = self.scopes.all.len() as u32;
        for scope in &inner.scopes.all {
            let (name, parent, actors) = match scope.parent {
                None => (name.to_owned(), ScopeId::WORKFLOW, first..first + inner.actor_count() as u32),
                Some(parent) => {
                    let actors = first + scope.actors.start..first + scope.actors.end;
                    (format!("{name}/{}", scope.name), ScopeId(base + parent.0), actors)
                }
            };
            let handlers = scope.handlers.iter().map(|handler| self.id(first as usize + handler.index())).collect();
            self.scopes.all.push(Scope { name, parent: Some(parent), actors, handlers });
        }
        ScopeId(base)
    }
}

/// A run begins and ends in the workflow, not in a submodel (`parity.md` P57).
fn refuse_start_and_stop(name: &str, inner: &Graph) -> Result<(), GraphError> {
    let Some((kind, end)) = inner.start().map(|id| ("start", id)).or(inner.stop().map(|id| ("stop", id))) else {
        return Ok(());
    };
    let end = &inner.actor(end).name;
    Err(GraphError::Misplaced(format!(
        "submodel {name:?} has a {kind} actor, {end:?}: give it a port instead, and connect that in the workflow"
    )))
}
