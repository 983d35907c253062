//! Workers that a signal stops.

use super::*;

#[test]
fn a_stopped_worker_is_reported_with_its_attempt_and_gets_no_more_attempts() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    let (worker, pid) = (WorkerId(1), 1001);
    assert_eq!(summary(&pool.on(Event::Stopped { worker, pid, signal: 19 })), ["1 stopped in 1001 by 19"]);
    assert_eq!(summary(&pool.submit([2])), ["start 2"]);
    assert_eq!(summary(&pool.on(Event::Continued { worker, pid })), ["1 goes on in 1001"]);
    assert_eq!(summary(&pool.finish(1, 1)), ["1 finished", "2 started in 1001", "run 2 on 1"]);
}

#[test]
fn a_process_that_works_for_an_attempt_and_is_stopped_is_reported_with_it() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    let worker = WorkerId(1);
    assert_eq!(summary(&pool.on(Event::Stopped { worker, pid: 77, signal: 19 })), ["1 stopped in 77 by 19"]);
    assert_eq!(summary(&pool.on(Event::Continued { worker, pid: 77 })), ["1 goes on in 77"]);
    assert_eq!(summary(&pool.finish(1, 1)), ["1 finished"]);
    assert_eq!(summary(&pool.submit([2])), ["2 started in 1001", "run 2 on 1"]);
}

#[test]
fn an_idle_worker_that_is_stopped_is_ended_and_replaced() {
    let mut pool = TestPool::open(Rules { max_workers: 1, ..rules() });
    let stopped = Event::Stopped { worker: WorkerId(1), pid: 1001, signal: 19 };
    assert_eq!(summary(&pool.on(stopped)), ["end 1"]);
    pool.submit([1]);
    pool.submit([1]);
    assert_eq!(summary(&pool.dies(1, 0, Exit::Signal(9))), ["drain 1", "worker 1001 ended", "start 2"]);
}

#[test]
fn a_worker_whose_last_answer_comes_after_it_was_stopped_is_ended_too() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    pool.on(Event::Stopped { worker: WorkerId(1), pid: 1001, signal: 19 });
    assert_eq!(summary(&pool.finish(1, 1)), ["1 finished", "end 1"]);
}

#[test]
fn what_is_given_back_to_a_broken_pool_fails_when_no_worker_is_left() {
    let mut pool = TestPool::open(Rules { max_workers: 2, ..rules() });
    pool.submit([1]);
    pool.finish(1, 1);
    pool.submit([2, 3]);
    pool.pass(Duration::from_millis(1));
    let refused = Event::Refused { worker: WorkerId(2), reason: "it is of another build".into(), fatal: true };
    pool.submit([4]);
    pool.on(refused);
    pool.on(Event::GivenBack { worker: WorkerId(1), attempts: vec![AttemptId(3)] });
    let actions = pool.dies(1, 2, Exit::Signal(9));
    assert!(summary(&actions).iter().any(|action| action.starts_with("3 failed")), "{:?}", summary(&actions));
    assert_eq!(pool.dispatcher.queue.len(), 0);
}

#[test]
fn the_start_of_the_attempt_behind_one_that_was_given_back_is_reported() {
    let mut pool = TestPool::open(Rules { max_workers: 2, scaling: false, ..rules() });
    pool.submit([1]);
    pool.finish(1, 1);
    pool.submit([2, 3]);
    pool.ready(2);
    pool.pass(Duration::from_millis(1));
    pool.submit([4]);
    pool.finish(1, 2);
    pool.submit([5]);
    pool.submit([6]);
    pool.finish(2, 4);
    let actions = pool.on(Event::GivenBack { worker: WorkerId(1), attempts: vec![AttemptId(3)] });
    assert!(summary(&actions).iter().any(|action| action.contains("5 started")), "{:?}", summary(&actions));
}

#[test]
fn the_loss_of_the_guardian_leaves_answers_as_they_were() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    let (worker, attempt) = (WorkerId(1), AttemptId(1));
    pool.on(Event::Finished { worker, attempt, result: Data::new(), marked: true });
    let actions = pool.on(Event::GuardianLost { pid: 7 });
    assert!(summary(&actions).iter().any(|action| action == "1 finished"), "{:?}", summary(&actions));
}

#[test]
fn a_dead_worker_whose_output_is_never_read_is_settled_after_a_while() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    let worker = WorkerId(1);
    pool.on(Event::Exited { worker, exit: Exit::Signal(11), peak_memory_kib: 0, begun: Some(AttemptId(1)) });
    pool.on(Event::ChannelClosed { worker, garbage: None });
    pool.on(Event::Reaped { worker });
    let actions = pool.pass(Duration::from_secs(10));
    assert!(error(&actions).message.contains("signal 11"), "{:?}", error(&actions));
}

#[test]
fn the_interrupt_of_an_attempt_that_waits_behind_another_ends_no_worker() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    pool.finish(1, 1);
    pool.submit([2, 3]);
    pool.on(Event::Interrupt(AttemptId(3)));
    let actions = pool.pass(Duration::from_secs(3600));
    assert!(!summary(&actions).iter().any(|action| action.contains("SIGTERM")), "{:?}", summary(&actions));
    // The attempt has its grace from its turn on.
    pool.finish(1, 2);
    assert_eq!(summary(&pool.pass(rules().interrupt_grace)), ["SIGTERM to 1"]);
}

#[test]
fn workers_of_a_fixed_pool_stay_however_long_they_are_idle() {
    let idle_timeout = Duration::from_millis(50);
    let mut pool = TestPool::open(Rules { max_workers: 2, scaling: false, idle_timeout, ..rules() });
    pool.ready(2);
    pool.submit([1]);
    let (worker, attempt) = (WorkerId(1), AttemptId(1));
    pool.on(Event::Failed { worker, attempt, error: TaskError::new(ErrorKind::Raised, "no"), marked: true });
    let actions = pool.pass(Duration::from_secs(5));
    assert!(!summary(&actions).iter().any(|action| action.contains("dismiss")), "{:?}", summary(&actions));
}

#[test]
fn the_last_worker_of_a_pool_needs_no_look_at_the_time() {
    let mut pool = TestPool::open(Rules { idle_timeout: Duration::ZERO, ..rules() });
    pool.submit([1]);
    pool.finish(1, 1);
    assert_eq!(pool.dispatcher.next_tick(), None);
}
