//! Properties of every run, on random graphs, with random orders, failures, limits, retries, stops and times.

use proptest::prelude::*;
use pushflow_graph::Retries;

use super::*;
use crate::in_flight::AttemptStage;

/// One actor of a random graph.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Task(Passing),
    Identity(Passing),
    Fork,
    /// A router by the entry `x`, with a port for 0.
    Router,
}

/// One link of a random graph, between actors by number.
#[derive(Clone, Debug)]
struct Edge {
    source: usize,
    target: usize,
    arrival: Arrival,
    /// Taken only when `x` is 0.
    conditional: bool,
    /// Takes the output `x`, which not every actor has, under another name.
    mapped: bool,
}

/// The next step of the test.
#[derive(Clone, Copy, Debug)]
enum Move {
    Finish {
        which: usize,
        x: i64,
    },
    Fail {
        which: usize,
    },
    Repeat {
        attempt: u64,
    },
    Start {
        which: usize,
    },
    Requeue {
        which: usize,
    },
    Continue,
    /// Lets time pass, and hands over a tick if one is due.
    Pass {
        milliseconds: u64,
    },
    /// Lets the time pass until the next tick is due.
    Tick,
    StopSoftly,
    Stop,
    Kill,
}

/// The times of a random run, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct RandomTimes {
    deadline: Option<u64>,
    attempt_timeout: Option<u64>,
    patience: u64,
    /// The delay of each retry of every second task; `None` for no retries.
    retry_delay: Option<u64>,
}

impl RandomTimes {
    fn times(self) -> Times {
        Times {
            deadline: self.deadline.map(Duration::from_millis),
            attempt_timeout: self.attempt_timeout.map(Duration::from_millis),
            patience: Duration::from_millis(self.patience),
            ..Times::default()
        }
    }
}

fn random_times() -> impl Strategy<Value = RandomTimes> {
    let within = |limit: u64| prop::option::of(0..limit);
    (within(2000), within(200), 0..100_u64, within(100)).prop_map(
        |(deadline, attempt_timeout, patience, retry_delay)| RandomTimes {
            deadline,
            attempt_timeout,
            patience,
            retry_delay,
        },
    )
}

fn shapes() -> impl Strategy<Value = Shape> {
    let passing = || prop_oneof![Just(Passing::Merged), Just(Passing::Result), Just(Passing::Dict)];
    prop_oneof![
        4 => passing().prop_map(Shape::Task),
        1 => passing().prop_map(Shape::Identity),
        1 => Just(Shape::Fork),
        1 => Just(Shape::Router),
    ]
}

fn arrivals() -> impl Strategy<Value = Arrival> {
    prop_oneof![
        Just(Arrival::Direct),
        Just(Arrival::Start),
        Just(Arrival::Required),
        any::<bool>().prop_map(|cached| Arrival::Optional { cached }),
    ]
}

fn edges(actors: usize) -> impl Strategy<Value = Edge> {
    let ends = (0..actors, 0..actors);
    (ends, arrivals(), prop::bool::weighted(0.3), prop::bool::weighted(0.2)).prop_map(
        |((source, target), arrival, conditional, mapped)| Edge { source, target, arrival, conditional, mapped },
    )
}

fn graphs() -> impl Strategy<Value = (Vec<Shape>, Vec<Edge>)> {
    prop::collection::vec(shapes(), 1..7)
        .prop_flat_map(|shapes| (Just(shapes.clone()), prop::collection::vec(edges(shapes.len()), 0..14)))
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        12 => (0..8_usize, 0..3_i64).prop_map(|(which, x)| Move::Finish { which, x }),
        4 => (0..8_usize).prop_map(|which| Move::Fail { which }),
        2 => (0..20_u64).prop_map(|attempt| Move::Repeat { attempt }),
        6 => (0..8_usize).prop_map(|which| Move::Start { which }),
        1 => (0..8_usize).prop_map(|which| Move::Requeue { which }),
        8 => Just(Move::Continue),
        4 => (0..100_u64).prop_map(|milliseconds| Move::Pass { milliseconds }),
        3 => Just(Move::Tick),
        1 => Just(Move::StopSoftly),
        1 => Just(Move::Stop),
        1 => Just(Move::Kill),
    ]
}

fn build(shapes: &[Shape], edges: &[Edge]) -> Net {
    let mut net = Net::code().start().stop();
    for (index, shape) in shapes.iter().enumerate() {
        let name = format!("{index}");
        net = match shape {
            Shape::Task(passing) => net.task(&name, *passing),
            Shape::Identity(passing) => net.identity(&name, *passing),
            Shape::Fork => net.fork(&name),
            Shape::Router => net.router(&name, "x", vec![Value::Int(0)]),
        };
    }
    for (index, shape) in shapes.iter().enumerate() {
        let arrival = if index % 2 == 0 { Arrival::Start } else { Arrival::Direct };
        net = net.link("start", &format!("{index}"), arriving(arrival));
        if !matches!(shape, Shape::Router) {
            net = net.link(&format!("{index}"), "stop", direct());
        }
    }
    for (number, edge) in edges.iter().enumerate() {
        let mut link = arriving(edge.arrival);
        if matches!(shapes[edge.source], Shape::Router) {
            link.port = Link::port(if number % 2 == 0 { Value::Int(0) } else { Value::from("other") }).port;
        }
        if edge.conditional {
            link = when(link, "x", 0);
        }
        if edge.mapped {
            link = mapping(link, &[("x", "y")]);
        }
        net = net.link(&edge.source.to_string(), &edge.target.to_string(), link);
    }
    net
}

impl Run {
    fn act(&mut self, next: Move) {
        let pick = |run: &Run, which: usize| run.open.keys().nth(which % run.open.len().max(1)).copied();
        match next {
            Move::Finish { which, x } => {
                let Some(attempt) = pick(self, which) else { return };
                self.open.remove(&attempt);
                self.send(Event::Finished { attempt, result: data(&[("x", x)]) });
            }
            Move::Fail { which } => {
                let Some(attempt) = pick(self, which) else { return };
                self.open.remove(&attempt);
                self.send(Event::Failed { attempt, error: TaskError::new(ErrorKind::Raised, "it broke") });
            }
            Move::Repeat { attempt } => {
                let attempt = AttemptId(attempt);
                if !self.open.contains_key(&attempt) {
                    self.send(Event::Finished { attempt, result: nothing() });
                }
            }
            Move::Start { which } => {
                let Some(attempt) = pick(self, which) else { return };
                self.send(Event::Started { attempt, pid: 7 });
            }
            Move::Requeue { which } => {
                let Some(attempt) = pick(self, which) else { return };
                self.send(Event::Requeued { attempt });
            }
            Move::Continue => {
                if std::mem::take(&mut self.owed) {
                    self.send(Event::Continue);
                }
            }
            Move::Pass { milliseconds } => {
                self.now += Duration::from_millis(milliseconds);
                if self.reactor.next_tick().is_some_and(|at| at <= self.now) {
                    self.send(Event::Tick);
                }
            }
            Move::Tick => {
                let Some(at) = self.reactor.next_tick() else { return };
                self.now = self.now.max(at);
                self.send(Event::Tick);
            }
            Move::StopSoftly => self.send(Event::SoftStopAsked { reason: "soon".to_owned() }),
            Move::Stop => self.send(Event::StopAsked { reason: "enough".to_owned() }),
            Move::Kill => self.send(Event::KillAsked),
        }
    }

    /// Repeats one kind of move until no attempt is open.
    fn drain(&mut self, next: Move) {
        while !self.open.is_empty() {
            self.act(next);
        }
    }

    /// How many retries wait for their delay.
    fn delayed(&self) -> usize {
        let delayed = |open: &&crate::in_flight::InFlight| matches!(open.stage, AttemptStage::Delayed { .. });
        self.reactor.open.values().filter(delayed).count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn every_run_ends_once_and_its_counts_balance(
        (shapes, edges) in graphs(),
        script in prop::collection::vec(moves(), 0..60),
        per_step in 1..20_usize,
        random_times in random_times(),
        end in prop_oneof![
            Just(Move::Fail { which: 3 }),
            Just(Move::Finish { which: 3, x: 0 }),
            // Nothing reports any more: the patience ends the run.
            Just(Move::Tick),
        ],
    ) {
        let limits = Limits { triggers_per_step: per_step, under_way: 500, errors: 10, ..Limits::default() };
        let graph = build_with_retries(&shapes, &edges, random_times);
        let reactor = |graph| Reactor::new(graph, data(&[("x", 0)]), limits).with_times(random_times.times());
        let mut run = Run::new(reactor(graph.clone()));
        run.send(Event::Begin);
        for next in script {
            run.act(next);
            prop_assert_eq!(run.reactor.counts().open, run.open.len() + run.delayed());
            let goes_on = run.owed || !run.open.is_empty() || run.delayed() > 0 && run.reactor.next_tick().is_some();
            prop_assert!(run.ending.is_some() || goes_on, "a run with nothing to do is over");
            prop_assert!(run.ending.is_none() || run.open.is_empty(), "a run is not over while an attempt is open");
        }
        run.act(Move::Stop);
        run.drain(end);
        let counts = run.reactor.counts();
        prop_assert!(run.ending.is_some());
        prop_assert_eq!(run.reactor.next_tick(), None);
        prop_assert_eq!((counts.submitted, counts.open, counts.buffered), (counts.ended, 0, 0));
        let failures = run.log.iter().filter(|line| line.starts_with("failed")).count() as u64;
        let ending = run.ending();
        prop_assert_eq!(ending.errors.len() as u64 + ending.more_errors, failures);
        let mut interrupts: Vec<&String> = run.log.iter().filter(|line| line.starts_with("interrupt")).collect();
        let asked = interrupts.len();
        interrupts.sort();
        interrupts.dedup();
        prop_assert_eq!(interrupts.len(), asked, "an attempt is interrupted once");
        for given_up in run.log.iter().filter_map(|line| line.strip_prefix("give up ")) {
            prop_assert!(run.log.contains(&format!("interrupt {given_up}")), "only what was interrupted is given up");
        }
        prop_assert_eq!(failures > 0, !ending.errors.is_empty());
        if ending.kind == EndingKind::Finished {
            prop_assert_eq!(failures, 0);
        }
        prop_assert_eq!(replayed(reactor(graph), &run.received), run.answered, "what a reactor does follows from its inputs");
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_completions_does_not_change_what_runs_where_nothing_races(
        (shapes, edges) in graphs(),
        picks in prop::collection::vec(0..8_usize, 40),
        failing in 0..12_usize,
        merged in any::<bool>(),
    ) {
        let edges: Vec<Edge> = edges.into_iter().filter_map(|edge| race_free(edge, merged)).collect();
        let run = |order: &[usize]| {
            let mut run = build_race_free(&shapes, &edges).run_within(data(&[("x", 0)]), Limits::default());
            run.tell(Event::Begin);
            let mut order = order.iter().cycle();
            while !run.open.is_empty() {
                let which = order.next().expect("a cycle does not end") % run.open.len();
                let attempt = *run.open.keys().nth(which).expect("it is one of them");
                let (name, _) = run.open.remove(&attempt).expect("it is open");
                run.tell(if name == failing.to_string() {
                    Event::Failed { attempt, error: TaskError::new(ErrorKind::Raised, "it broke") }
                } else {
                    let x = name.len() as i64 % 2;
                    Event::Finished { attempt, result: data(&[("x", x)]).with(name.as_str(), 1) }
                });
            }
            let mut submitted = run.submitted();
            submitted.sort();
            (submitted, run.kind(), run.reactor.counts().triggers)
        };
        prop_assert_eq!(run(&[0]), run(&picks));
    }
}

/// As [`build`]; every second task is tried again after any failure, at most twice.
fn build_with_retries(shapes: &[Shape], edges: &[Edge], times: RandomTimes) -> Arc<Graph> {
    let mut graph = build(shapes, edges).graph;
    for (index, shape) in shapes.iter().enumerate() {
        if let (Shape::Task(_), 0, Some(delay)) = (shape, index % 2, times.retry_delay) {
            let actor = graph.find(&index.to_string()).expect("it was added");
            graph.retry(actor, Retries::of_each(2).with_delay(Duration::from_millis(delay))).expect("it is a task");
        }
    }
    Arc::new(graph)
}

/// What another reactor does with the same inputs, after each of them.
fn replayed(mut reactor: Reactor, received: &[(Event, Duration)]) -> Vec<String> {
    let answer = |(event, now): &(Event, Duration)| {
        let mut actions = Vec::new();
        reactor.on(event.clone(), *now, &mut actions);
        answer_of(&actions, &reactor)
    };
    received.iter().map(answer).collect()
}

/// The edge, if it goes forwards. Its arrivals run the target each with data of its own, or are all required.
fn race_free(edge: Edge, merged: bool) -> Option<Edge> {
    let arrival = if merged { Arrival::Required } else { Arrival::Direct };
    (edge.source < edge.target).then_some(Edge { arrival, ..edge })
}

/// As [`build`], but the run's inputs go only to actors without another link in.
fn build_race_free(shapes: &[Shape], edges: &[Edge]) -> Net {
    let mut net = build(shapes, edges);
    let fed = |index: usize| edges.iter().any(|edge| edge.target == index);
    let mut graph = Graph::new("race free");
    for (_, actor) in net.graph.actors() {
        graph.add(actor.clone()).expect("the names differ");
    }
    for (_, source, target, link) in net.graph.links() {
        let name = &net.graph.actor(target).name;
        let from_start = Some(source) == net.graph.start();
        if !from_start || name.parse().is_ok_and(|index: usize| !fed(index)) {
            let ends = [source, target].map(|id| graph.find(&net.graph.actor(id).name).expect("it was added"));
            graph.connect(ends[0], ends[1], link.clone()).expect("it was connected before");
        }
    }
    net.graph = graph;
    net
}
