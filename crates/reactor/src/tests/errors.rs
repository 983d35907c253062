//! Handlers: which actors a failure triggers, in which order and with what data, and how the run ends.

use super::*;

const EXCEPTION: &str = "WorkflowException={errorMessage=it broke traceBack=List(List([]))}";

/// `start` -> `a` -> `stop`, and the task `own` and `rescue` beside.
fn one_task() -> Net {
    let net =
        ["a", "own", "rescue"].iter().fold(Net::code().start().stop(), |net, name| net.task(name, Passing::Merged));
    net.chain(&["start", "a", "stop"])
}

#[test]
fn a_handler_gets_what_reached_the_actor_that_failed_and_the_exception() {
    let mut run = one_task().on_error("a", "own").begin(data(&[("x", 1)]));
    run.asked();
    run.fail("a", ErrorKind::Raised);
    assert_eq!(run.asked(), ["handled a".to_owned(), format!("submit own {EXCEPTION} x=1")]);
}

#[test]
fn a_handler_gets_the_error_itself_where_its_language_has_it() {
    let instance = |error: TaskError| {
        let mut run = one_task().on_error("a", "own").begin(nothing());
        run.tell(Event::Failed { attempt: run.open_of("a"), error });
        run.open[&run.open_of("own")].1.value("WorkflowExceptionInstance").unwrap().unwrap().clone()
    };
    let python =
        Value::from(Opaque::new("exception", "ValueError").with_text("ValueError('no')").with_content(vec![1]));
    let encoded = Payload::from(python.clone()).encoded().unwrap().clone();
    let details = ErrorDetails { instance: Some(encoded), ..ErrorDetails::default() };
    let error = TaskError { details: Some(Box::new(details)), ..TaskError::new(ErrorKind::Raised, "no") };
    assert_eq!(instance(error), python);
    let lost = TaskError::new(ErrorKind::WorkerLost, "killed");
    assert_eq!(instance(lost).to_json().unwrap()["$repr"], "WorkerLost: killed");
}

#[test]
fn a_handler_gets_the_notes_and_causes_of_the_error_where_there_are_any() {
    let mut run = one_task().on_error("a", "own").begin(nothing());
    let cause = |type_name: &str, message: &str| ErrorCause { type_name: type_name.into(), message: message.into() };
    let causes = vec![cause("OSError", "the disk is full"), cause("KeyError", "'x'")];
    let details = ErrorDetails { notes: vec!["at sample 3".into()], causes, instance: None };
    let error = TaskError { details: Some(Box::new(details)), ..TaskError::new(ErrorKind::Raised, "no") };
    run.tell(Event::Failed { attempt: run.open_of("a"), error });
    let exception = run.open[&run.open_of("own")].1.value("WorkflowException").unwrap().unwrap().to_json().unwrap();
    let causes = r#"[{"type":"OSError","message":"the disk is full"},{"type":"KeyError","message":"'x'"}]"#;
    let expected = format!(r#"{{"errorMessage":"no","traceBack":[],"notes":["at sample 3"],"causes":{causes}}}"#);
    assert_eq!(exception.to_string(), expected);
}

#[test]
fn the_defaults_of_a_task_are_not_among_what_its_handler_gets() {
    let net = Net::code().start().task_with("a", Passing::Merged, data(&[("y", 2)])).task("own", Passing::Merged);
    let mut run = net.chain(&["start", "a"]).on_error("a", "own").begin(data(&[("x", 1)]));
    assert_eq!(run.inputs_of("a"), "x=1 y=2");
    run.fail("a", ErrorKind::Raised);
    assert_eq!(run.inputs_of("own"), format!("{EXCEPTION} x=1"));
}

#[test]
fn own_handlers_come_first_in_order_then_the_workflows() {
    let net = one_task().handler("rescue").task("second", Passing::Merged).on_error("a", "own").on_error("a", "second");
    let mut run = net.begin(nothing());
    run.asked();
    run.fail("a", ErrorKind::Raised);
    let heard: Vec<String> = run.submitted().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(heard, ["own", "second", "rescue"]);
}

#[test]
fn a_handled_failure_is_counted_but_does_not_fail_the_run() {
    let mut run = one_task().on_error("a", "stop").begin(data(&[("x", 1)]));
    run.fail("a", ErrorKind::Raised);
    assert_eq!((run.kind(), run.result()), (EndingKind::Finished, format!("{EXCEPTION} x=1")));
    assert_eq!((run.errors().len(), run.ending().handled_errors), (0, 1));
}

#[test]
fn a_handler_that_fails_is_a_failure_of_its_own() {
    let mut run = one_task().on_error("a", "own").begin(nothing());
    run.fail("a", ErrorKind::Raised);
    run.fail("own", ErrorKind::Panicked);
    assert_eq!((run.kind(), run.errors()), (EndingKind::Failed, vec!["own panic: it broke".to_owned()]));
}

#[test]
fn what_a_workflows_handler_leads_to_does_not_trigger_that_handler_again() {
    let net = one_task().handler("rescue").chain(&["rescue", "own"]);
    let mut run = net.begin(nothing());
    run.fail("a", ErrorKind::Raised);
    run.finish("rescue", nothing());
    run.fail("own", ErrorKind::Raised);
    assert_eq!((run.kind(), run.errors()), (EndingKind::Failed, vec!["own Raised: it broke".to_owned()]));
}

#[test]
fn an_actor_that_contains_its_errors_keeps_them_from_the_workflow() {
    let mut net = one_task().handler("rescue");
    let a = net.graph.find("a").unwrap();
    net.graph.contain_errors(a).unwrap();
    let mut run = net.begin(nothing());
    run.fail("a", ErrorKind::Raised);
    assert_eq!((run.kind(), run.errors().len()), (EndingKind::Failed, 1));
}

#[test]
fn the_failure_of_a_router_takes_its_error_path() {
    let net = Net::code().start().router("router", "x", vec![Value::Int(1)]).stop().chain(&["start", "router"]);
    let own = net.link("router", "stop", Link::port(1)).on_error("router", "stop").begin(data(&[("x", 5)]));
    let net = Net::code().start().router("router", "x", vec![Value::Int(1)]).stop().chain(&["start", "router"]);
    let workflows = net.link("router", "stop", Link::port(1)).handler("stop").begin(data(&[("x", 5)]));
    for run in [own, workflows] {
        assert_eq!((run.kind(), run.ending().handled_errors), (EndingKind::Finished, 1));
        assert!(run.result().contains("has no connected port") && run.result().ends_with("x=5"), "{}", run.result());
    }
}

#[test]
fn a_failure_behind_a_join_takes_the_workflows_error_path() {
    let net = Net::code().start().join("join").stop().chain(&["start", "join"]).chain(&["start", "join"]);
    let run = net.link("join", "stop", mapping(direct(), &[("y", "z")])).handler("stop").begin(data(&[("x", 1)]));
    assert_eq!((run.kind(), run.ending().handled_errors), (EndingKind::Finished, 1));
    assert!(run.result().contains("takes the output \"y\""), "{}", run.result());
}

#[test]
fn an_error_link_that_is_not_taken_handles_nothing() {
    let mut run = one_task().link("a", "own", when(Link::on_error(), "x", 2)).begin(data(&[("x", 1)]));
    run.fail("a", ErrorKind::Raised);
    assert_eq!((run.kind(), run.submitted()), (EndingKind::Failed, vec!["a x=1".to_owned()]));
}

#[test]
fn an_error_link_that_cannot_be_taken_is_one_more_failure() {
    let mut run = one_task().link("a", "own", mapping(Link::on_error(), &[("none", "x")])).begin(nothing());
    run.fail("a", ErrorKind::Raised);
    let errors = run.errors();
    assert!(errors[0].contains("takes the output \"none\"") && errors[1] == "a Raised: it broke", "{errors:?}");
}

#[test]
fn a_failure_while_the_run_is_closing_triggers_nothing() {
    let mut run = one_task().on_error("a", "own").begin(nothing());
    run.tell(Event::Deadline);
    run.asked();
    run.fail("a", ErrorKind::Stopped);
    assert_eq!(run.asked(), ["failed a"]);
    assert_eq!((run.kind(), run.errors().len()), (EndingKind::TimedOut, 1));
}

#[test]
fn an_error_handler_sets_the_status_and_passes_on() {
    let net = one_task().actor("handler", ActorKind::ErrorHandler).chain(&["handler", "stop"]);
    let mut run = net.on_error("a", "handler").begin(nothing());
    run.asked();
    run.fail("a", ErrorKind::Raised);
    assert_eq!(run.asked(), ["handled a", "status error", "passed handler", "passed stop"]);
    assert_eq!(run.ending().status.as_deref(), Some("error"));
}

#[test]
fn a_status_actor_sets_the_status_and_passes_on_and_the_last_status_counts() {
    let status = |text: &str| ActorKind::Status(Some(text.to_owned()));
    let net = Net::code().start().actor("first", status("half way")).actor("second", status("nearly there")).stop();
    let run = net
        .actor("none", ActorKind::Status(None))
        .chain(&["start", "first", "second", "none", "stop"])
        .begin(data(&[("x", 1)]));
    assert_eq!((run.result(), run.ending().status.as_deref()), ("x=1".to_owned(), Some("nearly there")));
}

/// The result after these arrivals at the stop actor: good ones as `x=N`, and failures.
fn result_of(arrivals: &[Result<i64, i64>]) -> String {
    let names: Vec<String> = (0..arrivals.len()).map(|index| index.to_string()).collect();
    let net = names.iter().fold(Net::code().start().stop(), |net, name| {
        net.task(name, Passing::Merged).chain(&["start", name, "stop"]).on_error(name, "stop")
    });
    let mut run = net.begin(nothing());
    for (name, arrival) in names.iter().zip(arrivals) {
        match arrival {
            Ok(x) => run.finish(name, data(&[("x", *x)])),
            Err(x) => {
                let attempt = run.open_of(name);
                run.open.remove(&attempt);
                run.tell(Event::Failed { attempt, error: TaskError::new(ErrorKind::Raised, x.to_string()) });
            }
        }
    }
    run.result()
}

#[test]
fn the_last_good_result_counts_and_else_the_first_failure() {
    let failure = |x: i64| format!("WorkflowException={{errorMessage={x} traceBack=List(List([]))}}");
    assert_eq!(result_of(&[Ok(1)]), "x=1");
    assert_eq!(result_of(&[Ok(1), Ok(2)]), "x=2");
    assert_eq!(result_of(&[Ok(1), Err(2)]), "x=1");
    assert_eq!(result_of(&[Err(1)]), failure(1));
    assert_eq!(result_of(&[Err(1), Ok(2)]), "x=2");
    assert_eq!(result_of(&[Err(1), Err(2)]), failure(1));
}

#[test]
fn an_empty_exception_is_no_error_in_the_result_rule() {
    let net =
        Net::code().start().stop().task("a", Passing::Merged).chain(&["start", "stop"]).chain(&["start", "a", "stop"]);
    let mut run = net.begin(data(&[("x", 1)]).with("WorkflowException", Value::Null));
    run.finish("a", data(&[("x", 2)]));
    assert_eq!(run.result(), "WorkflowException=Null x=2");
}
