//! The reactor against a slow, obvious interpreter, on random cyclic graphs with routers, joins, forks, handlers and
//! failing tasks, whatever the order in which attempts end.
//!
//! Both receive the same events, and must ask for the same attempts, step by step, to the end.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const ROUNDS: u64 = 6;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Task,
    Fork,
    Router,
    Join,
    Handler,
}

/// A link from an actor to another, or to the stop actor; on errors or not. A router's leaves the port 0, or "other".
#[derive(Clone, Copy, Debug)]
struct Edge {
    source: usize,
    target: Option<usize>,
    on_error: bool,
    port_zero: bool,
}

#[derive(Clone, Debug)]
struct Case {
    kinds: Vec<Kind>,
    edges: Vec<Edge>,
    /// The actors that the start actor triggers.
    first: Vec<usize>,
    /// The workflow's handlers; `None` is the stop actor.
    handlers: Vec<Option<usize>>,
}

type Entries = BTreeMap<String, String>;

fn cases() -> impl Strategy<Value = Case> {
    let kind = prop_oneof![
        4 => Just(Kind::Task),
        1 => Just(Kind::Fork),
        2 => Just(Kind::Router),
        2 => Just(Kind::Join),
        1 => Just(Kind::Handler),
    ];
    prop::collection::vec(kind, 1..7).prop_flat_map(|kinds| {
        let count = kinds.len();
        let target = prop::option::weighted(0.8, 0..count);
        let edge = (0..count, target.clone(), prop::bool::weighted(0.2), any::<bool>())
            .prop_map(|(source, target, on_error, port_zero)| Edge { source, target, on_error, port_zero });
        let edges = prop::collection::vec(edge, 0..16);
        (Just(kinds), edges, prop::collection::vec(0..count, 1..4), prop::collection::vec(target, 0..2))
            .prop_map(|(kinds, edges, first, handlers)| Case { kinds, edges, first, handlers })
    })
}

impl Case {
    fn net(&self) -> Net {
        let mut net = Net::code().start().stop();
        for (index, kind) in self.kinds.iter().enumerate() {
            let name = index.to_string();
            net = match kind {
                Kind::Task => net.task(&name, Passing::Merged),
                Kind::Fork => net.fork(&name),
                Kind::Router => net.router(&name, "x", vec![Value::Int(0)]),
                Kind::Join => net.join(&name),
                Kind::Handler => net.actor(&name, ActorKind::ErrorHandler),
            };
        }
        let name = |target: Option<usize>| target.map_or("stop".to_owned(), |index| index.to_string());
        net = self.first.iter().fold(net, |net, first| net.chain(&["start", &first.to_string()]));
        for edge in &self.edges {
            let link = match (edge.on_error, self.kinds[edge.source]) {
                (true, _) => Link::on_error(),
                (false, Kind::Router) if edge.port_zero => Link::port(0),
                (false, Kind::Router) => Link::port("other"),
                _ => direct(),
            };
            net = net.link(&edge.source.to_string(), &name(edge.target), link);
        }
        self.scope_handlers().iter().fold(net, |net, handler| net.handler(&name(*handler)))
    }

    /// The handlers of the workflow, without those that can't be handlers.
    fn scope_handlers(&self) -> Vec<Option<usize>> {
        let may = |handler: &&Option<usize>| handler.is_none_or(|index| self.kinds[index] != Kind::Join);
        self.handlers.iter().filter(may).copied().collect()
    }

    /// Whether links lead from the start actor to this one.
    fn is_usual(&self, actor: usize) -> bool {
        let mut reached = self.first.clone();
        for _ in 0..self.kinds.len() {
            let more = self.edges.iter().filter(|edge| reached.contains(&edge.source)).filter_map(|edge| edge.target);
            reached = reached.iter().copied().chain(more).collect();
            reached.sort_unstable();
            reached.dedup();
        }
        reached.contains(&actor)
    }
}

/// The sender of an arrival at a join: the start actor by its n-th link, or the n-th edge.
type Sender = (bool, usize);

struct Reference<'a> {
    case: &'a Case,
    queue: VecDeque<(Option<usize>, Sender, Entries)>,
    open: Vec<(usize, Entries)>,
    joined: BTreeMap<usize, Vec<(Sender, Entries)>>,
    runs: Vec<u64>,
    log: Vec<String>,
    result: Option<Entries>,
    unhandled: bool,
    handled: bool,
    /// Whether an actor was triggered more often than its limit.
    outran: bool,
}

fn shown(entries: &Entries) -> String {
    entries.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

impl<'a> Reference<'a> {
    fn begin(case: &'a Case) -> Self {
        let mut reference = Reference {
            case,
            queue: VecDeque::new(),
            open: Vec::new(),
            joined: BTreeMap::new(),
            runs: vec![0; case.kinds.len()],
            log: vec!["passed start".to_owned()],
            result: None,
            unhandled: false,
            handled: false,
            outran: false,
        };
        let inputs = Entries::from([("x".to_owned(), "0".to_owned())]);
        for (number, first) in case.first.iter().enumerate() {
            reference.queue.push_back((Some(*first), (true, number), inputs.clone()));
        }
        reference.work();
        reference
    }

    fn work(&mut self) {
        while let Some((target, sender, entries)) = self.queue.pop_front().filter(|_| !self.outran) {
            match target {
                None => self.reach_stop(entries),
                Some(actor) if self.case.kinds[actor] == Kind::Join => self.join(actor, sender, entries),
                Some(actor) => self.run(actor, entries),
            }
        }
    }

    fn reach_stop(&mut self, entries: Entries) {
        self.log.push("passed stop".to_owned());
        if self.result.is_none() || !entries.contains_key("WorkflowException") {
            self.result = Some(entries);
        }
    }

    fn join(&mut self, actor: usize, sender: Sender, entries: Entries) {
        let from_start = self.case.first.iter().enumerate().filter(|(_, first)| **first == actor);
        let from_actors = self.case.edges.iter().enumerate().filter(|(_, edge)| edge.target == Some(actor));
        let links: Vec<Sender> =
            from_start.map(|(n, _)| (true, n)).chain(from_actors.map(|(n, _)| (false, n))).collect();
        let waiting = self.joined.entry(actor).or_default();
        waiting.push((sender, entries));
        if !links.iter().all(|link| waiting.iter().any(|(from, _)| from == link)) {
            return;
        }
        let mut merged = Entries::new();
        for link in links {
            let oldest = waiting.iter().position(|(from, _)| *from == link).unwrap();
            merged.extend(waiting.remove(oldest).1);
        }
        self.run(actor, merged);
    }

    fn run(&mut self, actor: usize, entries: Entries) {
        self.runs[actor] += 1;
        if self.runs[actor] > ROUNDS {
            self.log.push(format!("failed {actor}"));
            self.outran = true;
            return;
        }
        match self.case.kinds[actor] {
            Kind::Task => {
                self.log.push(format!("submit {actor} {}", shown(&entries)));
                self.open.push((actor, entries));
                return;
            }
            Kind::Router => {
                let leaves =
                    |zero| self.edges_of(actor, false).into_iter().filter(move |(_, edge)| edge.port_zero == zero);
                let zero = entries["x"] == "0" && leaves(true).count() > 0;
                let taken: Vec<_> = leaves(zero).collect();
                if taken.is_empty() {
                    return self.fail(actor, entries, "ROUTE");
                }
                self.send(taken, &entries);
            }
            Kind::Handler => {
                self.log.push("status error".to_owned());
                self.send(self.edges_of(actor, false), &entries);
            }
            Kind::Fork | Kind::Join => self.send(self.edges_of(actor, false), &entries),
        }
        self.log.push(format!("passed {actor}"));
    }

    fn edges_of(&self, actor: usize, on_error: bool) -> Vec<(usize, Edge)> {
        let edges = self.case.edges.iter().copied().enumerate();
        edges.filter(|(_, edge)| edge.source == actor && edge.on_error == on_error).collect()
    }

    fn send(&mut self, edges: Vec<(usize, Edge)>, entries: &Entries) {
        for (number, edge) in edges {
            self.queue.push_back((edge.target, (false, number), entries.clone()));
        }
    }

    fn fail(&mut self, actor: usize, mut entries: Entries, message: &str) {
        let exception = format!("{{errorMessage={message} traceBack=List(List([]))}}");
        entries.insert("WorkflowException".to_owned(), exception);
        let before = self.queue.len();
        self.send(self.edges_of(actor, true), &entries);
        if self.case.is_usual(actor) {
            for handler in self.case.scope_handlers() {
                self.queue.push_back((handler, (true, usize::MAX), entries.clone()));
            }
        }
        let handled = self.queue.len() > before;
        self.handled |= handled;
        self.unhandled |= !handled;
        self.log.push(format!("{} {actor}", if handled { "handled" } else { "failed" }));
    }

    /// Ends the open attempt of that number: with a new `x`, or as a failure.
    fn end(&mut self, which: usize, x: Option<i64>) {
        let (actor, mut entries) = self.open.remove(which);
        match x {
            Some(x) => {
                entries.insert("x".to_owned(), x.to_string());
                self.send(self.edges_of(actor, false), &entries);
            }
            None => self.fail(actor, entries, "it broke"),
        }
        self.work();
    }

    fn kind(&self) -> EndingKind {
        let waits = self.joined.values().any(|waiting| !waiting.is_empty());
        match &self.result {
            _ if self.unhandled || self.outran => EndingKind::Failed,
            None => EndingKind::Stalled,
            Some(_) if waits && !self.handled => EndingKind::Stalled,
            Some(_) => EndingKind::Finished,
        }
    }
}

/// A text without the message of a router's failure, which the reference does not know.
fn plain(text: &str) -> String {
    match text.split_once("the entry") {
        Some((before, rest)) => {
            let after = rest.split_once(')').map_or("", |(_, after)| after);
            plain(&format!("{before}ROUTE{after}"))
        }
        None => text.to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn the_reactor_does_what_the_reference_does(
        case in cases(),
        story in prop::collection::vec((0..8_usize, prop::option::weighted(0.75, 0..3_i64)), 64),
    ) {
        let mut reference = Reference::begin(&case);
        let mut run = case.net().run_within(data(&[("x", 0)]), Limits { max_rounds: Some(ROUNDS), ..Limits::default() });
        run.tell(Event::Begin);
        let mut story = story.into_iter().cycle();
        while !reference.outran && !reference.open.is_empty() {
            let (which, x) = story.next().expect("it goes round");
            let which = which % reference.open.len();
            reference.end(which, x);
            let attempt = *run.open.keys().nth(which).expect("as many are open");
            run.open.remove(&attempt);
            run.tell(match x {
                Some(x) => Event::Finished { attempt, result: data(&[("x", x)]) },
                None => Event::Failed { attempt, error: TaskError::new(ErrorKind::Raised, "it broke") },
            });
        }
        let log: Vec<String> =
            run.log.iter().filter(|line| !line.starts_with("interrupt")).map(|line| plain(line)).collect();
        prop_assert_eq!(&log, &reference.log);
        while let Some(attempt) = run.open.keys().next().copied() {
            run.open.remove(&attempt);
            run.tell(Event::Finished { attempt, result: nothing() });
        }
        prop_assert_eq!(run.kind(), reference.kind());
        prop_assert_eq!(plain(&run.result()), reference.result.as_ref().map_or("none".to_owned(), shown));
    }
}
