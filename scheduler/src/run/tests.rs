//! The time limits of attempts, on a pool that only records its calls.

use std::sync::Mutex;

use pushflow_execute::task;
use pushflow_graph::Retries;
use pushflow_model::{ErrorKind, PoolType};
use pushflow_pool::{Pool, Stream};

use super::*;
use crate::Workflow;

#[task(crate = pushflow_execute)]
fn is_never_run() {}

#[derive(Clone, Default)]
struct RecordingPool(Arc<Mutex<Vec<String>>>);

impl RecordingPool {
    fn note(&self, asked: String) {
        self.0.lock().unwrap().push(asked);
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Pool for RecordingPool {
    fn submit(&self, attempts: Vec<Attempt>) {
        attempts.iter().for_each(|attempt| self.note(format!("submit {}", attempt.id)));
    }
    fn interrupt(&self, attempt: AttemptId) {
        self.note(format!("interrupt {attempt}"));
    }
    fn interrupt_running(&self) {}

    fn give_up(&self, attempt: AttemptId) {
        self.note(format!("give up {attempt}"));
    }
    fn close(&mut self, _: Option<Instant>) -> bool {
        true
    }
    fn patience(&self) -> Duration {
        Duration::ZERO
    }
    fn workers(&self) -> usize {
        1
    }
}

/// A run that has begun, of one task, whose attempts have a time limit of zero.
struct TestRun {
    run: Run,
    recorded: RecordingPool,
}

const ONE: AttemptId = AttemptId(1);

impl TestRun {
    fn begin() -> TestRun {
        TestRun::with(None)
    }

    /// Begins a run whose task has these retries.
    fn with(retries: Option<Retries>) -> TestRun {
        let mut workflow = Workflow::new("limits");
        let start = workflow.start().unwrap();
        let task = workflow.task("task", TaskSpec::rust("is_never_run")).unwrap();
        if let Some(retries) = retries {
            workflow.retry(task, retries).unwrap();
        }
        let stop = workflow.stop().unwrap();
        workflow.connect(start, task).unwrap();
        workflow.connect(task, stop).unwrap();
        let options = RunOptions::new().pool(PoolType::Thread).attempt_timeout(Duration::ZERO);
        let mut run = workflow.prepare(Data::new(), &options).unwrap();
        let recorded = RecordingPool::default();
        run.pools = Pools::new(vec![(PoolType::Thread, Box::new(recorded.clone()))], &run.graph, PoolType::Thread);
        assert!(run.step(vec![Event::Begin]).is_none());
        TestRun { run, recorded }
    }

    fn tell(&self, event: PoolEvent) {
        self.run.self_sender.send(RunInput::Pool(vec![event])).unwrap();
    }

    /// Sends so many events that the run needs several turns for them.
    fn flood(&self) {
        for _ in 0..3 * BATCH {
            self.tell(PoolEvent::Output { attempt: Some(ONE), stream: Stream::Stdout, bytes: Vec::new() });
        }
    }

    /// Runs one turn of the run, which must have an input.
    fn turn(&mut self) -> Option<Box<Ending>> {
        let events = self.run.next_events(&mut None);
        self.run.step(events)
    }

    fn end(&mut self) -> Ending {
        loop {
            if let Some(ending) = self.turn() {
                return *ending;
            }
        }
    }
}

#[test]
fn what_was_told_before_the_run_looked_counts_however_much_it_had_to_hear_before() {
    let mut test = TestRun::begin();
    test.tell(PoolEvent::Started { attempt: ONE, pid: 7 });
    test.flood();
    test.tell(PoolEvent::Finished { attempt: ONE, result: Data::new().with("x", 1) });
    assert!(test.end().errors.is_empty());
    assert_eq!(test.recorded.all(), ["submit 1"]);
    assert!(test.run.running.next().is_none() && test.run.interrupted.next().is_none());
}

#[test]
fn a_run_that_hears_of_something_all_the_time_still_sees_that_an_attempt_is_late() {
    let mut test = TestRun::begin();
    test.tell(PoolEvent::Started { attempt: ONE, pid: 7 });
    for _ in 0..20 {
        test.flood();
        test.turn();
    }
    assert_eq!(test.recorded.all(), ["submit 1", "interrupt 1", "give up 1"]);
}

#[test]
fn an_attempt_that_waits_again_has_all_its_time_when_it_starts_again() {
    let mut test = TestRun::begin();
    test.tell(PoolEvent::Started { attempt: ONE, pid: 7 });
    test.tell(PoolEvent::Requeued { attempt: ONE });
    test.turn();
    assert_eq!(test.run.explain().attempts[0].running, None, "it waits");
    for _ in 0..3 {
        test.run.self_sender.send(RunInput::Continue).unwrap();
        test.turn();
    }
    assert_eq!(test.recorded.all(), ["submit 1"], "it is not late while it waits");
    test.tell(PoolEvent::Started { attempt: ONE, pid: 8 });
    let ending = test.end();
    assert_eq!(test.recorded.all(), ["submit 1", "interrupt 1", "give up 1"]);
    assert_eq!((ending.errors[0].error.kind, ending.errors[0].error.pid), (ErrorKind::TimedOut, Some(8)));
}

#[test]
fn an_attempt_that_is_late_when_the_run_is_stopped_is_interrupted_once() {
    let mut test = TestRun::begin();
    test.tell(PoolEvent::Started { attempt: ONE, pid: 7 });
    test.turn();
    test.run.self_sender.send(RunInput::Stop { reason: "enough".into() }).unwrap();
    test.end();
    assert_eq!(
        test.recorded.all().iter().filter(|asked| *asked == "interrupt 1").count(),
        1,
        "{:?}",
        test.recorded.all()
    );
}

#[test]
fn an_attempt_that_ends_as_the_run_is_stopped_leaves_nothing_behind() {
    let mut test = TestRun::begin();
    test.run.self_sender.send(RunInput::Stop { reason: "enough".into() }).unwrap();
    test.tell(PoolEvent::Finished { attempt: ONE, result: Data::new() });
    test.end();
    assert_eq!(test.recorded.all(), ["submit 1"]);
    assert!(test.run.interrupted.next().is_none());
}

const TWO: AttemptId = AttemptId(2);

fn again(delay: Duration) -> TestRun {
    let mut test = TestRun::with(Some(Retries::default().with_errors(1).with_delay(delay)));
    test.tell(PoolEvent::Failed { attempt: ONE, error: TaskError::new(ErrorKind::Raised, "no") });
    assert!(test.turn().is_none());
    test
}

#[test]
fn what_is_tried_again_later_is_submitted_when_its_time_has_come() {
    let mut test = again(Duration::from_millis(1));
    assert!(test.turn().is_none());
    assert_eq!(test.recorded.all(), ["submit 1", "submit 2"]);
    test.tell(PoolEvent::Finished { attempt: TWO, result: Data::new() });
    assert!(test.end().errors.is_empty());
}

#[test]
fn what_waits_to_be_tried_again_is_told_and_ends_at_once_when_the_run_is_stopped() {
    let mut test = again(Duration::from_secs(3600));
    assert_eq!(test.run.explain().attempts[0].running, None, "it waits");
    test.run.self_sender.send(RunInput::Stop { reason: "enough".into() }).unwrap();
    let ending = test.end();
    assert_eq!(test.recorded.all(), ["submit 1"]);
    let message = &ending.errors[0].error.message;
    assert!(message.ends_with("(the attempt was interrupted before it started)"), "{message}");
    assert!(test.run.delayed.next().is_none());
}
