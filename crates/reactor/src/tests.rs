//! Drives the reactor without a process, a thread or a clock: the tests say which attempt ends when, and how.

mod closing;
mod custom;
mod errors;
mod ewoks;
mod failures;
mod joins;
mod limits;
mod merge;
mod native;
mod outputs;
mod properties;
mod reference;
mod retries;
mod speed;
mod stopping;
mod submodels;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pushflow_graph::{
    Actor, ActorId, ActorKind, Arrival, Condition, FieldMap, Graph, Link, Mapping, Passing, Router, Task, Work,
};
use pushflow_model::{
    AttemptId, Data, ErrorCause, ErrorDetails, ErrorKind, Key, Opaque, Payload, TaskError, TaskSpec, Value,
};

use super::{Action, Ending, EndingKind, Event, Limits, Reactor};

/// A graph that is built by names.
struct Net {
    graph: Graph,
}

impl Net {
    fn code() -> Self {
        Net { graph: Graph::new("test") }
    }

    fn actor(mut self, name: &str, kind: ActorKind) -> Self {
        self.graph.add(Actor::new(name, kind)).expect("the test's names differ");
        self
    }

    fn start(self) -> Self {
        self.actor("start", ActorKind::Start)
    }

    fn stop(self) -> Self {
        self.actor("stop", ActorKind::Stop)
    }

    fn fork(self, name: &str) -> Self {
        self.actor(name, ActorKind::Fork)
    }

    fn router(self, name: &str, item: &str, ports: Vec<Value>) -> Self {
        self.actor(name, ActorKind::Router(Router::new(item, ports)))
    }

    fn join(self, name: &str) -> Self {
        self.actor(name, ActorKind::Join)
    }

    /// A link that is taken when its source fails.
    fn on_error(self, source: &str, target: &str) -> Self {
        self.link(source, target, Link::on_error())
    }

    /// A handler of the whole workflow.
    fn handler(mut self, name: &str) -> Self {
        let id = self.graph.find(name).expect("the test's handler is there");
        self.graph.on_error(id).expect("it can handle errors");
        self
    }

    fn task(self, name: &str, passing: Passing) -> Self {
        self.task_with(name, passing, Data::new())
    }

    fn task_with(self, name: &str, passing: Passing, defaults: Data) -> Self {
        let work = Work::Attempt(TaskSpec::Rust { name: name.to_owned() });
        self.actor(name, ActorKind::Task(Task::new(work).with_defaults(defaults).with_passing(passing)))
    }

    fn identity(self, name: &str, passing: Passing) -> Self {
        self.actor(name, ActorKind::Task(Task::new(Work::Identity).with_passing(passing)))
    }

    fn link(mut self, source: &str, target: &str, link: Link) -> Self {
        let id = |name| self.graph.find(name).expect("the test's link has ends");
        let (source, target) = (id(source), id(target));
        self.graph.connect(source, target, link).expect("the test's link fits");
        self
    }

    /// Links in a row, each running its target at once.
    fn chain(self, names: &[&str]) -> Self {
        names.windows(2).fold(self, |net, pair| net.link(pair[0], pair[1], direct()))
    }

    fn run(self, inputs: Data) -> Run {
        self.run_within(inputs, Limits::default())
    }

    fn run_within(self, inputs: Data, limits: Limits) -> Run {
        let reactor = Reactor::new(Arc::new(self.graph), inputs, limits);
        Run { reactor, now: Duration::ZERO, open: BTreeMap::new(), log: Vec::new(), owed: false, ending: None }
    }

    fn begin(self, inputs: Data) -> Run {
        let mut run = self.run(inputs);
        run.tell(Event::Begin);
        run
    }
}

fn direct() -> Link {
    Link::direct()
}

fn required() -> Link {
    arriving(Arrival::Required)
}

fn optional(cached: bool) -> Link {
    arriving(Arrival::Optional { cached })
}

fn arriving(arrival: Arrival) -> Link {
    Link::direct().with_arrival(arrival)
}

fn when(link: Link, output: &str, value: impl Into<Value>) -> Link {
    link.with_condition(Condition::equals(output, value))
}

fn mapping(link: Link, fields: &[(&str, &str)]) -> Link {
    let field = |&(source, target): &(&str, &str)| FieldMap::new(source, target);
    link.with_mapping(Mapping::Fields(fields.iter().map(field).collect()))
}

/// A run, with the actions that its reactor has asked for.
struct Run {
    reactor: Reactor,
    now: Duration,
    /// The attempts in flight: the name of the actor, and the inputs.
    open: BTreeMap<AttemptId, (String, Data)>,
    /// The actions, in order, such as `submit a x=1`.
    log: Vec<String>,
    /// Whether the reactor waits for [`Event::Continue`].
    owed: bool,
    ending: Option<Ending>,
}

impl Run {
    /// Hands one event to the reactor.
    fn send(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.reactor.on(event, self.now, &mut actions);
        for action in actions {
            assert!(self.ending.is_none(), "nothing is asked for after the end");
            self.note(action);
        }
    }

    /// Hands one event to the reactor, then as many continuations as it asks for.
    fn tell(&mut self, event: Event) {
        self.send(event);
        while std::mem::take(&mut self.owed) {
            self.send(Event::Continue);
        }
    }

    fn note(&mut self, action: Action) {
        match action {
            Action::Submit { attempt, actor, inputs, .. } => {
                let name = self.name(actor);
                self.log.push(format!("submit {name} {}", show(&inputs)).trim_end().to_owned());
                let before = self.open.insert(attempt, (name, inputs));
                assert!(before.is_none(), "attempt {attempt} was submitted twice");
            }
            Action::Interrupt { attempt } => self.log.push(format!("interrupt {attempt}")),
            Action::Passed { actor } => self.log.push(format!("passed {}", self.name(actor))),
            Action::Failed { failure, handled: false } => self.log.push(format!("failed {}", failure.name)),
            Action::Failed { failure, handled: true } => self.log.push(format!("handled {}", failure.name)),
            Action::Status(status) => self.log.push(format!("status {status}")),
            Action::Continue => {
                assert!(!self.owed, "a continuation was asked for twice");
                self.owed = true;
            }
            Action::Finish(ending) => self.ending = Some(*ending),
        }
    }

    fn name(&self, actor: ActorId) -> String {
        self.reactor.plan.actor(actor).name.clone()
    }

    /// The oldest open attempt of an actor.
    fn open_of(&self, name: &str) -> AttemptId {
        let found = self.open.iter().find(|(_, (actor, _))| actor == name);
        *found.unwrap_or_else(|| panic!("no attempt of {name:?} is open: {:?}", self.open)).0
    }

    fn inputs_of(&self, name: &str) -> String {
        show(&self.open[&self.open_of(name)].1)
    }

    /// Ends the oldest open attempt of an actor with a result.
    fn finish(&mut self, name: &str, result: Data) {
        let attempt = self.open_of(name);
        self.open.remove(&attempt);
        self.tell(Event::Finished { attempt, result });
    }

    /// Fails the oldest open attempt of an actor.
    fn fail(&mut self, name: &str, kind: ErrorKind) {
        let attempt = self.open_of(name);
        self.open.remove(&attempt);
        self.tell(Event::Failed { attempt, error: TaskError::new(kind, "it broke") });
    }

    fn ask_stop(&mut self) {
        self.tell(Event::StopAsked { reason: "enough".to_owned() });
    }

    /// Takes the log.
    fn asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// Takes the log, and keeps the submitted attempts only.
    fn submitted(&mut self) -> Vec<String> {
        let log = self.asked();
        log.iter().filter_map(|line| line.strip_prefix("submit ")).map(str::to_owned).collect()
    }

    fn ending(&self) -> &Ending {
        self.ending.as_ref().expect("the run is over")
    }

    fn kind(&self) -> EndingKind {
        self.ending().kind.clone()
    }

    fn result(&self) -> String {
        self.ending().result.as_ref().map_or_else(|| "none".to_owned(), show)
    }

    /// Each listed error, such as `a Raised: it broke`.
    fn errors(&self) -> Vec<String> {
        let errors = self.ending().errors.iter();
        errors.map(|failure| format!("{} {}", failure.name, failure.error)).collect()
    }
}

fn data(entries: &[(&str, i64)]) -> Data {
    entries.iter().fold(Data::new(), |data, &(name, value)| data.with(name, value))
}

fn nothing() -> Data {
    Data::new()
}

/// The entries in the order of their names, such as `a=1 b=text`, without the error itself that `WorkflowException` is
/// about.
fn show(data: &Data) -> String {
    let shown = data.iter().filter(|(key, _)| key.as_name() != Some("WorkflowExceptionInstance"));
    let mut entries: Vec<String> = shown.map(|(key, payload)| format!("{key}={}", show_payload(payload))).collect();
    entries.sort();
    entries.join(" ")
}

fn show_payload(payload: &Payload) -> String {
    match payload.value() {
        Err(_) => "broken".to_owned(),
        Ok(Value::Int(number)) => number.to_string(),
        Ok(Value::Str(text)) => text.clone(),
        Ok(Value::Map(_)) => format!("{{{}}}", show(payload.fields().expect("decoded").expect("a map"))),
        Ok(other) => format!("{other:?}"),
    }
}
