//! Time limits, the delays of retries, and the patience with interrupted attempts.

use pushflow_graph::Retries;

use super::*;

const ONE: AttemptId = AttemptId(1);
const TWO: AttemptId = AttemptId(2);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// `start` -> `a` -> `stop`; an attempt may take 10 s, and its end 5 s.
fn limited(retries: Option<Retries>) -> Run {
    let mut net = Net::code().start().task("a", Passing::Merged).stop().chain(&["start", "a", "stop"]);
    if let Some(retries) = retries {
        let a = net.graph.find("a").unwrap();
        net.graph.retry(a, retries).unwrap();
    }
    let times = Times { attempt_timeout: Some(seconds(10)), patience: seconds(5), ..times() };
    let mut run = net.run_with_times(nothing(), times);
    run.tell(Event::Begin);
    assert_eq!(run.log.remove(0), "passed start");
    run
}

impl Run {
    fn tell_at(&mut self, second: u64, event: Event) {
        self.now = seconds(second);
        self.tell(event);
    }

    fn next_tick(&self) -> Option<u64> {
        self.reactor.next_tick().map(|at| at.as_secs())
    }
}

fn started(attempt: AttemptId) -> Event {
    Event::Started { attempt, pid: 7 }
}

fn failed(attempt: AttemptId) -> Event {
    Event::Failed { attempt, error: TaskError::new(ErrorKind::Raised, "no") }
}

#[test]
fn the_limit_counts_from_the_start_and_the_patience_from_the_interrupt() {
    let mut run = limited(None);
    assert_eq!(run.next_tick(), Some(DEADLINE.as_secs()), "an attempt that waits is not late");
    run.tell_at(3, started(ONE));
    assert_eq!(run.next_tick(), Some(13));
    run.tell_at(12, Event::Tick);
    assert_eq!(run.asked(), ["submit a"]);
    run.tell_at(13, Event::Tick);
    assert_eq!((run.asked(), run.next_tick()), (vec!["interrupt 1".to_owned()], Some(18)));
    run.tell_at(18, Event::Tick);
    assert_eq!(run.asked(), ["give up 1", "failed a"]);
    assert_eq!((run.kind(), run.next_tick()), (EndingKind::Failed, None));
    let error = &run.ending().errors[0].error;
    let start =
        "the attempt ran longer than its limit of 10 s and was interrupted: the attempt was interrupted and still";
    assert!(error.message.starts_with(start), "{error}");
    assert_eq!((error.kind, error.pid), (ErrorKind::TimedOut, Some(7)));
}

#[test]
fn what_is_handed_over_before_the_tick_counts_however_late_it_is() {
    let mut run = limited(None);
    run.tell_at(0, started(ONE));
    run.tell_at(60, Event::Finished { attempt: ONE, result: data(&[("x", 1)]) });
    assert_eq!((run.kind(), run.result()), (EndingKind::Finished, "x=1".to_owned()));
}

#[test]
fn what_an_attempt_returns_after_its_limit_is_dropped() {
    let mut run = limited(None);
    run.tell_at(0, started(ONE));
    run.tell_at(10, Event::Tick);
    run.open.remove(&ONE);
    run.tell_at(11, Event::Finished { attempt: ONE, result: data(&[("x", 1)]) });
    let message =
        "the attempt ran longer than its limit of 10 s and was interrupted: what it returned after that was dropped";
    assert_eq!((run.kind(), run.errors()), (EndingKind::Failed, vec![format!("a TimedOut: {message}")]));
}

#[test]
fn an_attempt_that_waits_again_has_all_its_time_when_it_starts_again() {
    let mut run = limited(None);
    run.tell_at(0, started(ONE));
    run.tell_at(9, Event::Requeued { attempt: ONE });
    assert_eq!(run.reactor.attempts().next().unwrap().running, None, "it waits");
    run.tell_at(20, Event::Tick);
    assert_eq!(run.asked(), ["submit a"], "it is not late while it waits");
    run.tell_at(30, started(ONE));
    assert_eq!(run.next_tick(), Some(40));
}

#[test]
fn an_attempt_that_is_late_when_the_run_is_stopped_is_interrupted_once() {
    let mut run = limited(None);
    run.tell_at(0, started(ONE));
    run.tell_at(10, Event::Tick);
    run.tell_at(11, Event::StopAsked { reason: "enough".to_owned() });
    assert_eq!((run.asked(), run.next_tick()), (vec!["submit a".to_owned(), "interrupt 1".to_owned()], Some(15)));
    run.tell_at(15, Event::Tick);
    assert_eq!(run.kind(), EndingKind::Stopped { reason: "enough".to_owned() });
}

#[test]
fn an_attempt_that_starts_after_its_interrupt_is_not_interrupted_again() {
    let mut run = limited(None);
    run.tell_at(1, Event::StopAsked { reason: "enough".to_owned() });
    run.tell_at(2, started(ONE));
    assert_eq!((run.asked(), run.next_tick()), (vec!["submit a".to_owned(), "interrupt 1".to_owned()], Some(6)));
    let status = run.reactor.attempts().next().unwrap();
    assert!(status.interrupted && status.running.is_some_and(|running| running.pid == 7));
}

#[test]
fn a_kill_ends_the_patience_with_what_was_interrupted_before() {
    let mut run = limited(None);
    run.tell_at(0, started(ONE));
    run.tell_at(10, Event::Tick);
    run.asked();
    run.tell_at(11, Event::KillAsked);
    assert_eq!(run.next_tick(), Some(11));
    run.tell_at(11, Event::Tick);
    assert_eq!(run.asked(), ["give up 1", "failed a"]);
    assert_eq!(run.kind(), EndingKind::Stopped { reason: "killed".to_owned() });
}

#[test]
fn an_attempt_that_was_given_up_may_still_end_without_effect() {
    let mut net = Net::code().start().task("a", Passing::Merged).task("b", Passing::Merged).stop();
    net = net.chain(&["start", "a", "stop"]).chain(&["start", "b", "stop"]);
    let times = Times { attempt_timeout: Some(seconds(10)), patience: seconds(5), ..times() };
    let mut run = net.run_with_times(nothing(), times);
    run.tell(Event::Begin);
    run.tell_at(0, started(ONE));
    run.tell_at(10, Event::Tick);
    run.tell_at(15, Event::Tick);
    run.tell_at(16, Event::Finished { attempt: ONE, result: data(&[("x", 1)]) });
    assert_eq!(run.reactor.counts().ignored, 1);
    run.finish("b", nothing());
    assert_eq!((run.kind(), run.errors().len()), (EndingKind::Failed, 1));
}

#[test]
fn a_retry_is_submitted_when_its_delay_is_over() {
    let mut run = limited(Some(Retries::default().with_errors(1).with_delay(seconds(3))));
    run.open.remove(&ONE);
    run.tell_at(2, failed(ONE));
    assert_eq!((run.asked(), run.next_tick()), (vec!["submit a".to_owned(), "handled a".to_owned()], Some(5)));
    run.tell_at(4, Event::Tick);
    assert_eq!(run.asked(), Vec::<String>::new());
    run.tell_at(5, Event::Tick);
    assert_eq!(run.asked(), ["submit a"]);
    assert_eq!(run.open.keys().copied().collect::<Vec<_>>(), [TWO]);
    run.tell_at(6, started(TWO));
    assert_eq!(run.next_tick(), Some(16));
    run.finish("a", nothing());
    assert_eq!(run.kind(), EndingKind::Finished);
}

#[test]
fn a_retry_that_waits_ends_at_once_when_the_run_is_stopped() {
    let mut run = limited(Some(Retries::default().with_errors(1).with_delay(seconds(3600))));
    run.open.remove(&ONE);
    run.tell_at(2, failed(ONE));
    assert_eq!(run.reactor.attempts().count(), 1);
    run.ask_stop();
    assert_eq!(run.asked(), ["submit a", "handled a", "failed a"], "no pool has heard of it");
    let message = "the retry was still waiting for its delay when the run was stopped";
    assert_eq!(run.errors(), [format!("a Stopped: {message}")]);
}

#[test]
fn each_further_delay_is_longer_and_a_part_of_it_is_left_to_chance() {
    let retries = Retries::default().with_errors(3).with_delay(seconds(8)).with_backoff(2.0).with_jitter(0.5);
    let waits = |seed| {
        let mut net = Net::code().start().task("a", Passing::Merged).chain(&["start", "a"]);
        let a = net.graph.find("a").unwrap();
        net.graph.retry(a, retries).unwrap();
        let mut run = Run::new(Reactor::new(Arc::new(net.graph), nothing(), Limits::default()).with_seed(seed));
        run.tell(Event::Begin);
        let mut waits = Vec::new();
        for _ in 0..3 {
            let failing = *run.open.keys().next().expect("it was submitted");
            run.open.remove(&failing);
            run.tell(failed(failing));
            let due = run.reactor.next_tick().expect("it waits");
            waits.push(due - run.now);
            run.now = due;
            run.tell(Event::Tick);
        }
        waits
    };
    let waited = waits(1);
    for (wait, longest) in waited.iter().zip([8, 16, 32]) {
        assert!(*wait > seconds(longest / 2) && *wait < seconds(longest), "{waited:?}");
    }
    assert_eq!(waited, waits(1), "it follows from the seed");
    assert_ne!(waited, waits(2));
}

#[test]
fn the_patience_of_an_actor_wins_over_that_of_all() {
    let net = Net::code().start().task("a", Passing::Merged).chain(&["start", "a"]);
    let a = net.graph.find("a").unwrap();
    let times = Times { patience: seconds(5), patience_of: [(a, seconds(50))].into(), ..times() };
    let mut run = net.run_with_times(nothing(), times);
    run.tell(Event::Begin);
    run.ask_stop();
    assert_eq!(run.next_tick(), Some(50));
}

#[test]
fn a_limit_beyond_the_clock_is_none() {
    let net = Net::code().start().task("a", Passing::Merged).chain(&["start", "a"]);
    let times = Times { attempt_timeout: Some(Duration::MAX), patience: Duration::MAX, deadline: None, ..times() };
    let mut run = net.run_with_times(nothing(), times);
    run.tell(Event::Begin);
    run.tell_at(1, started(ONE));
    assert_eq!(run.next_tick(), None);
}
