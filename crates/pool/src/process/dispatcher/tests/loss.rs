//! Workers that do not start, die, or can't be ended.

use super::*;

#[test]
fn an_idle_worker_gets_the_attempt_and_another_is_started_for_the_next() {
    let mut pool = TestPool::open(rules());
    assert_eq!(summary(&pool.submit([1])), ["1 started in 1001", "run 1 on 1"]);
    assert_eq!(summary(&pool.submit([2])), ["start 2"]);
    assert_eq!(summary(&pool.ready(2)), ["worker 1002 started", "2 started in 1002", "run 2 on 2"]);
}

#[test]
fn without_scaling_all_workers_are_there_from_the_start_and_stay() {
    let mut pool = TestPool::open(Rules { scaling: false, ..rules() });
    pool.ready(2);
    assert_eq!(pool.dispatcher.workers(), 2);
    assert_eq!(summary(&pool.pass(Duration::from_secs(3600))), [""; 0]);
}

#[test]
fn a_worker_that_dies_takes_its_own_attempt_with_it_and_no_other() {
    let mut pool = TestPool::open(rules());
    pool.submit([1, 2, 3]);
    pool.ready(2);
    pool.prints(1, 1, "about to crash\n");
    let actions = pool.dies(1, 1, Exit::Signal(11));
    let lost = error(&actions);
    assert_eq!(lost.kind, ErrorKind::WorkerLost);
    assert_eq!(lost.message, "the worker process (pid 1001) was killed by signal 11 (SIGSEGV)");
    assert_eq!(lost.stderr, ["about to crash"]);
    assert_eq!(lost.pid, Some(1001));
    let summary = summary(&actions);
    assert!(summary.contains(&"start 3".to_owned()), "the slot is filled again: {summary:?}");
    assert!(!summary.iter().any(|action| action.starts_with("2 ") || action.starts_with("3 failed")));
}

#[test]
fn a_kill_from_outside_is_said_to_be_one_with_the_memory_in_use() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    let actions = pool.dies(1, 1, Exit::Signal(9));
    let message = &error(&actions).message;
    assert_eq!(
        message,
        "the worker process (pid 1001) was killed by signal 9 (SIGKILL), with 2 MiB in use: killed from outside, or out \
         of memory"
    );
}

#[test]
fn a_result_that_was_sent_before_the_death_counts() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    let worker = WorkerId(1);
    pool.on(Event::Exited { worker, exit: Exit::Code(0), peak_memory_kib: 0, begun: Some(AttemptId(1)) });
    pool.on(Event::OutputDrained { worker });
    assert_eq!(summary(&pool.finish(1, 1))[0], "1 finished");
    let rest = summary(&pool.on(Event::ChannelClosed { worker, garbage: None }));
    assert!(!rest.iter().any(|action| action.contains("failed")), "{rest:?}");
}

#[test]
fn a_channel_that_stays_open_after_the_death_is_not_waited_for_longer_than_two_seconds() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    let worker = WorkerId(1);
    pool.on(Event::Exited { worker, exit: Exit::Code(3), peak_memory_kib: 0, begun: Some(AttemptId(1)) });
    pool.on(Event::OutputDrained { worker });
    assert_eq!(summary(&pool.pass(Duration::from_millis(1999))), [""; 0]);
    assert_eq!(summary(&pool.pass(Duration::from_millis(1)))[0], "1 failed: WorkerLost");
}

#[test]
fn a_worker_that_sends_garbage_is_ended_and_its_attempt_says_why() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    let closed = Event::ChannelClosed { worker: WorkerId(1), garbage: Some("9 bytes of garbage".into()) };
    assert_eq!(summary(&pool.on(closed)), ["end 1"]);
    let actions = pool.dies(1, 1, Exit::Signal(9));
    assert_eq!(error(&actions).message, "the worker process (pid 1001) was ended: 9 bytes of garbage");
}

#[test]
fn a_worker_whose_keeper_reports_nothing_is_named_by_its_own_pid() {
    let mut pool = TestPool::open(rules());
    pool.submit([1, 2]);
    let actions = pool.on(Event::Ready { worker: WorkerId(2), pid: 1002 });
    assert_eq!(summary(&actions), ["worker 1002 started", "2 started in 1002", "run 2 on 2"]);
    let actions = pool.dies(2, 2, Exit::Unknown);
    assert_eq!(error(&actions).pid, Some(1002));
    assert!(error(&actions).message.contains("(pid 1002)"), "{}", error(&actions).message);
}

#[test]
fn a_worker_that_is_ready_after_its_exit_is_not_reported_as_started() {
    let mut pool = TestPool::open(rules());
    pool.submit([1, 2]);
    let (worker, pid) = (WorkerId(2), 1002);
    pool.on(Event::Started { worker, pid });
    let ended = pool.on(Event::Exited { worker, exit: Exit::Signal(9), peak_memory_kib: 0, begun: None });
    assert!(summary(&ended).contains(&"worker 1002 ended".to_owned()), "{ended:?}");
    let ready = pool.on(Event::Ready { worker, pid });
    assert!(!summary(&ready).contains(&"worker 1002 started".to_owned()), "{ready:?}");
}

#[test]
fn an_idle_worker_that_dies_is_no_error() {
    let mut pool = TestPool::open(rules());
    assert_eq!(summary(&pool.dies(1, 0, Exit::Signal(9))), ["drain 1", "worker 1001 ended"]);
    assert_eq!(summary(&pool.submit([1])), ["start 2"]);
}

#[test]
fn an_attempt_behind_another_has_started_when_that_one_has_ended() {
    let mut pool = short_attempts(1, 2);
    assert_eq!(summary(&pool.finish(1, 2)), ["2 finished", "3 started in 1001"]);
    assert_eq!(summary(&pool.finish(1, 3)), ["3 finished"]);
}

#[test]
fn what_a_dead_worker_had_not_begun_is_run_by_another_in_the_same_order() {
    let mut pool = short_attempts(1, 3);
    let actions = pool.dies(1, 3, Exit::Signal(11));
    let failed: Vec<String> = summary(&actions).into_iter().filter(|action| action.contains("failed")).collect();
    assert_eq!(failed, ["2 failed: WorkerLost", "3 failed: WorkerLost"], "it had begun the second of them");
    assert_eq!(summary(&pool.ready(2)), ["worker 1002 started", "4 started in 1002", "run 4 on 2"]);
}

#[test]
fn what_waits_behind_a_long_attempt_is_asked_back_for_a_worker_that_is_then_started() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    pool.finish(1, 1);
    pool.submit([2, 3, 4]);
    assert_eq!(summary(&pool.pass(Duration::from_millis(1))), ["ask back 4 from 1"]);
    let back = Event::GivenBack { worker: WorkerId(1), attempts: vec![AttemptId(4)] };
    assert_eq!(summary(&pool.on(back)), ["start 2"]);
    assert_eq!(summary(&pool.ready(2))[1..], ["4 started in 1002", "run 4 on 2"]);
}

#[test]
fn no_attempt_is_assigned_to_an_idle_worker_that_has_died() {
    let mut pool = TestPool::open(rules());
    let exited = Event::Exited { worker: WorkerId(1), exit: Exit::Signal(9), peak_memory_kib: 0, begun: None };
    pool.on(exited);
    assert_eq!(summary(&pool.submit([1])), ["start 2"]);
}

#[test]
fn three_workers_that_never_get_ready_break_the_pool_with_what_the_last_one_said() {
    let mut pool = TestPool { dispatcher: Dispatcher::new(rules()), now: Instant::now(), actions: Vec::new() };
    pool.dispatcher.open(pool.now, &mut pool.actions);
    for worker in 1..=2 {
        pool.on(Event::Started { worker: WorkerId(worker), pid: 1000 + worker as u32 });
        let actions = summary(&pool.dies(worker, 0, Exit::Code(127)));
        assert!(actions.contains(&format!("start {}", worker + 1)), "another is tried: {actions:?}");
    }
    pool.submit([1]);
    pool.on(Event::Started { worker: WorkerId(3), pid: 1003 });
    pool.prints(3, 0, "cannot open shared object\n");
    let actions = pool.dies(3, 0, Exit::Code(127));
    assert_eq!(
        error(&actions).message,
        "a worker could not be started: it exited with code 127 before it was ready; it said: cannot open shared object"
    );
    assert!(summary(&actions).contains(&"broken".to_owned()));
    assert_eq!(summary(&pool.submit([2])), ["2 failed: WorkerLost"]);
}

#[test]
fn a_closed_pool_whose_workers_never_get_ready_gives_up_what_was_submitted() {
    let mut pool = TestPool { dispatcher: Dispatcher::new(rules()), now: Instant::now(), actions: Vec::new() };
    pool.dispatcher.open(pool.now, &mut pool.actions);
    pool.submit([1]);
    pool.on(Event::Close);
    let mut actions = Vec::new();
    for worker in 1..=3 {
        pool.on(Event::Started { worker: WorkerId(worker), pid: 1000 + worker as u32 });
        actions = pool.dies(worker, 0, Exit::Code(127));
    }
    assert!(error(&actions).message.contains("exited with code 127 before it was ready"));
    assert!(pool.dispatcher.is_over());
}

#[test]
fn a_worker_that_takes_too_long_to_start_is_ended() {
    let mut pool = TestPool {
        dispatcher: Dispatcher::new(Rules { max_workers: 1, ..rules() }),
        now: Instant::now(),
        actions: Vec::new(),
    };
    pool.dispatcher.open(pool.now, &mut pool.actions);
    pool.on(Event::Started { worker: WorkerId(1), pid: 1001 });
    assert_eq!(summary(&pool.pass(Duration::from_secs(30))), ["end 1"]);
    assert_eq!(summary(&pool.pass(Duration::from_secs(9))), [""; 0], "once");
}

#[test]
fn a_worker_that_cannot_be_ended_is_given_up_and_replaced() {
    let mut pool = TestPool::open(Rules { max_workers: 1, ..rules() });
    pool.submit([1, 2]);
    pool.on(Event::Interrupt(AttemptId(1)));
    pool.pass(Duration::from_secs(2));
    assert_eq!(summary(&pool.pass(Duration::from_millis(50))), ["end 1"]);
    let actions = pool.pass(Duration::from_secs(10));
    assert_eq!(summary(&actions), ["1 failed: Stopped", "start 2"]);
    assert!(error(&actions).message.contains("it could not be ended within 10 s"), "{}", error(&actions).message);
    assert_eq!(summary(&pool.ready(2)), ["worker 1002 started", "2 started in 1002", "run 2 on 2"]);
    assert_eq!(summary(&pool.dies(1, 1, Exit::Signal(9))), [""; 0], "its end at last is no news");
}

#[test]
fn the_loss_of_the_guardian_fails_everything_loudly() {
    let mut pool = TestPool::open(rules());
    pool.submit([1, 2, 3]);
    let actions = pool.on(Event::GuardianLost { pid: 77 });
    let failed = summary(&actions).iter().filter(|action| action.contains("failed: WorkerLost")).count();
    assert_eq!(failed, 3);
    assert!(error(&actions).message.starts_with("the guardian (pid 77) has ended"));
}

#[test]
fn a_pool_that_can_start_no_more_workers_goes_on_with_those_that_serve_and_tries_again_later() {
    let mut pool = TestPool::open(Rules { max_workers: 4, ..rules() });
    let refuse = |pool: &mut TestPool, worker: u64| {
        let reason = "there may be no more processes".to_owned();
        pool.on(Event::Refused { worker: WorkerId(worker), reason, fatal: false });
        summary(&pool.on(Event::Reaped { worker: WorkerId(worker) }))
    };
    assert_eq!(summary(&pool.submit([1, 2])), ["1 started in 1001", "run 1 on 1", "start 2"]);
    assert_eq!(refuse(&mut pool, 2), ["start 3"]);
    assert_eq!(refuse(&mut pool, 3), ["start 4"]);
    assert_eq!(refuse(&mut pool, 4), [""; 0], "the second waits for the worker that serves");
    assert_eq!(pool.dispatcher.next_tick(), Some(pool.now + Duration::from_secs(1)));
    assert_eq!(summary(&pool.pass(Duration::from_secs(1))), ["start 5"]);
    // While the worker starts, no tick is due at a time that has passed.
    assert!(pool.dispatcher.next_tick().is_some_and(|at| at > pool.now));
    pool.ready(5);
    assert_eq!(summary(&pool.submit([3])), ["start 6"], "it is as if nothing had been");
}

#[test]
fn what_waits_behind_attempts_that_end_their_workers_one_after_the_other_is_not_lost_with_them() {
    let mut pool = short_attempts(1, 6);
    for (worker, crashes) in [(1, 2), (2, 3), (3, 4), (4, 5)] {
        let failed = |actions: &[Action]| summary(actions).into_iter().filter(|it| it.contains("failed")).count();
        assert_eq!(failed(&pool.dies(worker, crashes, Exit::Signal(11))), 1, "only {crashes}");
        pool.ready(worker + 1);
    }
    assert_eq!(summary(&pool.finish(5, 6))[0], "6 finished");
}

#[test]
fn a_worker_that_nothing_can_be_sent_to_is_ended_and_read_until_its_end() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    let (worker, reason) = (WorkerId(1), "nothing can be sent to it (no buffer)".to_owned());
    let ends = pool.on(Event::Unreachable { worker, reason });
    assert_eq!(summary(&ends), ["end 1"]);
    pool.on(Event::Exited { worker, exit: Exit::Signal(9), peak_memory_kib: 0, begun: Some(AttemptId(1)) });
    pool.on(Event::OutputDrained { worker });
    assert_eq!(summary(&pool.finish(1, 1))[0], "1 finished", "it was under route");
}

#[test]
fn a_worker_that_has_run_as_many_attempts_as_it_may_goes_on_while_no_other_can_be_started() {
    let mut pool = TestPool::open(Rules { max_workers: 2, max_tasks: 2, ..rules() });
    pool.submit([1, 2]);
    for worker in 2..=4 {
        let reason = "there may be no more processes".to_owned();
        pool.on(Event::Refused { worker: WorkerId(worker), reason, fatal: false });
        pool.on(Event::Reaped { worker: WorkerId(worker) });
    }
    pool.finish(1, 1);
    assert_eq!(summary(&pool.finish(1, 2)), ["2 finished"]);
    assert_eq!(summary(&pool.submit([3])), ["3 started in 1001", "run 3 on 1"]);
}
