//! Workflows built from code: every arrival runs its target at once.

use super::*;

#[test]
fn a_linear_run_passes_inputs_and_results_on() {
    let net = Net::code().start().task("a", Passing::Merged).task("b", Passing::Merged).stop();
    let mut run = net.chain(&["start", "a", "b", "stop"]).begin(data(&[("x", 1)]));
    assert_eq!(run.asked(), ["passed start", "submit a x=1"]);
    run.finish("a", data(&[("y", 2)]));
    assert_eq!(run.asked(), ["submit b x=1 y=2"]);
    run.finish("b", data(&[("x", 3)]));
    assert_eq!(run.asked(), ["passed stop"]);
    assert_eq!((run.kind(), run.result()), (EndingKind::Finished, "x=3 y=2".to_owned()));
}

#[test]
fn defaults_lie_below_what_arrives() {
    let net = Net::code().start().task_with("a", Passing::Merged, data(&[("x", 10), ("y", 20)])).stop();
    let run = net.chain(&["start", "a", "stop"]).begin(data(&[("x", 1)]));
    assert_eq!(run.inputs_of("a"), "x=1 y=20");
}

#[test]
fn attempts_are_counted_from_one() {
    let net = Net::code().start().task("a", Passing::Merged).chain(&["start", "a"]);
    let run = net.begin(nothing());
    assert_eq!(run.open_of("a"), AttemptId(1));
}

#[test]
fn twenty_triggers_into_one_actor_run_it_twenty_times() {
    let net = (0..20).fold(Net::code().start().task("a", Passing::Merged).stop(), |net, _| net.chain(&["start", "a"]));
    let mut run = net.chain(&["a", "stop"]).begin(nothing());
    assert_eq!(run.open.len(), 20);
    (0..20).for_each(|index| run.finish("a", data(&[("x", index)])));
    assert_eq!(run.result(), "x=19");
}

#[test]
fn targets_are_triggered_in_connect_order() {
    let net = Net::code().start().task("c", Passing::Merged).task("a", Passing::Merged).task("b", Passing::Merged);
    let mut run = net.chain(&["start", "b"]).chain(&["start", "c"]).chain(&["start", "a"]).begin(nothing());
    assert_eq!(run.submitted(), ["b", "c", "a"]);
}

#[test]
fn a_fork_diamond_runs_the_node_where_it_meets_twice() {
    let tasks = ["a", "b", "meet"].iter().fold(Net::code().start(), |net, name| net.task(name, Passing::Merged));
    let net = tasks.fork("fork").stop().chain(&["start", "fork", "a", "meet", "stop"]).chain(&["fork", "b", "meet"]);
    let mut run = net.begin(data(&[("x", 1)]));
    run.finish("b", data(&[("b", 1)]));
    run.finish("a", data(&[("a", 1)]));
    assert_eq!(run.submitted(), ["a x=1", "b x=1", "meet b=1 x=1", "meet a=1 x=1"]);
    run.finish("meet", nothing());
    run.finish("meet", nothing());
    assert_eq!(run.result(), "a=1 x=1");
}

#[test]
fn overlapping_executions_keep_their_own_inputs() {
    let tasks =
        ["first", "second", "slow"].iter().fold(Net::code().start(), |net, name| net.task(name, Passing::Merged));
    let net = tasks.stop().chain(&["start", "first", "slow", "stop"]).chain(&["start", "second", "slow"]);
    let mut run = net.begin(nothing());
    run.finish("first", data(&[("tag", 1), ("only_first", 1)]));
    run.finish("second", data(&[("tag", 2)]));
    let last = *run.open.keys().last().expect("two are open");
    run.finish("slow", data(&[("out", 1)]));
    assert_eq!(run.open_of("slow"), last);
    run.finish("slow", data(&[("out", 2)]));
    assert_eq!(run.result(), "out=2 tag=2");
}

#[test]
fn the_run_goes_on_after_the_stop_actor_was_reached() {
    let net =
        Net::code().start().task("slow", Passing::Merged).stop().chain(&["start", "stop"]).chain(&["start", "slow"]);
    let mut run = net.chain(&["slow", "stop"]).begin(data(&[("x", 1)]));
    assert!(run.ending.is_none());
    run.finish("slow", data(&[("x", 2)]));
    assert_eq!(run.result(), "x=2", "the last good result wins");
}

fn routed(value: impl Into<Value>) -> Run {
    let targets = ["one", "two", "rest"].iter().fold(Net::code().start(), |net, name| net.task(name, Passing::Merged));
    let net = targets.router("router", "x", vec![Value::Int(1), Value::Int(2), Value::Int(3)]);
    let net = net.link("router", "one", Link::port(1)).link("router", "rest", Link::port("other"));
    let net = net.link("router", "two", Link::port(2)).link("router", "two", Link::port(1)).chain(&["start", "router"]);
    net.begin(Data::new().with("x", value))
}

#[test]
fn a_router_takes_all_links_of_the_port_that_matches_in_connect_order() {
    assert_eq!(routed(1).submitted(), ["one x=1", "two x=1"]);
    assert_eq!(routed(2).submitted(), ["two x=2"]);
}

#[test]
fn a_router_sends_what_matches_no_connected_port_to_other() {
    assert_eq!(routed(7).submitted(), ["rest x=7"]);
    assert_eq!(routed(3).submitted(), ["rest x=3"], "port 3 has no link");
    assert_eq!(routed(Vec::<Value>::new()).submitted(), ["rest x=List(List([]))"], "a list matches nothing");
}

#[test]
fn a_router_sends_data_without_its_entry_to_other() {
    let net = Net::code().start().router("router", "x", Vec::new()).task("rest", Passing::Merged);
    let mut run = net.chain(&["start", "router"]).link("router", "rest", Link::port("other")).begin(data(&[("y", 1)]));
    assert_eq!(run.submitted(), ["rest y=1"]);
}

#[test]
fn a_loop_of_a_million_rounds_keeps_nothing() {
    let net = Net::code().start().task("add", Passing::Merged).router("again", "x", vec![Value::Int(1_000_000)]).stop();
    let net = net.chain(&["start", "add", "again"]).link("again", "stop", Link::port(1_000_000));
    let net = net.link("again", "add", Link::port("other"));
    let mut reactor = Reactor::new(Arc::new(net.graph), data(&[("x", 0)]), Limits::default());
    let mut actions = Vec::new();
    reactor.on(Event::Begin, Duration::ZERO, &mut actions);
    for round in 1..=1_000_000 {
        let Some(Action::Submit { attempt, .. }) = actions.pop() else { panic!("round {round} submits") };
        actions.clear();
        reactor.on(Event::Finished { attempt, result: data(&[("x", round)]) }, Duration::ZERO, &mut actions);
    }
    let Some(Action::Finish(ending)) = actions.pop() else { panic!("the loop ends") };
    assert_eq!(show(&ending.result.expect("it reached the stop actor")), "x=1000000");
    assert!(reactor.queue.capacity() <= 16 && reactor.open.is_empty() && actions.capacity() <= 16);
}

#[test]
fn a_cycle_without_a_task_goes_a_million_rounds_and_hears_the_deadline() {
    let net = Net::code().start().router("router", "x", Vec::new()).fork("fork").chain(&["start", "fork", "router"]);
    let mut run = net.link("router", "fork", Link::port("other")).run(nothing());
    run.send(Event::Begin);
    while run.reactor.counts().triggers < 1_000_000 {
        assert!(std::mem::take(&mut run.owed), "it asks to be continued");
        run.log.clear();
        run.send(Event::Continue);
    }
    assert!(run.reactor.queue.capacity() <= 16);
    run.send(Event::Deadline);
    assert_eq!(run.kind(), EndingKind::TimedOut);
}

#[test]
fn a_step_handles_a_bounded_number_of_triggers() {
    let net = Net::code().start().fork("fork").chain(&["start", "fork", "fork"]);
    let mut run = net.run_within(nothing(), Limits { triggers_per_step: 10, ..Limits::default() });
    run.send(Event::Begin);
    assert_eq!((run.reactor.counts().triggers, run.owed), (10, true));
    run.owed = false;
    run.send(Event::Continue);
    assert_eq!((run.reactor.counts().triggers, run.owed), (20, true));
}

#[test]
fn other_events_between_continuations_do_not_ask_for_a_second_one() {
    let net = Net::code().start().fork("fork").task("a", Passing::Merged).chain(&["start", "fork", "fork"]);
    let mut run = net.chain(&["start", "a", "fork"]).run(nothing());
    run.send(Event::Begin);
    let attempt = run.open_of("a");
    run.send(Event::Finished { attempt, result: nothing() });
    assert!(run.owed);
    run.owed = false;
    run.send(Event::Continue);
    assert!(run.owed);
}

#[test]
fn a_run_that_never_reaches_the_stop_actor_is_stalled() {
    let net = Net::code().start().task("a", Passing::Merged).stop().chain(&["start", "a"]);
    let mut run = net.begin(nothing());
    run.finish("a", nothing());
    assert_eq!((run.kind(), run.result()), (EndingKind::Stalled, "none".to_owned()));
}

#[test]
fn a_link_that_is_alone_gets_the_data_itself() {
    let net = Net::code().start().fork("fork").task("a", Passing::Result).chain(&["start", "fork", "a"]);
    let mut reactor = Reactor::new(Arc::new(net.graph), data(&[("x", 1)]), Limits::default());
    let payload_before = match &reactor.phase {
        super::super::Phase::Waiting { inputs } => std::ptr::from_ref(inputs.named("x").expect("it is there")),
        _ => unreachable!("it has not begun"),
    };
    let mut actions = Vec::new();
    reactor.on(Event::Begin, Duration::ZERO, &mut actions);
    let Some(Action::Submit { inputs, .. }) = actions.last() else { panic!("it is submitted") };
    let payload_after = std::ptr::from_ref(inputs.named("x").expect("it is still there"));
    assert!(std::ptr::eq(payload_before, payload_after), "the map was copied on its way");
}

#[test]
fn a_run_of_an_empty_graph_ends_at_once_as_stalled() {
    let mut reactor = Reactor::new(Arc::new(Graph::new("nothing")), nothing(), Limits::default());
    let mut actions = Vec::new();
    reactor.on(Event::Begin, Duration::ZERO, &mut actions);
    let Some(Action::Finish(ending)) = actions.pop() else { panic!("an empty graph ends at once") };
    assert_eq!(ending.kind, EndingKind::Stalled);
}
