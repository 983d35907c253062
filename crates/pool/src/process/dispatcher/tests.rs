//! The dispatcher without a process: a test pool sends it events, and looks at the actions that it asks for.

mod after_exit;
mod checked_pool;
mod exit;
mod fake_worker;
mod loss;
mod random;
mod stop;

use std::sync::Arc;
use std::time::Duration;

use pushflow_model::{Data, TaskSpec};

use super::*;
use crate::attempt::Stream;

pub(super) fn rules() -> Rules {
    Rules {
        max_workers: 2,
        scaling: true,
        interrupt_grace: Duration::from_secs(2),
        idle_timeout: Duration::from_secs(10),
        max_tasks: usize::MAX,
        start_timeout: Duration::from_secs(30),
        interpreter: None,
        wait_on_exit: true,
        interrupt_on_exit: false,
        max_losses_before_start: 3,
    }
}

pub(super) fn attempt(id: u64) -> Attempt {
    let task = Arc::new(TaskSpec::rust("task"));
    Attempt { id: AttemptId(id), actor: "actor".into(), task, inputs: Data::new() }
}

struct TestPool {
    dispatcher: Dispatcher,
    now: Instant,
    actions: Vec<Action>,
}

impl TestPool {
    /// An open pool with one worker that is ready.
    fn open(rules: Rules) -> TestPool {
        let mut pool = TestPool { dispatcher: Dispatcher::new(rules), now: Instant::now(), actions: Vec::new() };
        pool.dispatcher.open(pool.now, &mut pool.actions);
        pool.ready(1);
        pool.actions.clear();
        pool
    }

    /// Handles an event, and returns the actions that follow.
    fn on(&mut self, event: Event) -> Vec<Action> {
        self.dispatcher.on(event, self.now, &mut self.actions);
        std::mem::take(&mut self.actions)
    }

    fn submit(&mut self, ids: impl IntoIterator<Item = u64>) -> Vec<Action> {
        self.on(Event::Submit(ids.into_iter().map(attempt).collect()))
    }

    fn ready(&mut self, worker: u64) -> Vec<Action> {
        let (worker, pid) = (WorkerId(worker), 1000 + worker as u32);
        self.on(Event::Started { worker, pid });
        self.on(Event::Ready { worker, pid })
    }

    fn finish(&mut self, worker: u64, attempt: u64) -> Vec<Action> {
        let (worker, attempt) = (WorkerId(worker), AttemptId(attempt));
        self.on(Event::Finished { worker, attempt, result: Data::new(), marked: false })
    }

    fn prints(&mut self, worker: u64, attempt: u64, text: &str) -> Vec<Action> {
        let (worker, bytes) = (WorkerId(worker), text.as_bytes().to_vec());
        let attempt = Some(AttemptId(attempt)).filter(|attempt| attempt.0 > 0);
        self.on(Event::Output { worker, stream: Stream::Stderr, attempt, bytes })
    }

    /// The output of the attempt has been read to its end, on both streams.
    fn output_ends(&mut self, worker: u64, attempt: u64) -> Vec<Action> {
        let (worker, attempt) = (WorkerId(worker), AttemptId(attempt));
        let mut actions = self.on(Event::OutputEnd { worker, stream: Stream::Stdout, attempt });
        actions.extend(self.on(Event::OutputEnd { worker, stream: Stream::Stderr, attempt }));
        actions
    }

    /// The worker's process exits after it started this attempt (0: none), and all events of its end arrive. Returns
    /// the actions that follow.
    fn dies(&mut self, worker: u64, begun: u64, exit: Exit) -> Vec<Action> {
        let worker = WorkerId(worker);
        let begun = Some(AttemptId(begun)).filter(|begun| begun.0 > 0);
        let mut actions = self.on(Event::Exited { worker, exit, peak_memory_kib: 2048, begun });
        actions.extend(self.on(Event::ChannelClosed { worker, garbage: None }));
        actions.extend(self.on(Event::OutputDrained { worker }));
        actions.extend(self.on(Event::Reaped { worker }));
        actions
    }

    fn pass(&mut self, time: Duration) -> Vec<Action> {
        self.now += time;
        self.on(Event::Tick)
    }
}

/// The actions in a few words each, in their order.
fn summary(actions: &[Action]) -> Vec<String> {
    actions
        .iter()
        .map(|action| match action {
            Action::Start(worker) => format!("start {}", worker.0),
            Action::Run { worker, attempts } => {
                format!("run {} on {}", ids(attempts.iter().map(|attempt| attempt.id)), worker.0)
            }
            Action::AskBack { worker, attempts } => {
                format!("ask back {} from {}", ids(attempts.iter().copied()), worker.0)
            }
            Action::Interrupt { worker, attempt } => format!("interrupt {attempt} on {}", worker.0),
            Action::Dismiss(worker) => format!("dismiss {}", worker.0),
            Action::Signal(worker, signal) => format!("{signal} to {}", worker.0),
            Action::End(worker) => format!("end {}", worker.0),
            Action::DrainOutput(worker) => format!("drain {}", worker.0),
            Action::Report(event) => match event {
                PoolEvent::Started { attempt, pid } => format!("{attempt} started in {pid}"),
                PoolEvent::Requeued { attempt } => format!("{attempt} waits again"),
                PoolEvent::Output { attempt, .. } => format!("output of {}", attempt.map_or(0, |attempt| attempt.0)),
                PoolEvent::Finished { attempt, .. } => format!("{attempt} finished"),
                PoolEvent::Failed { attempt, error } => format!("{attempt} failed: {:?}", error.kind),
                PoolEvent::WorkerStarted { pid } => format!("worker {pid} started"),
                PoolEvent::WorkerEnded { pid, .. } => format!("worker {pid} ended"),
                PoolEvent::ProcessStopped { attempt, pid, signal } => format!("{attempt} stopped in {pid} by {signal}"),
                PoolEvent::ProcessContinued { attempt, pid } => format!("{attempt} goes on in {pid}"),
                PoolEvent::Blocked { .. } => unreachable!("that is for green tasks only"),
                PoolEvent::Broken { .. } => "broken".to_owned(),
            },
        })
        .collect()
}

fn ids(attempts: impl Iterator<Item = AttemptId>) -> String {
    attempts.map(|attempt| attempt.to_string()).collect::<Vec<_>>().join("+")
}

/// The error with which an attempt failed.
fn error(actions: &[Action]) -> &TaskError {
    actions
        .iter()
        .find_map(|action| match action {
            Action::Report(PoolEvent::Failed { error, .. }) => Some(error),
            _ => None,
        })
        .expect("an attempt failed")
}

#[test]
fn there_are_never_more_workers_than_allowed() {
    let mut pool = TestPool::open(rules());
    let started = summary(&pool.submit(1..=100)).iter().filter(|action| action.starts_with("start ")).count();
    assert_eq!(started, 1, "one was there, two are allowed");
    assert_eq!(pool.dispatcher.workers(), 2);
}

#[test]
fn a_worker_that_stays_idle_leaves_but_the_last_one() {
    let mut pool = TestPool::open(rules());
    pool.submit([1, 2]);
    pool.ready(2);
    pool.finish(1, 1);
    pool.finish(2, 2);
    assert_eq!(summary(&pool.pass(Duration::from_secs(10))), ["dismiss 1", "dismiss 2"][..1]);
}

#[test]
fn a_result_that_is_on_its_way_when_its_worker_is_reaped_counts() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    let worker = WorkerId(1);
    pool.on(Event::Exited { worker, exit: Exit::Code(0), peak_memory_kib: 0, begun: Some(AttemptId(1)) });
    pool.on(Event::OutputDrained { worker });
    assert_eq!(summary(&pool.on(Event::Reaped { worker })), [""; 0]);
    assert_eq!(summary(&pool.finish(1, 1)), ["1 finished"]);
}

#[test]
fn an_interrupt_is_followed_by_sigterm_and_then_by_the_end_of_the_worker() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    assert_eq!(summary(&pool.on(Event::Interrupt(AttemptId(1)))), ["interrupt 1 on 1"]);
    assert_eq!(summary(&pool.on(Event::Interrupt(AttemptId(1)))), [""; 0], "once is enough");
    assert_eq!(summary(&pool.pass(Duration::from_secs(2))), ["SIGTERM to 1"]);
    assert_eq!(summary(&pool.pass(Duration::from_millis(50))), ["end 1"]);
    let actions = pool.dies(1, 1, Exit::Signal(9));
    assert_eq!(error(&actions).kind, ErrorKind::Stopped);
}

#[test]
fn an_attempt_that_waits_fails_at_once_when_interrupted_and_never_starts() {
    let mut pool = TestPool::open(Rules { max_workers: 1, ..rules() });
    pool.submit([1, 2]);
    assert_eq!(summary(&pool.on(Event::Interrupt(AttemptId(2)))), ["2 failed: Stopped"]);
    assert_eq!(summary(&pool.finish(1, 1)), ["1 finished"]);
}

#[test]
fn the_report_of_a_failure_waits_for_the_last_lines_but_not_for_long() {
    let fail = |pool: &mut TestPool| {
        pool.submit([1]);
        let error = TaskError::new(ErrorKind::Raised, "no");
        pool.on(Event::Failed { worker: WorkerId(1), attempt: AttemptId(1), error, marked: true })
    };
    let mut pool = TestPool::open(rules());
    assert_eq!(summary(&fail(&mut pool)), [""; 0]);
    pool.prints(1, 1, "the reason\n");
    assert_eq!(error(&pool.output_ends(1, 1)).stderr, ["the reason"]);

    let mut pool = TestPool::open(rules());
    fail(&mut pool);
    assert_eq!(summary(&pool.pass(Duration::from_secs(5))), ["1 failed: Raised"]);
}

#[test]
fn last_lines_that_were_read_before_the_failure_was_reported_are_not_lost() {
    let mut pool = TestPool::open(Rules { max_workers: 1, ..rules() });
    pool.submit([1, 2]);
    pool.prints(1, 1, "the reason\n");
    pool.output_ends(1, 1);
    pool.prints(1, 2, "of the next\n");
    let (worker, attempt) = (WorkerId(1), AttemptId(1));
    let actions =
        pool.on(Event::Failed { worker, attempt, error: TaskError::new(ErrorKind::Raised, "no"), marked: true });
    assert_eq!(error(&actions).stderr, ["the reason"]);
}

#[test]
fn a_result_is_reported_after_the_output_of_its_attempt_and_the_worker_goes_on_meanwhile() {
    let mut pool = TestPool::open(Rules { max_workers: 1, ..rules() });
    pool.submit([1, 2]);
    let (worker, attempt) = (WorkerId(1), AttemptId(1));
    let finished = Event::Finished { worker, attempt, result: Data::new(), marked: true };
    assert_eq!(summary(&pool.on(finished)), ["run 2 on 1"]);
    assert_eq!(summary(&pool.prints(1, 1, "late")), ["output of 1"]);
    // No worker seems to run two attempts at a time.
    assert_eq!(summary(&pool.output_ends(1, 1)), ["1 finished", "2 started in 1001"]);
}

/// A pool in which attempts are known to be short. `count` attempts, from 2 on, are assigned to the one worker that is
/// ready.
fn short_attempts(max_workers: usize, count: u64) -> TestPool {
    let mut pool = TestPool::open(Rules { max_workers, scaling: false, ..rules() });
    pool.submit([1]);
    pool.finish(1, 1);
    pool.submit(2..2 + count);
    pool
}

#[test]
fn several_short_attempts_are_assigned_at_a_time() {
    let mut pool = TestPool::open(Rules { max_workers: 1, ..rules() });
    pool.submit([1]);
    pool.finish(1, 1);
    let actions = summary(&pool.submit(2..=200));
    let run = actions.iter().find(|action| action.starts_with("run")).unwrap();
    assert_eq!(run.split('+').count(), 64);
    // No more are assigned until half of them have ended.
    let assigned = |actions: &[String]| actions.iter().any(|action| action.starts_with("run"));
    for attempt in 2..=32 {
        assert!(!assigned(&summary(&pool.finish(1, attempt))), "{attempt}");
    }
    assert!(assigned(&summary(&pool.finish(1, 33))));
}

#[test]
fn an_attempt_whose_workers_keep_dying_before_they_begin_it_is_lost_in_the_end() {
    let mut pool = TestPool::open(Rules { max_workers: 1, ..rules() });
    pool.submit([1]);
    let mut worker = 1;
    let lost = loop {
        let actions = pool.dies(worker, 0, Exit::Code(1));
        if summary(&actions).contains(&"1 failed: WorkerLost".to_owned()) {
            break error(&actions).message.clone();
        }
        worker += 1;
        assert!(worker < 10, "it goes on for ever");
        pool.ready(worker);
    };
    assert_eq!(worker, 3);
    assert!(lost.ends_with("it was the 3. worker in a row to end before it began this attempt"), "{lost}");
}

#[test]
fn what_waits_behind_a_long_attempt_is_asked_back_for_an_idle_worker() {
    let mut pool = short_attempts(2, 4);
    pool.ready(2);
    assert_eq!(summary(&pool.pass(Duration::from_micros(999))), [""; 0]);
    assert_eq!(summary(&pool.pass(Duration::from_micros(1))), ["ask back 4+5 from 1"]);
    let back = Event::GivenBack { worker: WorkerId(1), attempts: vec![AttemptId(4), AttemptId(5)] };
    assert_eq!(summary(&pool.on(back)), ["4 started in 1002", "run 4+5 on 2"]);
}

#[test]
fn an_attempt_that_is_interrupted_while_its_worker_gives_it_back_fails_and_never_starts() {
    let mut pool = short_attempts(2, 3);
    pool.ready(2);
    assert_eq!(summary(&pool.pass(Duration::from_millis(1))), ["ask back 4 from 1"]);
    assert_eq!(summary(&pool.on(Event::Interrupt(AttemptId(4))))[0], "interrupt 4 on 1");
    let back = Event::GivenBack { worker: WorkerId(1), attempts: vec![AttemptId(4)] };
    assert_eq!(summary(&pool.on(back))[0], "4 failed: Stopped");
}

#[test]
fn an_attempt_whose_start_was_reported_and_that_had_not_begun_is_reported_to_wait_again() {
    let mut pool = TestPool::open(Rules { max_workers: 1, ..rules() });
    assert_eq!(summary(&pool.submit([1])), ["1 started in 1001", "run 1 on 1"]);
    let actions = summary(&pool.dies(1, 0, Exit::Signal(9)));
    assert!(actions.contains(&"1 waits again".to_owned()), "{actions:?}");
    assert_eq!(summary(&pool.ready(2)), ["worker 1002 started", "1 started in 1002", "run 1 on 2"]);

    let mut pool = short_attempts(1, 2);
    let actions = summary(&pool.dies(1, 2, Exit::Signal(9)));
    assert!(actions.iter().all(|action| !action.contains("waits")), "nobody was told that 3 runs: {actions:?}");
}

#[test]
fn workers_that_are_terminated_get_sigterm_once_and_their_attempts_fail_with_them() {
    let mut pool = TestPool::open(Rules { max_workers: 1, ..rules() });
    pool.submit([1]);
    pool.on(Event::Close);
    assert_eq!(summary(&pool.on(Event::Terminate)), ["SIGTERM to 1"]);
    assert_eq!(summary(&pool.pass(Duration::from_secs(3600))), [""; 0], "it may take its time");
    let actions = pool.dies(1, 0, Exit::Signal(15));
    assert!(summary(&actions).contains(&"1 failed: Stopped".to_owned()), "{actions:?}");
    assert!(pool.dispatcher.is_over());
}

#[test]
fn where_one_worker_only_may_serve_an_attempt_is_lost_with_it_also_before_it_began() {
    let mut pool = TestPool::open(Rules { max_workers: 1, max_losses_before_start: 1, ..rules() });
    pool.submit([1]);
    let actions = pool.dies(1, 0, Exit::Signal(9));
    assert_eq!(error(&actions).kind, ErrorKind::WorkerLost);
    assert!(!error(&actions).message.contains("in a row"), "{actions:?}");
    assert!(!summary(&actions).contains(&"start 2".to_owned()), "{actions:?}");
}

#[test]
fn an_interrupt_of_running_attempts_reaches_each_worker_once_and_no_waiting_attempt() {
    let mut pool = TestPool::open(Rules { max_workers: 1, ..rules() });
    assert_eq!(summary(&pool.on(Event::InterruptRunning)), [""; 0], "nothing runs");
    pool.submit([1, 2]);
    assert_eq!(summary(&pool.on(Event::InterruptRunning)), ["interrupt 1 on 1"]);
    assert_eq!(summary(&pool.on(Event::InterruptRunning)), [""; 0], "it has been interrupted");
    assert_eq!(summary(&pool.finish(1, 1)), ["1 finished", "2 started in 1001", "run 2 on 1"]);
}

#[test]
fn a_closed_pool_finishes_its_attempts_and_dismisses_its_workers() {
    let mut pool = TestPool::open(Rules { max_workers: 1, ..rules() });
    pool.submit([1, 2]);
    assert_eq!(summary(&pool.on(Event::Close)), [""; 0]);
    assert_eq!(summary(&pool.finish(1, 1)), ["1 finished", "2 started in 1001", "run 2 on 1"]);
    assert_eq!(summary(&pool.finish(1, 2)), ["2 finished", "dismiss 1"]);
    assert_eq!(summary(&pool.pass(Duration::from_secs(1))), ["end 1"], "it did not leave by itself");
    pool.dies(1, 0, Exit::Signal(9));
    assert!(pool.dispatcher.is_over());
}

#[test]
fn inputs_that_cannot_travel_fail_their_attempt_and_free_the_worker() {
    let mut pool = TestPool::open(Rules { max_workers: 1, ..rules() });
    pool.submit([1, 2]);
    let error = TaskError::new(ErrorKind::BadInput, "too deep");
    let not_sent = Event::NotSent { worker: WorkerId(1), attempt: AttemptId(1), error };
    assert_eq!(summary(&pool.on(not_sent)), ["1 failed: BadInput", "2 started in 1001", "run 2 on 1"]);
}

#[test]
fn a_worker_that_is_not_ready_when_the_pool_closes_is_ended_at_once_and_is_no_failed_start() {
    let mut pool = TestPool::open(Rules { max_workers: 2, scaling: false, ..rules() });
    assert_eq!(summary(&pool.on(Event::Close)), ["dismiss 1", "end 2"]);
    assert!(summary(&pool.dies(2, 0, Exit::Signal(9))).iter().all(|action| !action.starts_with("start")));
    assert!(pool.dispatcher.broken().is_none());
}

#[test]
fn a_worker_that_has_run_as_many_attempts_as_it_may_is_replaced() {
    let mut pool = TestPool::open(Rules { max_workers: 1, max_tasks: 3, ..rules() });
    pool.submit([1]);
    pool.finish(1, 1);
    // Short attempts, of which several are assigned to a worker.
    let assigned = pool.submit([2, 3, 4, 5]);
    assert!(summary(&assigned).contains(&"run 2+3 on 1".to_owned()), "{assigned:?}");
    pool.finish(1, 2);
    assert_eq!(summary(&pool.finish(1, 3)), ["3 finished", "dismiss 1"]);
    assert!(summary(&pool.dies(1, 3, Exit::Code(0))).contains(&"start 2".to_owned()));
    assert_eq!(summary(&pool.ready(2))[2], "run 4+5 on 2");
}
