//! [`Submodel`]: a graph inside a graph (`docs/parity.md` P61-P68).
//!
//! A submodel is a [`Graph`] with ports instead of a start and a stop actor. Adding it to another graph copies its
//! actors into that graph, under names that begin with the name of the submodel. The same graph may be added again
//! under another name. At run time only the scopes are left of submodels.

use std::collections::BTreeMap;

use pushflow_model::did_you_mean;

use crate::scope::Scope;
use crate::{Actor, ActorId, ActorKind, Graph, GraphError, ScopeId};

/// A graph that was added to another one, with the ports to connect to.
#[derive(Clone, Debug)]
pub struct Submodel {
    name: String,
    scope: ScopeId,
    ports: BTreeMap<String, ActorId>,
}

impl Submodel {
    /// The name of the submodel in the graph around it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The actor of a port. Links to this actor lead into the submodel, and links from it lead out.
    ///
    /// # Errors
    /// When the submodel has no such port.
    pub fn port(&self, name: &str) -> Result<ActorId, GraphError> {
        let names = || self.ports.keys().map(String::as_str);
        self.ports.get(name).copied().ok_or_else(|| GraphError::UnknownSubmodelPort {
            submodel: self.name.clone(),
            port: name.to_owned(),
            ports: if self.ports.is_empty() { "none".to_owned() } else { names().collect::<Vec<_>>().join(", ") },
            hint: did_you_mean(name, [names()]),
        })
    }
}

impl Graph {
    /// Adds a port. Data enters or leaves this graph through its ports when it is a submodel of another graph.
    ///
    /// # Errors
    /// When there is an actor of that name.
    pub fn add_port(&mut self, name: impl Into<String>) -> Result<ActorId, GraphError> {
        self.add(Actor::new(name, ActorKind::Port))
    }

    /// Adds a copy of another graph as a submodel.
    ///
    /// The actor `a` of the other graph becomes `NAME/a`, and its port `In` becomes `NAME.In`. An error in the submodel
    /// triggers the error handlers of the submodel ([`Graph::on_error`]) before those of this graph.
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
    /// When the other graph has a start or stop actor, or a join with less than two links; when one of the names is
    /// taken. An error leaves this graph as it was.
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
        let identity = self.id(first as usize).graph;
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

    /// Makes an actor of this graph an error handler of the submodel, after the handlers of the submodel itself.
    ///
    /// # Errors
    /// As [`Graph::on_error`].
    pub fn on_submodel_error(&mut self, submodel: &Submodel, handler: ActorId) -> Result<(), GraphError> {
        self.on_scope_error(submodel.scope, handler)
    }

    /// Adds the scopes of a submodel, whose actors are those from the position `first` on. Returns the outermost scope.
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

/// Refuses a submodel that has a start or stop actor: a run begins and ends in the workflow (`docs/parity.md` P57).
fn refuse_start_and_stop(name: &str, inner: &Graph) -> Result<(), GraphError> {
    let Some((kind, end)) = inner.start().map(|id| ("start", id)).or(inner.stop().map(|id| ("stop", id))) else {
        return Ok(());
    };
    let end = &inner.actor(end).name;
    Err(GraphError::Misplaced(format!(
        "submodel {name:?} has a {kind} actor, {end:?}: give it a port instead, and connect that in the workflow"
    )))
}
