//! The methods that build a [`Graph`]. Each checks what it is given, and leaves the graph as it was when it refuses.

use std::sync::Arc;
use std::time::Duration;

use petgraph::graph::NodeIndex;
use pushflow_model::PoolType;

use crate::{
    Actor, ActorId, ActorKind, Arrival, Behaviour, Graph, GraphError, Link, LinkId, Retries, Router, RunSettings,
    ScopeId, Task, Work,
};

impl Graph {
    /// Adds an actor.
    ///
    /// # Errors
    /// When the graph has an actor of that name, or when the actor is a second start or stop actor.
    pub fn add(&mut self, actor: Actor) -> Result<ActorId, GraphError> {
        let present = match actor.kind {
            ActorKind::Start => self.start.map(|first| ("start", first)),
            ActorKind::Stop => self.stop.map(|first| ("stop", first)),
            _ => None,
        };
        if let Some((kind, first)) = present {
            let (first, second) = (self.actor(first).name.clone(), actor.name);
            return Err(GraphError::SecondStartOrStop { kind, first, second });
        }
        if self.by_name.contains_key(&actor.name) {
            return Err(GraphError::DuplicateName(actor.name));
        }
        let id = self.ids.next();
        match actor.kind {
            ActorKind::Start => self.start = Some(id),
            ActorKind::Stop => self.stop = Some(id),
            _ => {}
        }
        self.by_name.insert(actor.name.clone(), id);
        self.graph.add_node(actor);
        self.ids.add();
        Ok(id)
    }

    /// Adds the start actor.
    ///
    /// # Errors
    /// When the graph has an actor of that name, or a start actor.
    pub fn add_start(&mut self, name: impl Into<String>) -> Result<ActorId, GraphError> {
        self.add(Actor::new(name, ActorKind::Start))
    }

    /// Adds the stop actor.
    ///
    /// # Errors
    /// When the graph has an actor of that name, or a stop actor.
    pub fn add_stop(&mut self, name: impl Into<String>) -> Result<ActorId, GraphError> {
        self.add(Actor::new(name, ActorKind::Stop))
    }

    /// Adds an actor that passes data on along every link.
    ///
    /// # Errors
    /// When the graph has an actor of that name.
    pub fn add_fork(&mut self, name: impl Into<String>) -> Result<ActorId, GraphError> {
        self.add(Actor::new(name, ActorKind::Fork))
    }

    /// Adds an actor that passes data on along the links of one port.
    ///
    /// # Errors
    /// When the graph has an actor of that name.
    pub fn add_router(&mut self, name: impl Into<String>, router: Router) -> Result<ActorId, GraphError> {
        self.add(Actor::new(name, ActorKind::Router(router)))
    }

    /// Adds an actor that runs a task.
    ///
    /// # Errors
    /// When the graph has an actor of that name.
    pub fn add_task(&mut self, name: impl Into<String>, task: impl Into<Task>) -> Result<ActorId, GraphError> {
        self.add(Actor::new(name, ActorKind::Task(task.into())))
    }

    /// Adds a join: an actor that waits for one arrival on each of its links, and passes the arrivals on as one, merged
    /// in link order.
    ///
    /// # Errors
    /// When the graph has an actor of that name.
    pub fn add_join(&mut self, name: impl Into<String>) -> Result<ActorId, GraphError> {
        self.add(Actor::new(name, ActorKind::Join))
    }

    /// Adds an actor that sets the status of the run to "error" and passes data on.
    ///
    /// # Errors
    /// When the graph has an actor of that name.
    pub fn add_error_handler(&mut self, name: impl Into<String>) -> Result<ActorId, GraphError> {
        self.add(Actor::new(name, ActorKind::ErrorHandler))
    }

    /// Adds an actor that sets the status of the run to this text, if there is one, and passes data on.
    ///
    /// # Errors
    /// When the graph has an actor of that name.
    pub fn add_status(&mut self, name: impl Into<String>, status: Option<String>) -> Result<ActorId, GraphError> {
        self.add(Actor::new(name, ActorKind::Status(status)))
    }

    /// Adds an actor with a behaviour of your own.
    ///
    /// # Errors
    /// When the graph has an actor of that name.
    pub fn add_custom(
        &mut self,
        name: impl Into<String>,
        behaviour: impl Behaviour + 'static,
    ) -> Result<ActorId, GraphError> {
        self.add(Actor::new(name, ActorKind::Custom(Arc::new(behaviour))))
    }

    /// Adds a link. Two actors may have several links between them, and each of these triggers the target
    /// (`docs/parity.md` P13).
    ///
    /// The graph keeps the port of the link as the router spells it: `"true"` becomes `true` if the router has the port
    /// `true`.
    ///
    /// # Errors
    /// When the source or the target is not an actor of this graph; when the link leaves the stop actor or enters the
    /// start actor; when it leaves a router and has no port, or a port that the router does not have; when it has a
    /// port and leaves another kind of actor, or is taken on errors; when it enters a join and has another rule than
    /// [`Arrival::Direct`].
    pub fn connect(&mut self, source: ActorId, target: ActorId, mut link: Link) -> Result<LinkId, GraphError> {
        let end = |end: &str, preposition: &str, id, other| {
            self.require_actor(id, || match self.require_actor(other, String::new) {
                Ok(other) => format!("the {end} of the link {preposition} {:?}", other.name),
                Err(_) => format!("the {end} of the link"),
            })
        };
        let from = end("source", "to", source, target)?;
        let to = end("target", "from", target, source)?;
        check_direction(from, to)?;
        check_arrival(to, &link)?;
        check_port(from, &mut link)?;
        let edge = self.graph.add_edge(NodeIndex::new(source.index()), NodeIndex::new(target.index()), link);
        Ok(LinkId(edge.index() as u32))
    }

    /// Gives an actor a label for people (ewoks `label`). Labels need not be unique.
    ///
    /// # Errors
    /// When the actor is not of this graph.
    pub fn set_label(&mut self, actor: ActorId, label: impl Into<String>) -> Result<(), GraphError> {
        self.require_actor(actor, || "the actor that is to have a label".to_owned())?;
        self.labels.insert(actor, label.into());
        Ok(())
    }

    /// Replaces the limits that the graph sets for its runs.
    pub fn set_settings(&mut self, settings: RunSettings) {
        self.settings = settings;
    }

    /// Limits how often an actor, and with it any cycle through the actor, may run in one run. This limit replaces the
    /// one that the run has for all actors.
    ///
    /// # Errors
    /// When the actor is not of this graph.
    pub fn limit_rounds(&mut self, actor: ActorId, rounds: u64) -> Result<(), GraphError> {
        self.require_actor(actor, || "the actor to limit the rounds of".to_owned())?;
        self.rounds.insert(actor, rounds);
        Ok(())
    }

    /// Limits the time of each attempt of a task actor, from the start of the attempt. This limit replaces the one that
    /// the run has for all attempts.
    ///
    /// # Errors
    /// When the actor is not of this graph, or runs no task.
    pub fn limit_time(&mut self, actor: ActorId, time: Duration) -> Result<(), GraphError> {
        self.require_task(actor, "a time limit", "limit the tasks, or the run")?;
        self.times.insert(actor, time);
        Ok(())
    }

    /// Lets the scheduler try a task actor again after a failure. Only when no try is left does the failure take the
    /// error path of the actor and count for the run. The run reports every failure; those that were tried again count
    /// as handled.
    ///
    /// # Errors
    /// When the actor is not of this graph, or runs no task.
    pub fn retry(&mut self, actor: ActorId, retries: Retries) -> Result<(), GraphError> {
        self.require_task(actor, "retries", "give them to the tasks")?;
        self.retries.insert(actor, retries);
        Ok(())
    }

    /// Sets the pool on which the attempts of a task actor run. It replaces the pool of the run.
    ///
    /// # Errors
    /// When the actor is not of this graph or runs no task.
    pub fn run_on(&mut self, actor: ActorId, pool: PoolType) -> Result<(), GraphError> {
        self.require_task(actor, "a pool", "give it to the tasks")?;
        self.pools.insert(actor, pool);
        Ok(())
    }

    /// Makes an actor an error handler of the workflow: the failure of any actor, in submodels too, triggers it.
    ///
    /// The handler gets the data that had reached the failed actor, with the entry `WorkflowException` on top. An error
    /// that happens after a handler, in an actor that nothing else triggers, does not trigger the handlers of the same
    /// scope again.
    ///
    /// # Errors
    /// When the handler is not of this graph, or is the start actor or a join.
    pub fn on_error(&mut self, handler: ActorId) -> Result<(), GraphError> {
        self.on_scope_error(ScopeId::WORKFLOW, handler)
    }

    pub(crate) fn on_scope_error(&mut self, scope: ScopeId, handler: ActorId) -> Result<(), GraphError> {
        let actor = self.require_actor(handler, || "the error handler".to_owned())?;
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

    /// Hides the errors of an actor from the handlers of its submodel and of the workflow: they take the error links of
    /// the actor alone. By default an error triggers all of these (`docs/parity.md` P38).
    ///
    /// # Errors
    /// When the actor is not of this graph.
    pub fn contain_errors(&mut self, actor: ActorId) -> Result<(), GraphError> {
        self.require_actor(actor, || "the actor to contain the errors of".to_owned())?;
        self.scopes.contained.insert(actor);
        Ok(())
    }

    /// Refuses a setting for tasks if the actor runs none. `what` names the setting, `instead` says what to do.
    fn require_task(&self, actor: ActorId, what: &str, instead: &str) -> Result<(), GraphError> {
        let Actor { name, kind } = self.require_actor(actor, || format!("the actor that is to have {what}"))?;
        if matches!(kind, ActorKind::Task(Task { work: Work::Attempt(_), .. })) {
            return Ok(());
        }
        let message = format!("actor {name:?} can't have {what}: it runs no task; {instead}");
        Err(GraphError::Misplaced(message))
    }

    /// Checks all that must hold before a run can begin. An actor that no link reaches is no error.
    ///
    /// # Errors
    /// When the graph has no start actor or no stop actor; when less than two links enter a join.
    pub fn validate(&self) -> Result<(), GraphError> {
        if self.start.is_none() {
            return Err(GraphError::MissingStartOrStop { kind: "start" });
        }
        if self.stop.is_none() {
            return Err(GraphError::MissingStartOrStop { kind: "stop" });
        }
        self.validate_joins()
    }

    /// Checks that at least two links enter each join.
    pub(crate) fn validate_joins(&self) -> Result<(), GraphError> {
        for (id, actor) in self.actors().filter(|(_, actor)| matches!(actor.kind, ActorKind::Join)) {
            let links = self.incoming(id).len();
            if links < 2 {
                return Err(GraphError::JoinTooFewLinks { join: actor.name.clone(), links });
            }
        }
        Ok(())
    }

    /// The actor with this id. Refuses an id that is not of this graph; `what` says what the id was for.
    pub(crate) fn require_actor(&self, id: ActorId, what: impl FnOnce() -> String) -> Result<&Actor, GraphError> {
        let found = self.graph.node_weight(NodeIndex::new(id.index())).filter(|_| self.ids.contain(id));
        found.ok_or_else(|| GraphError::ForeignActor { what: what(), graph: self.name.clone() })
    }
}

fn check_direction(from: &Actor, to: &Actor) -> Result<(), GraphError> {
    if matches!(from.kind, ActorKind::Stop) {
        let message = format!("a link can't leave the stop actor {:?}: a run ends there", from.name);
        return Err(GraphError::Misplaced(message));
    }
    if matches!(to.kind, ActorKind::Start) {
        let message = format!("a link can't enter the start actor {:?}: a run begins there", to.name);
        return Err(GraphError::Misplaced(message));
    }
    Ok(())
}

/// Checks that a link into a join leaves the merging to the join.
fn check_arrival(to: &Actor, link: &Link) -> Result<(), GraphError> {
    if matches!(to.kind, ActorKind::Join) && link.arrival != Arrival::Direct {
        let message = format!("a link into join actor {:?} has an arrival rule, but a join has its own", to.name);
        return Err(GraphError::Misplaced(message));
    }
    Ok(())
}

/// Checks that a link has a port exactly if it leaves a router, and spells the port as the router does.
fn check_port(from: &Actor, link: &mut Link) -> Result<(), GraphError> {
    match (&from.kind, &link.port) {
        (_, None) if link.on_error => Ok(()),
        (_, Some(port)) if link.on_error => {
            let name = &from.name;
            let message = format!(
                "the error link out of actor {name:?} has port {port}, but errors leave by no port: leave it out"
            );
            Err(GraphError::Misplaced(message))
        }
        (ActorKind::Router(router), Some(port)) => {
            let own = router.own_port(port).ok_or_else(|| GraphError::UnknownPort {
                router: from.name.clone(),
                port: port.to_string(),
                ports: router.port_list(),
            })?;
            link.port = Some(own);
            Ok(())
        }
        (ActorKind::Router(router), None) => {
            Err(GraphError::MissingPort { router: from.name.clone(), ports: router.port_list() })
        }
        (_, Some(port)) => Err(GraphError::PortWithoutRouter { actor: from.name.clone(), port: port.to_string() }),
        (_, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
