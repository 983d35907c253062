//! Joins: they take one arrival of each link a round, work in loops, and name the actors that they wait for.

use super::*;

/// `start` -> `a` and `b` -> `join` -> `stop`.
fn diamond() -> Net {
    let net = Net::code().start().task("a", Passing::Merged).task("b", Passing::Merged).join("join").stop();
    net.chain(&["start", "a", "join"]).chain(&["start", "b", "join"]).chain(&["join", "stop"])
}

#[test]
fn a_join_merges_in_link_order_whoever_finishes_first() {
    for order in [["a", "b"], ["b", "a"]] {
        let mut run = diamond().begin(data(&[("x", 0)]));
        run.finish(order[0], data(&[("x", if order[0] == "a" { 1 } else { 2 }), (order[0], 1)]));
        assert!(run.ending.is_none());
        assert_eq!(run.reactor.counts().buffered, 1);
        run.finish(order[1], data(&[("x", if order[1] == "a" { 1 } else { 2 }), (order[1], 1)]));
        assert_eq!((run.kind(), run.result()), (EndingKind::Finished, "a=1 b=1 x=2".to_owned()));
    }
}

#[test]
fn a_join_in_a_loop_fires_once_a_round() {
    let net = Net::code().start().fork("again").task("a", Passing::Merged).task("b", Passing::Merged).join("join");
    let net = net.router("done?", "x", vec![Value::Int(3)]).stop();
    let net = net.chain(&["start", "again", "a", "join", "done?"]).chain(&["again", "b", "join"]);
    let net = net.link("done?", "stop", Link::port(3)).link("done?", "again", Link::port("other"));
    let mut run = net.begin(data(&[("x", 0)]));
    for round in 1..=3 {
        run.finish("b", data(&[("x", round)]));
        run.finish("a", nothing());
    }
    assert_eq!((run.kind(), run.result()), (EndingKind::Finished, "x=3".to_owned()));
    assert_eq!(run.submitted().len(), 6);
}

#[test]
fn two_arrivals_on_one_link_are_two_rounds_not_one() {
    let net = Net::code().start().task("fast", Passing::Merged).task("slow", Passing::Merged).join("join");
    let net = net.task("after", Passing::Merged).chain(&["start", "fast", "join", "after"]).chain(&["start", "fast"]);
    let mut run = net.chain(&["start", "slow", "join"]).chain(&["start", "slow"]).begin(nothing());
    run.finish("fast", data(&[("x", 1)]));
    run.finish("fast", data(&[("x", 2)]));
    run.asked();
    run.finish("slow", data(&[("y", 1)]));
    assert_eq!(run.submitted(), ["after x=1 y=1"]);
    run.finish("slow", data(&[("y", 2)]));
    assert_eq!(run.submitted(), ["after x=2 y=2"]);
}

#[test]
fn an_actor_linked_twice_to_a_join_delivers_twice() {
    let net = Net::code().start().join("join").stop().chain(&["start", "join"]).chain(&["start", "join", "stop"]);
    assert_eq!(net.begin(data(&[("x", 1)])).result(), "x=1");
}

#[test]
fn a_run_with_a_join_that_waits_in_vain_has_stalled_and_says_for_whom() {
    let net = Net::code().start().router("router", "x", vec![Value::Int(1)]).fork("a").fork("b").join("join").stop();
    let net = net.link("router", "a", Link::port(1)).link("router", "b", Link::port("other"));
    let net = net.chain(&["start", "router"]).chain(&["a", "join"]).chain(&["b", "join", "stop"]);
    let run = net.begin(data(&[("x", 1)]));
    assert_eq!((run.kind(), run.result()), (EndingKind::Stalled, "none".to_owned()));
    assert_eq!(run.ending().stalled, ["join \"join\" waits for \"b\", and has what came from \"a\""]);
}

#[test]
fn a_join_that_waits_in_vain_stalls_even_if_the_end_was_reached() {
    let net = Net::code().start().router("router", "x", Vec::new()).join("join").stop();
    let net = net.chain(&["start", "router"]).chain(&["start", "join", "stop"]).chain(&["start", "stop"]);
    let net =
        net.fork("never").link("router", "never", Link::port("other")).router("blocked", "x", vec![Value::Int(2)]);
    let net = net.chain(&["never", "blocked"]).link("blocked", "join", Link::port(2));
    let net = net.fork("rest").link("blocked", "rest", Link::port("other"));
    let run = net.begin(data(&[("x", 1)]));
    assert_eq!((run.kind(), run.result()), (EndingKind::Stalled, "x=1".to_owned()));
}

#[test]
fn a_branch_whose_failure_was_handled_does_not_stall_its_join() {
    let mut run = diamond().on_error("a", "stop").begin(nothing());
    run.finish("b", data(&[("x", 1)]));
    run.fail("a", ErrorKind::Raised);
    assert_eq!((run.kind(), run.ending().handled_errors), (EndingKind::Finished, 1));
}

#[test]
fn what_a_join_keeps_counts_as_under_way_and_is_dropped_at_the_end() {
    let net = Net::code().start().fork("loop").task("slow", Passing::Merged).join("join");
    let net = net.chain(&["start", "loop", "loop"]).chain(&["loop", "join"]).chain(&["start", "slow", "join"]);
    let mut run = net.run_within(nothing(), Limits { under_way: 100, ..Limits::default() });
    run.tell(Event::Begin);
    run.finish("slow", nothing());
    assert_eq!((run.kind(), run.reactor.counts().buffered), (EndingKind::Failed, 0));
    assert!(run.errors()[0].contains("TooManyTriggers"), "{:?}", run.errors());
}
