//! Deadlines, stops and limits, at each point of a run.

use super::*;

/// `start` -> `a` -> `stop`, and `start` -> `b` -> `stop`.
fn two_branches() -> Run {
    let net = Net::code().start().task("a", Passing::Merged).task("b", Passing::Merged).stop();
    net.chain(&["start", "a", "stop"]).chain(&["start", "b", "stop"]).begin(nothing())
}

#[test]
fn a_deadline_interrupts_each_open_attempt_once_and_waits_for_them() {
    let mut run = two_branches();
    run.asked();
    run.tell(Event::Deadline);
    assert_eq!(run.asked(), ["interrupt 1", "interrupt 2"]);
    run.tell(Event::Deadline);
    run.ask_stop();
    assert_eq!(run.asked(), Vec::<String>::new());
    run.fail("a", ErrorKind::Stopped);
    assert!(run.ending.is_none());
    run.fail("b", ErrorKind::Stopped);
    assert_eq!(run.kind(), EndingKind::TimedOut, "the first reason stays");
}

#[test]
fn a_result_before_the_deadline_is_kept() {
    let mut run = two_branches();
    run.finish("a", data(&[("x", 1)]));
    run.tell(Event::Deadline);
    run.fail("b", ErrorKind::Stopped);
    assert_eq!((run.kind(), run.result()), (EndingKind::TimedOut, "x=1".to_owned()));
}

#[test]
fn a_result_after_the_deadline_triggers_nothing_and_is_no_error() {
    let mut run = two_branches();
    run.tell(Event::Deadline);
    run.asked();
    run.finish("a", data(&[("x", 1)]));
    run.finish("b", data(&[("x", 2)]));
    assert_eq!(run.asked(), Vec::<String>::new());
    assert_eq!((run.kind(), run.result(), run.errors().len()), (EndingKind::TimedOut, "none".to_owned(), 0));
}

#[test]
fn an_attempt_that_the_deadline_ended_is_listed_as_timed_out_with_what_is_known_of_it() {
    let mut run = two_branches();
    run.now = Duration::from_millis(2500);
    run.tell(Event::Deadline);
    run.now = Duration::from_millis(2600);
    let mut lost = TaskError::new(ErrorKind::WorkerLost, "killed by signal 9");
    (lost.pid, lost.stderr) = (Some(42), vec!["last words".to_owned()]);
    let attempt = run.open_of("a");
    run.open.remove(&attempt);
    run.tell(Event::Failed { attempt, error: lost });
    run.fail("b", ErrorKind::Raised);
    let told = "the attempt was still running at the run's deadline, 2.5 s after it was submitted (killed by signal 9)";
    assert_eq!(run.errors(), [format!("a TimedOut: {told}"), "b Raised: it broke".to_owned()]);
    let error = &run.ending().errors[0].error;
    assert_eq!((error.kind, error.pid, error.stderr.len()), (ErrorKind::TimedOut, Some(42), 1));
}

#[test]
fn an_attempt_that_a_stop_ended_is_listed_as_stopped() {
    let mut run = two_branches();
    run.ask_stop();
    run.fail("a", ErrorKind::WorkerLost);
    run.fail("b", ErrorKind::Stopped);
    assert_eq!(run.kind(), EndingKind::Stopped { reason: "enough".to_owned() });
    assert!(
        run.errors()
            .iter()
            .all(|error| error.contains("Stopped: the attempt was still running when the run was stopped"))
    );
}

#[test]
fn a_worker_lost_without_a_deadline_stays_a_lost_worker() {
    let mut run = two_branches();
    run.fail("a", ErrorKind::WorkerLost);
    run.tell(Event::Deadline);
    run.finish("b", nothing());
    assert_eq!((run.kind(), run.errors()), (EndingKind::TimedOut, vec!["a WorkerLost: it broke".to_owned()]));
}

#[test]
fn a_deadline_or_a_stop_with_nothing_open_ends_the_run_at_once() {
    for (event, kind) in [
        (Event::Deadline, EndingKind::TimedOut),
        (Event::StopAsked { reason: "now".to_owned() }, EndingKind::Stopped { reason: "now".to_owned() }),
    ] {
        let net = Net::code().start().fork("fork").stop().chain(&["start", "fork", "fork"]).chain(&["fork", "stop"]);
        let mut run = net.run(data(&[("x", 1)]));
        run.send(Event::Begin);
        run.send(event);
        assert_eq!((run.kind(), run.result()), (kind, "x=1".to_owned()));
        run.send(Event::Continue);
    }
}

#[test]
fn a_deadline_before_the_beginning_ends_the_run_without_running_anything() {
    let net = Net::code().start().task("a", Passing::Merged).chain(&["start", "a"]);
    let mut run = net.run(nothing());
    run.tell(Event::Deadline);
    run.tell(Event::Begin);
    assert_eq!((run.kind(), run.log.len()), (EndingKind::TimedOut, 0));
}

#[test]
fn nothing_that_comes_after_the_end_has_an_effect() {
    let mut run = two_branches();
    run.finish("a", nothing());
    run.finish("b", nothing());
    run.asked();
    run.tell(Event::Deadline);
    run.ask_stop();
    run.tell(Event::Begin);
    run.tell(Event::Continue);
    run.tell(Event::Finished { attempt: AttemptId(1), result: nothing() });
    assert_eq!((run.kind(), run.log.len()), (EndingKind::Finished, 0));
}

#[test]
fn a_deadline_drops_what_waits_for_a_merge() {
    let net = Net::code().start().task("a", Passing::Result).task("b", Passing::Result);
    let net = net.link("start", "b", optional(false)).link("a", "b", required()).chain(&["start", "a"]);
    let mut run = net.begin(data(&[("x", 1)]));
    assert_eq!(run.reactor.counts().buffered, 1);
    run.tell(Event::Deadline);
    assert_eq!(run.reactor.counts().buffered, 0);
    run.finish("a", nothing());
    assert_eq!(run.submitted(), ["a x=1"]);
}

#[test]
fn what_waits_for_a_merge_at_the_end_is_dropped_without_a_word() {
    let net =
        Net::code().start().task("a", Passing::Result).task("b", Passing::Result).stop().chain(&["start", "a", "stop"]);
    let net = net.link("start", "b", optional(false)).link("a", "b", when(required(), "x", 1));
    let mut run = net.begin(nothing());
    run.finish("a", nothing());
    assert_eq!((run.kind(), run.reactor.counts().buffered), (EndingKind::Finished, 0));
}

#[test]
fn a_cycle_that_feeds_itself_twice_is_ended_before_it_takes_all_memory() {
    let net = Net::code().start().fork("fork").task("a", Passing::Merged).chain(&["start", "a"]);
    let net = net.chain(&["start", "fork", "fork"]).chain(&["fork", "fork"]);
    let mut run = net.run_within(nothing(), Limits { under_way: 5000, ..Limits::default() });
    run.tell(Event::Begin);
    assert_eq!(run.log.last().map(String::as_str), Some("interrupt 1"));
    run.fail("a", ErrorKind::Stopped);
    assert_eq!(run.kind(), EndingKind::Failed);
    let errors = run.errors();
    assert!(errors[0].starts_with("fork TooManyTriggers: the run has more than 5000 triggers"), "{errors:?}");
    assert!(errors[1].starts_with("a Stopped: the attempt was still running when the run outgrew"), "{errors:?}");
}
