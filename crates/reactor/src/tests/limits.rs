//! `max_rounds`: how often an actor may run, and which cycle is named.

use super::*;

/// `start` -> `add` -> `again?` -> back to `add`, for ever.
fn endless() -> Net {
    let net = Net::code().start().task("add", Passing::Merged).router("again?", "x", vec![Value::Int(-1)]).stop();
    let net = net.chain(&["start", "add", "again?"]).link("again?", "add", Link::port("other"));
    net.link("again?", "stop", Link::port(-1))
}

fn rounds(max_rounds: u64) -> Limits {
    Limits { max_rounds: Some(max_rounds), ..Limits::default() }
}

#[test]
fn a_cycle_that_goes_round_too_often_fails_the_run_and_is_named() {
    let mut run = endless().run_within(data(&[("x", 0)]), rounds(3));
    run.tell(Event::Begin);
    (0..3).for_each(|_| run.finish("add", nothing()));
    assert_eq!((run.kind(), run.submitted().len()), (EndingKind::Failed, 3));
    assert_eq!(
        run.errors(),
        [
            "add TooManyRounds: the actor may run 3 times in one run (max_rounds), and the cycle \"add\" -> \"again?\" -> \
          \"add\" has not ended by then: correct what ends it, or allow more rounds"
        ]
    );
}

#[test]
fn a_cycle_of_as_many_rounds_as_are_allowed_is_fine() {
    let mut run = endless().run_within(nothing(), rounds(3));
    run.tell(Event::Begin);
    (0..2).for_each(|_| run.finish("add", nothing()));
    run.finish("add", data(&[("x", -1)]));
    assert_eq!(run.kind(), EndingKind::Finished);
}

#[test]
fn an_actor_may_have_a_limit_of_its_own() {
    let mut net = endless();
    let router = net.graph.find("again?").unwrap();
    net.graph.limit_rounds(router, 1).unwrap();
    let mut run = net.begin(nothing());
    (0..2).for_each(|_| run.finish("add", nothing()));
    let errors = run.errors();
    assert!(errors[0].starts_with("again? TooManyRounds: the actor may run once in one run"), "{errors:?}");
}

#[test]
fn an_actor_that_is_in_no_cycle_is_told_so() {
    let net = (0..3).fold(Net::code().start().task("a", Passing::Merged), |net, _| net.chain(&["start", "a"]));
    let mut run = net.run_within(nothing(), rounds(2));
    run.tell(Event::Begin);
    (0..2).for_each(|_| run.fail("a", ErrorKind::Stopped));
    assert!(run.errors()[0].contains("it is in no cycle, but was triggered that often"), "{:?}", run.errors());
}
