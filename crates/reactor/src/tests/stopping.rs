//! The soft stop: attempts in flight end as they would, and a task that would run takes its error path.

use super::*;

/// Three tasks in a row, each with the same handler, which leads to the stop actor.
fn row() -> Net {
    let names = ["one", "two", "three"];
    let net = Net::code().start().stop().actor("handler", ActorKind::ErrorHandler).chain(&["handler", "stop"]);
    let net = names.iter().fold(net, |net, name| net.task(name, Passing::Merged).on_error(name, "handler"));
    net.chain(&["start", "one", "two", "three", "stop"])
}

impl Run {
    fn stop_softly(&mut self, reason: &str) {
        self.tell(Event::SoftStopAsked { reason: reason.to_owned() });
    }
}

#[test]
fn what_runs_ends_as_it_would_and_the_next_task_takes_its_error_path() {
    let mut run = row().begin(nothing());
    run.finish("one", data(&[("counter", 1)]));
    run.stop_softly("enough");
    assert_eq!(run.asked().last().map(String::as_str), Some("submit two counter=1"), "nothing is interrupted");
    run.finish("two", data(&[("counter", 2)]));
    assert_eq!(run.asked(), ["handled three", "status error", "passed handler", "passed stop"]);
    assert_eq!(run.kind(), EndingKind::Stopped { reason: "enough".to_owned() });
    let message = "the run was stopped before the task could run: enough";
    let expected = format!("WorkflowException={{errorMessage={message} traceBack=List(List([]))}} counter=2");
    assert_eq!((run.result(), run.errors().len()), (expected, 0));
}

#[test]
fn a_soft_stop_that_keeps_no_task_from_running_changes_nothing() {
    let mut run = row().begin(nothing());
    run.finish("one", nothing());
    run.finish("two", nothing());
    run.stop_softly("too late");
    run.finish("three", data(&[("x", 3)]));
    assert_eq!((run.kind(), run.result()), (EndingKind::Finished, "x=3".to_owned()));
}

#[test]
fn a_task_that_a_soft_stop_refuses_without_a_handler_is_listed() {
    let net = Net::code().start().task("a", Passing::Merged).task("b", Passing::Merged).chain(&["start", "a", "b"]);
    let mut run = net.begin(nothing());
    run.stop_softly("enough");
    run.stop_softly("really");
    run.finish("a", nothing());
    assert_eq!(run.kind(), EndingKind::Stopped { reason: "enough".to_owned() });
    assert_eq!(run.errors(), ["b Stopped: the run was stopped before the task could run: enough"]);
}

#[test]
fn an_error_path_that_leads_back_to_a_task_does_not_go_round_while_stopping() {
    let net = Net::code().start().task("a", Passing::Merged).task("b", Passing::Merged).fork("again");
    let mut run = net.chain(&["start", "a", "b"]).on_error("b", "again").chain(&["again", "b"]).begin(nothing());
    run.stop_softly("enough");
    run.finish("a", nothing());
    assert_eq!((run.kind(), run.errors().len()), (EndingKind::Stopped { reason: "enough".to_owned() }, 1));
}

#[test]
fn a_forced_stop_after_a_soft_one_interrupts_what_still_runs() {
    let mut run = row().begin(nothing());
    run.stop_softly("enough");
    run.asked();
    run.ask_stop();
    assert_eq!(run.asked(), ["interrupt 1"]);
    run.fail("one", ErrorKind::Stopped);
    assert_eq!(run.errors().len(), 1);
}

#[test]
fn a_soft_stop_before_the_beginning_refuses_the_first_task() {
    let mut run = row().run(nothing());
    run.stop_softly("enough");
    run.tell(Event::Begin);
    assert_eq!(run.submitted(), Vec::<String>::new());
    assert_eq!(run.kind(), EndingKind::Stopped { reason: "enough".to_owned() });
}
