//! Submodels: ports, nesting, and errors that go up level by level.

use super::*;

/// `In` -> the task `work` -> `Out`, with a handler of its own if asked, which leads nowhere.
fn inner(with_handler: bool) -> Graph {
    let net = Net::code().actor("In", ActorKind::Port).actor("Out", ActorKind::Port).task("work", Passing::Merged);
    let net = net.task("note", Passing::Merged).chain(&["In", "work", "Out"]);
    if with_handler { net.handler("note").graph } else { net.graph }
}

/// `In` -> the submodel `inner` -> `Out`.
fn outer(with_handler: bool) -> Graph {
    let mut net = Net::code().actor("In", ActorKind::Port).actor("Out", ActorKind::Port).task("note", Passing::Merged);
    net.graph.add_submodel("inner", &inner(with_handler)).unwrap();
    let net = net.chain(&["In", "inner.In"]).chain(&["inner.Out", "Out"]);
    if with_handler { net.handler("note").graph } else { net.graph }
}

fn workflow(with_handlers: bool) -> Net {
    let mut net = Net::code().start().stop();
    net.graph.add_submodel("outer", &outer(with_handlers)).unwrap();
    net.chain(&["start", "outer.In"]).chain(&["outer.Out", "stop"])
}

#[test]
fn data_goes_through_the_ports_of_nested_submodels() {
    let mut run = workflow(false).begin(data(&[("x", 1)]));
    assert_eq!(run.submitted(), ["outer/inner/work x=1"]);
    run.finish("outer/inner/work", data(&[("y", 2)]));
    assert_eq!((run.kind(), run.result()), (EndingKind::Finished, "x=1 y=2".to_owned()));
}

#[test]
fn every_level_hears_of_an_error_inside_the_innermost_first_and_with_the_same_data() {
    let mut run = workflow(true).handler("stop").begin(data(&[("x", 1)]));
    run.asked();
    run.fail("outer/inner/work", ErrorKind::Raised);
    let exception = "WorkflowException={errorMessage=it broke traceBack=List(List([]))} x=1";
    let expected = [
        "handled outer/inner/work".to_owned(),
        format!("submit outer/inner/note {exception}"),
        format!("submit outer/note {exception}"),
        "passed stop".to_owned(),
    ];
    assert_eq!(run.asked(), expected);
    run.finish("outer/note", nothing());
    run.finish("outer/inner/note", nothing());
    assert_eq!((run.kind(), run.result()), (EndingKind::Finished, exception.to_owned()), "Out was not triggered");
}

#[test]
fn the_handler_of_one_submodel_hears_nothing_of_another() {
    let mut net = Net::code().start().stop().task("heard", Passing::Merged);
    let one = net.graph.add_submodel("one", &inner(false)).unwrap();
    let two = net.graph.add_submodel("two", &inner(false)).unwrap();
    let heard = net.graph.find("heard").unwrap();
    net.graph.on_submodel_error(&one, heard).unwrap();
    assert_eq!((one.name(), two.name()), ("one", "two"));
    let net = net.chain(&["start", "one.In"]).chain(&["start", "two.In"]);
    let mut run = net.begin(nothing());
    run.fail("two/work", ErrorKind::Raised);
    run.asked();
    run.fail("one/work", ErrorKind::Raised);
    assert_eq!(run.submitted().len(), 1);
    run.finish("heard", nothing());
    assert_eq!(run.errors(), ["two/work Raised: it broke"]);
}

#[test]
fn a_handler_that_fails_inside_a_submodel_is_heard_one_level_up() {
    let mut run = workflow(true).begin(nothing());
    run.fail("outer/inner/work", ErrorKind::Raised);
    run.finish("outer/note", nothing());
    run.asked();
    run.fail("outer/inner/note", ErrorKind::Raised);
    assert_eq!(run.asked()[0], "handled outer/inner/note");
    assert_eq!(run.open.len(), 1, "only the outer handler is triggered");
    run.fail("outer/note", ErrorKind::Raised);
    assert_eq!((run.kind(), run.errors()), (EndingKind::Failed, vec!["outer/note Raised: it broke".to_owned()]));
}
