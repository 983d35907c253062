//! Retries of tasks that fail.

use pushflow_graph::Retries;

use super::*;

/// `start` -> `a` -> `stop`, with these retries of `a`.
fn chain(passing: Passing, retries: Retries) -> Net {
    let mut net = Net::code().start().task("a", passing).stop().chain(&["start", "a", "stop"]);
    let a = net.graph.find("a").unwrap();
    net.graph.retry(a, retries).unwrap();
    net
}

#[test]
fn a_task_is_tried_again_with_the_same_inputs_whatever_it_passes_on() {
    for (passing, result) in
        [(Passing::Merged, "x=1 y=2"), (Passing::Result, "y=2"), (Passing::Dict, "_ppfdict={x=1 y=2}")]
    {
        let mut run = chain(passing, Retries::of_each(1)).begin(data(&[("x", 1)]));
        run.fail("a", ErrorKind::Raised);
        run.finish("a", data(&[("y", 2)]));
        assert_eq!(run.submitted(), ["a x=1", "a x=1"]);
        assert_eq!((run.kind(), run.result().as_str()), (EndingKind::Finished, result));
        let handled: Vec<String> = run.ending().handled.iter().map(|failure| failure.error.to_string()).collect();
        assert_eq!(
            (handled, run.ending().handled_errors),
            (vec!["Raised: it broke".to_owned()], 1),
            "it is not silent"
        );
    }
}

#[test]
fn the_last_failure_is_that_of_the_actor() {
    let mut run = chain(Passing::Merged, Retries::of_each(2)).begin(nothing());
    (0..3).for_each(|_| run.fail("a", ErrorKind::Raised));
    assert_eq!(run.asked().iter().filter(|line| *line == "handled a").count(), 2);
    assert_eq!((run.kind(), run.errors()), (EndingKind::Failed, vec!["a Raised: it broke".to_owned()]));
}

#[test]
fn each_way_to_fail_has_a_budget_of_its_own_and_each_execution_all_of_it() {
    let retries = Retries::default().with_errors(1).with_crashes(1);
    let net = chain(Passing::Merged, retries).link("start", "a", direct());
    let mut run = net.begin(nothing());
    for _ in 0..2 {
        run.fail("a", ErrorKind::Raised);
    }
    for _ in 0..2 {
        run.fail("a", ErrorKind::WorkerLost);
    }
    assert_eq!(run.submitted().len(), 6);
    run.finish("a", nothing());
    run.fail("a", ErrorKind::TimedOut);
    assert_eq!(run.errors(), ["a TimedOut: it broke"]);
}

#[test]
fn what_would_fail_again_is_not_tried_again() {
    for kind in [ErrorKind::NotFound, ErrorKind::BadInput, ErrorKind::BadResult, ErrorKind::Unsupported] {
        let mut run = chain(Passing::Merged, Retries::of_each(9)).begin(nothing());
        run.fail("a", kind);
        assert_eq!((run.submitted().len(), run.errors().len()), (1, 1), "{kind:?}");
    }
}

#[test]
fn a_handler_hears_of_the_last_failure_only() {
    let net = chain(Passing::Merged, Retries::of_each(1)).task("h", Passing::Merged).on_error("a", "h");
    let mut run = net.begin(data(&[("x", 1)]));
    run.fail("a", ErrorKind::Raised);
    assert_eq!(run.submitted(), ["a x=1", "a x=1"]);
    run.fail("a", ErrorKind::Raised);
    assert_eq!(run.submitted().len(), 1, "the handler runs");
}

#[test]
fn a_run_that_is_stopped_tries_nothing_again() {
    let mut run = chain(Passing::Merged, Retries::of_each(1)).begin(nothing());
    run.ask_stop();
    run.fail("a", ErrorKind::WorkerLost);
    assert_eq!(run.submitted().len(), 1);
    assert_eq!(run.kind(), EndingKind::Stopped { reason: "enough".to_owned() });

    let mut run = chain(Passing::Merged, Retries::of_each(1)).begin(nothing());
    run.tell(Event::SoftStopAsked { reason: "enough".to_owned() });
    run.fail("a", ErrorKind::Raised);
    assert_eq!((run.submitted().len(), run.kind()), (1, EndingKind::Failed));
}

#[test]
fn every_try_is_listed_among_the_executions() {
    let net = chain(Passing::Merged, Retries::of_each(1));
    let mut run = net.run(data(&[("x", 1)]));
    run.reactor = run.reactor.with_outputs(crate::Outputs::All);
    run.tell(Event::Begin);
    run.fail("a", ErrorKind::Raised);
    run.finish("a", nothing());
    let executions = run.ending().executions.iter().map(|execution| (execution.attempt, execution.result.is_ok()));
    assert_eq!(executions.collect::<Vec<_>>(), [(Some(AttemptId(1)), false), (Some(AttemptId(2)), true)]);
}

#[test]
fn the_delay_is_asked_for_and_only_for_what_is_tried_again() {
    let delay = Duration::from_secs(5);
    let net = chain(Passing::Merged, Retries::default().with_errors(1).with_delay(delay));
    let mut reactor = Reactor::new(Arc::new(net.graph), nothing(), Limits::default());
    let mut delays = Vec::new();
    let attempt = AttemptId(1);
    let failure = Event::Failed { attempt, error: TaskError::new(ErrorKind::Raised, "no") };
    for event in [Event::Begin, failure] {
        let mut actions = Vec::new();
        reactor.on(event, Duration::ZERO, &mut actions);
        delays.extend(actions.iter().filter_map(|action| match action {
            Action::Submit { delay, .. } => Some(*delay),
            _ => None,
        }));
    }
    assert_eq!(delays, [Duration::ZERO, delay]);
}
