//! The cost of a step. Run by hand: `cargo test --release -p pushflow-reactor tests::speed -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::Instant;

use super::*;

const ROUNDS: u64 = 1_000_000;

#[test]
#[ignore = "a measurement, only meaningful in a release build on a quiet machine"]
fn what_a_trigger_and_a_round_cost() {
    println!("router and fork cycle: {:.0} ns a trigger", inline_cycle());
    println!("task and router loop: {:.0} ns a round", task_loop());
    println!("merged loop of one ewoks node: {:.0} ns a round", ewoks_loop());
}

fn inline_cycle() -> f64 {
    let net = Net::code().start().router("router", "x", vec![Value::Int(1)]).fork("fork");
    let net = net.chain(&["start", "fork", "router"]).link("router", "fork", Link::port("other"));
    let mut reactor = Reactor::new(Arc::new(net.graph), data(&[("x", 0)]), Limits::default());
    let mut actions = Vec::new();
    let began = Instant::now();
    reactor.on(Event::Begin, Duration::ZERO, &mut actions);
    while reactor.counts().triggers < ROUNDS {
        black_box(&actions);
        actions.clear();
        reactor.on(Event::Continue, Duration::ZERO, &mut actions);
    }
    nanoseconds(began, reactor.counts().triggers)
}

fn task_loop() -> f64 {
    let net = Net::code().start().task("add", Passing::Merged).router("again", "x", vec![Value::Int(1)]);
    loop_of(net.chain(&["start", "add", "again"]).link("again", "add", Link::port("other")))
}

fn ewoks_loop() -> f64 {
    let net = Net::code().start().task("add", Passing::Result).link("start", "add", arriving(Arrival::Start));
    loop_of(net.link("add", "add", when(optional(false), "x", 0)))
}

fn loop_of(net: Net) -> f64 {
    let mut reactor = Reactor::new(Arc::new(net.graph), data(&[("x", 0)]), Limits::default());
    let result = data(&[("x", 0)]);
    let mut actions = Vec::new();
    let began = Instant::now();
    reactor.on(Event::Begin, Duration::ZERO, &mut actions);
    for _ in 0..ROUNDS {
        let Some(Action::Submit { attempt, .. }) = actions.pop() else { panic!("each round submits") };
        actions.clear();
        reactor.on(Event::Finished { attempt, result: result.clone() }, Duration::ZERO, &mut actions);
    }
    nanoseconds(began, ROUNDS)
}

fn nanoseconds(began: Instant, times: u64) -> f64 {
    began.elapsed().as_nanos() as f64 / times as f64
}
