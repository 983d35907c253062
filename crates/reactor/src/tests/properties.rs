//! Properties of every run, on random graphs, with random orders and failures.

use proptest::prelude::*;

use super::*;

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
    Finish { which: usize, x: i64 },
    Fail { which: usize },
    Repeat { attempt: u64 },
    Continue,
    Deadline,
    Stop,
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
        8 => Just(Move::Continue),
        1 => Just(Move::Deadline),
        1 => Just(Move::Stop),
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
            Move::Continue => {
                if std::mem::take(&mut self.owed) {
                    self.send(Event::Continue);
                }
            }
            Move::Deadline => self.send(Event::Deadline),
            Move::Stop => self.send(Event::StopAsked { reason: "enough".to_owned() }),
        }
    }

    /// Repeats one kind of move until no attempt is open.
    fn drain(&mut self, next: Move) {
        while !self.open.is_empty() {
            self.act(next);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn every_run_ends_once_and_its_counts_balance(
        (shapes, edges) in graphs(),
        script in prop::collection::vec(moves(), 0..60),
        per_step in 1..20_usize,
        by_failures in any::<bool>(),
    ) {
        let limits = Limits { triggers_per_step: per_step, under_way: 500, errors: 10, ..Limits::default() };
        let mut run = build(&shapes, &edges).run_within(data(&[("x", 0)]), limits);
        run.send(Event::Begin);
        for next in script {
            run.act(next);
            prop_assert_eq!(run.reactor.counts().open, run.open.len());
            prop_assert!(run.ending.is_some() || run.owed || !run.open.is_empty(), "a run with nothing to do is over");
            prop_assert!(run.ending.is_none() || run.open.is_empty(), "a run is not over while an attempt is open");
        }
        run.act(Move::Deadline);
        run.drain(if by_failures { Move::Fail { which: 3 } } else { Move::Finish { which: 3, x: 0 } });
        let counts = run.reactor.counts();
        prop_assert!(run.ending.is_some());
        prop_assert_eq!((counts.submitted, counts.open, counts.buffered), (counts.ended, 0, 0));
        let failures = run.log.iter().filter(|line| line.starts_with("failed")).count() as u64;
        let ending = run.ending();
        prop_assert_eq!(ending.errors.len() as u64 + ending.more_errors, failures);
        let interrupts = run.log.iter().filter(|line| line.starts_with("interrupt")).collect::<Vec<_>>();
        prop_assert!(interrupts.windows(2).all(|pair| pair[0] != pair[1]));
        prop_assert_eq!(failures > 0, !ending.errors.is_empty());
        if ending.kind == EndingKind::Finished {
            prop_assert_eq!(failures, 0);
        }
    }

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
