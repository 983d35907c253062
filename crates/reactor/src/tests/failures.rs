//! Every failure of an actor is that actor's failure, and is reported.

use super::*;

#[test]
fn a_failed_attempt_triggers_nothing_and_fails_the_run() {
    let net = Net::code().start().task("a", Passing::Merged).stop().chain(&["start", "a", "stop"]);
    let mut run = net.begin(nothing());
    run.fail("a", ErrorKind::Raised);
    assert_eq!(run.asked(), ["passed start", "submit a", "failed a"]);
    assert_eq!((run.kind(), run.result()), (EndingKind::Failed, "none".to_owned()));
    assert_eq!(run.errors(), ["a Raised: it broke"]);
    assert_eq!(run.ending().errors[0].attempt, Some(AttemptId(1)));
}

#[test]
fn the_other_branches_run_to_their_end_and_their_result_stays() {
    let net = Net::code().start().task("bad", Passing::Merged).task("good", Passing::Merged).stop();
    let net = net.chain(&["start", "bad", "stop"]).chain(&["start", "good", "stop"]);
    let mut run = net.begin(nothing());
    run.fail("bad", ErrorKind::WorkerLost);
    assert!(run.ending.is_none());
    run.finish("good", data(&[("x", 1)]));
    assert_eq!((run.kind(), run.result()), (EndingKind::Failed, "x=1".to_owned()));
    assert_eq!(run.errors(), ["bad WorkerLost: it broke"]);
}

#[test]
fn a_router_without_a_port_for_its_value_fails() {
    let net = Net::code().start().router("router", "x", vec![Value::Int(1)]).stop().chain(&["start", "router"]);
    let run = net.link("router", "stop", Link::port(1)).begin(data(&[("x", 5)]));
    assert_eq!(run.kind(), EndingKind::Failed);
    assert_eq!(
        run.errors(),
        ["router BadInput: the entry \"x\" = 5 has no connected port, and nothing is connected to the port \"other\" \
          (connected ports: 1)"]
    );
    assert_eq!(run.ending().errors[0].attempt, None);
}

#[test]
fn a_router_without_its_entry_and_without_other_fails() {
    let net = Net::code().start().router("router", "x", Vec::new()).chain(&["start", "router"]);
    assert_eq!(
        net.begin(nothing()).errors(),
        [
            "router BadInput: the entry \"x\" is missing, and nothing is connected to the port \"other\" (connected ports: \
          none)"
        ]
    );
}

#[test]
fn a_router_that_cannot_decode_its_entry_fails() {
    let net = Net::code().start().router("router", "x", Vec::new()).stop().chain(&["start", "router"]);
    let broken: Data = [("x", Payload::from_encoded(vec![0xff; 3].into()))].into_iter().collect();
    let run = net.link("router", "stop", Link::port("other")).begin(broken);
    let errors = run.errors();
    assert!(
        errors[0].starts_with("router BadInput: the entry \"x\" that the router looks at can't be decoded"),
        "{errors:?}"
    );
}

#[test]
fn a_mapping_of_a_missing_output_is_the_failure_of_its_source() {
    let net = Net::code().start().task("a", Passing::Result).task("b", Passing::Result).task("c", Passing::Result);
    let net = net.chain(&["start", "a", "b"]).link("a", "c", mapping(required(), &[("sum", "x")]));
    let mut run = net.begin(nothing());
    run.finish("a", data(&[("result", 1), ("total", 2)]));
    assert_eq!(run.submitted(), ["a"], "the links of one execution are taken together or not at all");
    assert_eq!(
        run.errors(),
        ["a BadResult: the link to \"c\" takes the output \"sum\", which is not among the outputs (\"result\", \
          \"total\"): correct its data mapping"]
    );
    assert_eq!(run.ending().errors[0].attempt, Some(AttemptId(1)));
}

#[test]
fn a_condition_on_bytes_that_cannot_be_decoded_is_the_failure_of_its_source() {
    let net = Net::code().start().task("a", Passing::Result).task("b", Passing::Result).chain(&["start", "a"]);
    let mut run = net.link("a", "b", when(required(), "go", true)).begin(nothing());
    run.finish("a", [("go", Payload::from_encoded(vec![0xff; 3].into()))].into_iter().collect());
    let errors = run.errors();
    assert!(errors[0].starts_with("a BadResult: the condition of the link to \"b\""), "{errors:?}");
}

#[test]
fn a_travelling_dictionary_that_is_no_map_is_a_bad_input() {
    let net = Net::code().start().task("a", Passing::Dict).chain(&["start", "a"]);
    let run = net.begin(data(&[("_ppfdict", 3)]));
    assert_eq!(run.errors(), ["a BadInput: the input \"_ppfdict\" must be a map or null, not an integer"]);
}

#[test]
fn errors_beyond_the_limit_are_counted() {
    let net = Net::code().start().task("a", Passing::Merged);
    let net = (0..5).fold(net, |net, _| net.chain(&["start", "a"]));
    let mut run = net.run_within(nothing(), Limits { errors: 2, ..Limits::default() });
    run.tell(Event::Begin);
    (0..5).for_each(|_| run.fail("a", ErrorKind::Raised));
    assert_eq!((run.ending().errors.len(), run.ending().more_errors), (2, 3));
}

#[test]
fn with_a_limit_of_no_errors_a_failed_run_is_still_failed() {
    let net = Net::code().start().task("a", Passing::Merged).chain(&["start", "a"]);
    let mut run = net.run_within(nothing(), Limits { errors: 0, ..Limits::default() });
    run.tell(Event::Begin);
    run.fail("a", ErrorKind::Raised);
    assert_eq!(run.kind(), EndingKind::Failed);
}

#[test]
fn a_second_report_for_an_attempt_is_ignored() {
    let net = Net::code().start().task("a", Passing::Merged).task("b", Passing::Merged).stop();
    let mut run = net.chain(&["start", "a", "stop"]).chain(&["start", "b"]).begin(nothing());
    let attempt = run.open_of("a");
    run.finish("a", data(&[("x", 1)]));
    run.tell(Event::Finished { attempt, result: data(&[("x", 2)]) });
    run.tell(Event::Failed { attempt, error: TaskError::new(ErrorKind::WorkerLost, "late") });
    run.finish("b", nothing());
    assert_eq!((run.kind(), run.result()), (EndingKind::Finished, "x=1".to_owned()));
    assert_eq!(run.reactor.counts().ignored, 2);
}

#[test]
fn a_report_for_an_attempt_never_submitted_is_ignored() {
    let net = Net::code().start().task("a", Passing::Merged).stop().chain(&["start", "a", "stop"]);
    let mut run = net.begin(nothing());
    run.tell(Event::Finished { attempt: AttemptId(7), result: nothing() });
    assert!(run.ending.is_none());
    run.finish("a", nothing());
    assert_eq!(run.kind(), EndingKind::Finished);
    assert_eq!(run.reactor.counts().ignored, 1);
}

#[test]
fn a_second_begin_is_ignored() {
    let net = Net::code().start().task("a", Passing::Merged).chain(&["start", "a"]);
    let mut run = net.begin(nothing());
    run.tell(Event::Begin);
    assert_eq!((run.submitted().len(), run.reactor.counts().ignored), (1, 1));
}

#[test]
fn what_comes_before_the_beginning_changes_nothing() {
    let net = Net::code().start().stop().chain(&["start", "stop"]);
    let mut run = net.run(data(&[("x", 1)]));
    run.tell(Event::Continue);
    run.tell(Event::Finished { attempt: AttemptId(1), result: nothing() });
    assert!(run.ending.is_none());
    run.tell(Event::Begin);
    assert_eq!(run.result(), "x=1");
}
