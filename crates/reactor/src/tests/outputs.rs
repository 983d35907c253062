//! The outputs that an ending lists beside the result.

use super::super::{Execution, Outputs};
use super::*;

fn begin(net: Net, outputs: Outputs, limits: Limits) -> Run {
    let mut run = net.run_within(data(&[("x", 0)]), limits);
    run.reactor = run.reactor.with_outputs(outputs);
    run.tell(Event::Begin);
    run
}

fn listed(run: &Run) -> Vec<String> {
    run.ending().outputs.iter().map(|output| format!("{} {}", output.name, show(&output.data))).collect()
}

/// `start` -> `a` -> `stop`, `start` -> `b` -> `stop`, and the failures of `b` go to `stop`, too.
fn two_ends() -> Net {
    let net = Net::code().start().task("a", Passing::Merged).task("b", Passing::Merged).stop();
    net.chain(&["start", "a", "stop"]).chain(&["start", "b", "stop"]).chain(&["start", "b"]).on_error("b", "stop")
}

#[test]
fn by_default_nothing_is_listed() {
    let mut run = begin(two_ends(), Outputs::Last, Limits::default());
    ["a", "b", "b"].into_iter().for_each(|name| run.finish(name, data(&[("x", 1)])));
    assert_eq!((listed(&run).len(), run.ending().more_outputs), (0, 0));
}

#[test]
fn each_end_is_listed_with_its_last_good_result() {
    let mut run = begin(two_ends(), Outputs::Ends, Limits::default());
    run.finish("b", data(&[("x", 1)]));
    run.fail("b", ErrorKind::Raised);
    run.finish("a", data(&[("x", 2)]));
    assert_eq!(listed(&run), ["a x=2", "b x=1"]);
}

#[test]
fn what_a_workflows_handlers_deliver_is_under_the_stop_actors_name() {
    let net = Net::code().start().task("a", Passing::Merged).stop().chain(&["start", "a", "stop"]).handler("stop");
    let mut run = begin(net, Outputs::Ends, Limits::default());
    run.fail("a", ErrorKind::Raised);
    assert!(listed(&run)[0].starts_with("stop WorkflowException="), "{:?}", listed(&run));
}

/// The executions, such as `1 a x=0: x=1` or `2 b x=0: Raised`.
fn executions(run: &Run) -> Vec<String> {
    let shown = |execution: &Execution| {
        let attempt = execution.attempt.map_or_else(|| "-".to_owned(), |attempt| attempt.to_string());
        let result = execution.result.as_ref().map_or_else(|error| format!("{:?}", error.kind), show);
        format!("{attempt} {} {}: {result}", execution.name, show(&execution.inputs))
    };
    run.ending().executions.iter().map(shown).collect()
}

#[test]
fn all_executions_are_listed_as_they_end_and_the_last_ones_are_kept() {
    let mut run = begin(two_ends(), Outputs::All, Limits { outputs: 2, ..Limits::default() });
    run.finish("b", data(&[("x", 1)]));
    run.finish("a", data(&[("y", 2)]));
    run.finish("b", data(&[("x", 3)]));
    assert_eq!(executions(&run), ["1 a x=0: x=0 y=2", "3 b x=0: x=3"]);
    assert_eq!(run.ending().more_outputs, 1);
}

#[test]
fn an_execution_that_failed_and_one_without_a_task_are_listed_with_what_they_got() {
    let defaults = data(&[("y", 7)]);
    let net = Net::code().start().task_with("a", Passing::Dict, defaults).identity("port", Passing::Dict).stop();
    let net = net.chain(&["start", "a", "stop"]).chain(&["start", "port", "stop"]);
    let mut run = begin(net, Outputs::All, Limits::default());
    run.fail("a", ErrorKind::Raised);
    assert_eq!(executions(&run), ["- port x=0: _ppfdict={x=0}", "1 a x=0 y=7: Raised"]);
}

#[test]
fn errors_that_were_handled_are_listed_apart() {
    let mut run = begin(two_ends(), Outputs::Last, Limits { errors: 1, ..Limits::default() });
    run.fail("b", ErrorKind::Raised);
    run.fail("b", ErrorKind::Raised);
    run.finish("a", nothing());
    let ending = run.ending();
    assert_eq!((ending.errors.len(), ending.handled.len(), ending.handled_errors), (0, 1, 2));
    assert_eq!(ending.handled[0].name, "b");
}
