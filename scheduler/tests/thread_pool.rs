//! Workflows built from code, in this very process: outcomes, errors, deadlines, stops and events.
//!
//! The tests run on threads, and once more as green tasks: `green_pool.rs` includes this file.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pushflow::{
    Data, EndingKind, ErrorKind, EventKind, Observer, Outcome, Outputs, PoolOptions, PoolType, RunError, RunOptions,
    StopSignal, TaskContext, TaskSpec, Value, Workflow, WorkflowEvent, task,
};

#[task]
fn add_one(value: i64) -> Data {
    Data::new().with("value", value + 1)
}

#[task]
fn check(value: i64, limit: i64) -> Data {
    Data::new().with("again", value < limit)
}

#[task]
fn fail(message: String) -> Result<(), String> {
    Err(message)
}

#[task]
fn panics() {
    panic!("no way");
}

#[task]
fn returns_what_cannot_travel() -> u64 {
    u64::MAX
}

#[task]
fn sleeps_until_cancelled(context: &TaskContext) -> Result<(), pushflow::Cancelled> {
    context.sleep(Duration::from_secs(3600))
}

/// End the tasks that ignore their cancellation, at the end of their test; each test has its own flag.
static RELEASE: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

#[task]
fn ignores_cancellation(test: usize) {
    while !RELEASE[test].load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
}

/// How often `sleeps_the_first_time` has begun.
static TRIES: AtomicUsize = AtomicUsize::new(0);

#[task]
fn sleeps_the_first_time(context: &TaskContext) -> Result<Data, pushflow::Cancelled> {
    let tries = TRIES.fetch_add(1, Ordering::Relaxed) + 1;
    if tries == 1 {
        context.sleep(Duration::from_secs(3600))?;
    }
    Ok(Data::new().with("tries", i64::try_from(tries).unwrap_or_default()))
}

/// Returns a result although it was cancelled.
#[task]
fn returns_when_cancelled(context: &TaskContext) -> Data {
    let slept = context.sleep(Duration::from_secs(3600));
    Data::new().with("cancelled", slept.is_err())
}

#[task]
fn panics_when_cancelled(context: &TaskContext) {
    context.sleep(Duration::from_secs(3600)).expect("the sleep goes on");
}

fn in_this_process() -> RunOptions {
    RunOptions::new().pool(pool())
}

fn pool() -> PoolType {
    if module_path!().starts_with("green_pool") {
        pushflow::green::enable().unwrap();
        assert_eq!(pushflow::default_pool(), Ok(PoolType::Gevent));
        PoolType::Gevent
    } else {
        PoolType::Thread
    }
}

/// Start, one task, stop.
fn one_task(name: &str) -> Workflow {
    let mut workflow = Workflow::new(name);
    let start = workflow.start().unwrap();
    let task = workflow.task("the task", TaskSpec::rust(name)).unwrap();
    let stop = workflow.stop().unwrap();
    workflow.connect(start, task).unwrap();
    workflow.connect(task, stop).unwrap();
    workflow
}

fn only_error(outcome: &Outcome) -> (&str, ErrorKind, &str) {
    let [error] = &outcome.ending.errors[..] else { panic!("one error: {:?}", outcome.ending.errors) };
    (&error.name, error.error.kind, &error.error.message)
}

fn value(outcome: &Outcome, name: &str) -> Option<Value> {
    outcome.ending.result.as_ref().and_then(|result| result.value(name).unwrap().cloned())
}

#[test]
fn a_result_is_laid_over_the_inputs_and_both_reach_the_end() {
    let inputs = Data::new().with("value", 1).with("note", "kept");
    let outcome = one_task("add_one").run(inputs, &in_this_process()).unwrap();
    assert!(outcome.is_finished(), "{outcome:?}");
    assert_eq!(value(&outcome, "value"), Some(Value::Int(2)));
    assert_eq!(value(&outcome, "note"), Some("kept".into()));
}

#[test]
fn a_loop_goes_round_until_the_router_lets_it_out() {
    let mut workflow = Workflow::new("loop");
    let start = workflow.start().unwrap();
    let add = workflow.task("add", TaskSpec::rust("add_one")).unwrap();
    let check = workflow.task("check", TaskSpec::rust("check")).unwrap();
    let router = workflow.router("again?", "again", [true]).unwrap();
    let stop = workflow.stop().unwrap();
    workflow.connect(start, add).unwrap();
    workflow.connect(add, check).unwrap();
    workflow.connect(check, router).unwrap();
    workflow.connect_port(router, true, add).unwrap();
    workflow.connect_port(router, "other", stop).unwrap();
    let inputs = Data::new().with("value", 0).with("limit", 1000);
    let outcome = workflow.run(inputs, &in_this_process()).unwrap();
    assert!(outcome.is_finished(), "{outcome:?}");
    assert_eq!(value(&outcome, "value"), Some(Value::Int(1000)));
}

#[test]
fn a_workflow_can_be_run_again_and_from_several_threads_at_once() {
    let workflow = one_task("add_one");
    std::thread::scope(|scope| {
        for first in 0..4 {
            let workflow = &workflow;
            scope.spawn(move || {
                for round in 0..20 {
                    let start = first * 100 + round;
                    let outcome = workflow.run(Data::new().with("value", start), &in_this_process()).unwrap();
                    assert_eq!(value(&outcome, "value"), Some(Value::Int(i64::from(start) + 1)));
                }
            });
        }
    });
}

#[test]
fn a_join_fires_in_every_run_also_in_those_at_the_same_time() {
    let mut workflow = Workflow::new("join");
    let (start, stop) = (workflow.start().unwrap(), workflow.stop().unwrap());
    let join = workflow.join("join").unwrap();
    for name in ["a", "b"] {
        let task = workflow.task(name, TaskSpec::rust("add_one")).unwrap();
        workflow.connect(start, task).unwrap();
        workflow.connect(task, join).unwrap();
    }
    workflow.connect(join, stop).unwrap();
    assert_eq!(workflow.check(), []);
    std::thread::scope(|scope| {
        for first in 0..3 {
            let workflow = &workflow;
            scope.spawn(move || {
                for round in 0..10 {
                    let outcome =
                        workflow.run(Data::new().with("value", first * 100 + round), &in_this_process()).unwrap();
                    assert!(outcome.is_finished(), "{outcome:?}");
                    assert_eq!(value(&outcome, "value"), Some(Value::Int(i64::from(first * 100 + round) + 1)));
                }
            });
        }
    });
}

#[test]
fn the_outcome_has_what_each_end_delivered_if_that_is_asked_for() {
    let mut workflow = Workflow::new("ends");
    let (start, stop) = (workflow.start().unwrap(), workflow.stop().unwrap());
    for name in ["a", "b"] {
        let task = workflow.task(name, TaskSpec::rust("add_one")).unwrap();
        workflow.connect(start, task).unwrap();
        workflow.connect(task, stop).unwrap();
    }
    let options = in_this_process().outputs(Outputs::Ends);
    let outcome = workflow.run(Data::new().with("value", 1), &options).unwrap();
    let names: Vec<_> = outcome.ending.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(outcome.ending.outputs[1].data.value("value").unwrap(), Some(&Value::Int(2)));
}

#[test]
fn each_kind_of_failure_ends_the_run_as_failed_and_says_what_happened() {
    let run = |name: &str| {
        let outcome = one_task(name).run(Data::new().with("message", "it is Monday"), &in_this_process()).unwrap();
        assert_eq!(outcome.ending.kind, EndingKind::Failed, "{name}");
        let (actor, kind, message) = only_error(&outcome);
        assert_eq!(actor, "the task");
        (kind, message.to_owned())
    };
    assert_eq!(run("fail"), (ErrorKind::Raised, "it is Monday".to_owned()));
    assert_eq!(run("panics"), (ErrorKind::Panicked, "no way".to_owned()));
    let (kind, message) = run("add_one");
    assert_eq!(kind, ErrorKind::BadInput);
    assert!(message.contains("needs the input \"value\""), "{message}");
    let (kind, message) = run("returns_what_cannot_travel");
    assert_eq!(kind, ErrorKind::BadResult);
    assert!(message.contains("returned what can't travel"), "{message}");
}

#[test]
fn a_task_that_nobody_registered_is_said_before_the_run_with_the_nearest_name() {
    let error = one_task("add_on").run(Data::new(), &in_this_process()).unwrap_err();
    assert!(matches!(error, RunError::Task { .. }));
    let message = error.to_string();
    assert!(message.starts_with("actor \"the task\": "), "{message}");
    assert!(message.contains("\"add_on\"") && message.contains("\"add_one\""), "{message}");
}

#[test]
fn a_graph_without_a_start_is_refused() {
    let error = Workflow::new("empty").run(Data::new(), &in_this_process()).unwrap_err();
    assert!(error.to_string().contains("start actor"), "{error}");
}

#[test]
fn a_run_that_never_reaches_its_end_has_stalled() {
    let mut workflow = Workflow::new("stalls");
    let start = workflow.start().unwrap();
    let task = workflow.task("the task", TaskSpec::rust("add_one")).unwrap();
    workflow.stop().unwrap();
    workflow.connect(start, task).unwrap();
    let outcome = workflow.run(Data::new().with("value", 1), &in_this_process()).unwrap();
    assert_eq!(outcome.ending.kind, EndingKind::Stalled);
    assert_eq!(outcome.ending.stalled, ["nothing reached the stop actor"]);
}

/// A short grace, for tests of tasks that do not end.
fn impatient() -> PoolOptions {
    PoolOptions::new().interrupt_grace(Duration::from_millis(50))
}

/// A run whose only task has begun before the run's deadline; how early that deadline may be depends on the machine.
fn run_to_deadline(workflow: &Workflow, inputs: &Data, options: &RunOptions) -> Outcome {
    let run = |millis| {
        let timeout = Duration::from_millis(millis);
        let outcome = workflow.run(inputs.clone(), &options.clone().timeout(timeout)).unwrap();
        assert_eq!(outcome.ending.kind, EndingKind::TimedOut);
        outcome
    };
    let has_begun = |outcome: &Outcome| !outcome.ending.errors[0].error.message.contains("before it started");
    [50, 1000, 10_000].into_iter().map(run).find(has_begun).expect("it begins within ten seconds")
}

#[test]
fn a_task_that_looks_at_its_cancellation_ends_at_the_deadline() {
    let outcome = run_to_deadline(&one_task("sleeps_until_cancelled"), &Data::new(), &in_this_process());
    let (_, kind, message) = only_error(&outcome);
    assert_eq!(kind, ErrorKind::TimedOut);
    assert!(message.contains("still running at the run's deadline"), "{message}");
}

#[test]
fn a_task_that_ignores_its_cancellation_is_reported_and_left_behind() {
    let options = in_this_process().pool_options(impatient());
    let inputs = Data::new().with("test", 0);
    let outcome = run_to_deadline(&one_task("ignores_cancellation"), &inputs, &options);
    RELEASE[0].store(true, Ordering::Relaxed);
    let (_, _, message) = only_error(&outcome);
    assert!(message.contains("it is left behind"), "{message}");
}

/// Options with a time limit that every attempt of these tests exceeds.
fn with_short_limit() -> RunOptions {
    in_this_process().attempt_timeout(Duration::from_millis(20))
}

/// A limit that no attempt reaches in a test.
const LONG: Duration = Duration::from_secs(3600);

const OVERRAN: &str = "the attempt ran longer than its limit of 0.02 s and was interrupted: ";

#[test]
fn an_attempt_that_takes_longer_than_its_limit_has_failed_whatever_it_makes_of_that() {
    let cases = [
        ("sleeps_until_cancelled", "the attempt was cancelled"),
        ("returns_when_cancelled", "what it returned after that was dropped"),
        ("panics_when_cancelled", "panic: the sleep goes on: Cancelled"),
    ];
    for (name, end) in cases {
        let outcome = one_task(name).run(Data::new(), &with_short_limit()).unwrap();
        assert_eq!(outcome.ending.kind, EndingKind::Failed, "the run itself had no deadline");
        let (actor, kind, message) = only_error(&outcome);
        assert_eq!((actor, kind), ("the task", ErrorKind::TimedOut), "{message}");
        assert_eq!(message, format!("{OVERRAN}{end}"));
        assert_eq!(outcome.ending.errors[0].error.pid, Some(std::process::id()));
        assert!(outcome.ending.result.is_none());
    }
}

#[test]
fn an_actors_own_limit_wins_over_the_general_one() {
    let limited = |general, own, timeout| {
        let mut workflow = one_task("sleeps_until_cancelled");
        let task = workflow.graph().find("the task").unwrap();
        workflow.limit_time(task, own).unwrap();
        let mut options = in_this_process().attempt_timeout(general);
        options.timeout = timeout;
        workflow.run(Data::new(), &options).unwrap().ending.kind
    };
    let short = Duration::from_millis(20);
    assert_eq!(limited(LONG, short, None), EndingKind::Failed, "the attempt's own limit");
    let ending = limited(short, LONG, Some(10 * short));
    assert_eq!(ending, EndingKind::TimedOut, "the run's deadline, not the general limit");
}

#[test]
fn an_attempt_that_ends_within_its_limit_is_as_if_there_was_none() {
    let options = in_this_process().attempt_timeout(LONG);
    assert!(one_task("add_one").run(Data::new().with("value", 1), &options).unwrap().is_finished());
    let options = in_this_process().attempt_timeout(Duration::MAX);
    assert!(one_task("add_one").run(Data::new().with("value", 1), &options).unwrap().is_finished());
}

#[test]
fn an_attempt_that_took_too_long_is_handled_like_any_failure_and_may_be_tried_again() {
    let mut workflow = Workflow::new("again");
    let (start, stop) = (workflow.start().unwrap(), workflow.stop().unwrap());
    let task = workflow.task("the task", TaskSpec::rust("sleeps_the_first_time")).unwrap();
    let handler = workflow.error_handler("again").unwrap();
    workflow.connect(start, task).unwrap();
    workflow.connect(task, stop).unwrap();
    workflow.connect_on_error(task, handler).unwrap();
    workflow.connect(handler, task).unwrap();
    workflow.limit_time(task, Duration::from_millis(100)).unwrap();
    let outcome = workflow.run(Data::new(), &in_this_process()).unwrap();
    assert!(outcome.is_finished(), "{outcome:?}");
    assert_eq!(value(&outcome, "tries"), Some(Value::Int(outcome.ending.handled_errors as i64 + 1)));
    assert!(outcome.ending.handled_errors >= 1);
    let Some(Value::Map(exception)) = value(&outcome, "WorkflowException") else { panic!("{outcome:?}") };
    let message = exception.get("errorMessage").and_then(Value::as_str).unwrap();
    assert!(message.starts_with("the attempt ran longer than its limit of 0.1 s"), "{message}");
}

#[test]
fn an_attempt_that_can_not_be_ended_is_left_behind_and_another_thread_takes_the_place_of_its() {
    let mut workflow = Workflow::new("stuck");
    let (start, stop) = (workflow.start().unwrap(), workflow.stop().unwrap());
    let stuck = workflow.task("stuck", TaskSpec::rust("ignores_cancellation")).unwrap();
    let after = workflow.task("after", TaskSpec::rust("add_one")).unwrap();
    workflow.connect(start, stuck).unwrap();
    workflow.connect_on_error(stuck, after).unwrap();
    workflow.connect(after, stop).unwrap();
    let pool_options = impatient().max_workers(1);
    let options = with_short_limit().pool_options(pool_options);
    let outcome = workflow.run(Data::new().with("value", 1).with("test", 1), &options).unwrap();
    RELEASE[1].store(true, Ordering::Relaxed);
    if pool() == PoolType::Gevent {
        // There is no other thread for green tasks.
        let (name, kind, message) = only_error(&outcome);
        assert_eq!((name, kind), ("after", ErrorKind::WorkerLost), "{message}");
        return assert!(message.contains("is held by a task that was interrupted and does not end"), "{message}");
    }
    assert!(outcome.is_finished(), "{outcome:?}");
    assert_eq!(value(&outcome, "value"), Some(Value::Int(2)));
    let Some(Value::Map(exception)) = value(&outcome, "WorkflowException") else { panic!("{outcome:?}") };
    let message = exception.get("errorMessage").and_then(Value::as_str).unwrap();
    assert!(message.starts_with(OVERRAN) && message.ends_with("it is left behind"), "{message}");
}

#[test]
fn the_time_that_an_attempt_waits_for_a_worker_does_not_count() {
    // The attempts run one after the other on one thread, and each ends by its own limit: waiting does not count.
    let mut workflow = Workflow::new("waiting");
    let start = workflow.start().unwrap();
    workflow.stop().unwrap();
    let names = ["a", "b", "c"];
    for name in names {
        let task = workflow.task(name, TaskSpec::rust("sleeps_until_cancelled")).unwrap();
        workflow.connect(start, task).unwrap();
    }
    let pool_options = PoolOptions::new().max_workers(1);
    let outcome = workflow.run(Data::new(), &with_short_limit().pool_options(pool_options)).unwrap();
    let failed: Vec<_> = outcome.ending.errors.iter().map(|error| error.name.as_str()).collect();
    assert_eq!(failed, names);
    for failure in &outcome.ending.errors {
        assert_eq!(failure.error.message, format!("{OVERRAN}the attempt was cancelled"), "it had begun");
    }
}

#[test]
fn an_attempt_that_was_late_when_the_run_was_stopped_is_told_as_both() {
    let options = with_short_limit();
    let run = one_task("ignores_cancellation").prepare(Data::new().with("test", 2), &options).unwrap();
    let handle = run.stop_handle();
    let stopper = std::thread::spawn(move || {
        while !handle.explain().is_some_and(|now| now.attempts.iter().any(|attempt| attempt.interrupted)) {
            std::thread::yield_now();
        }
        handle.stop("it is enough");
        RELEASE[2].store(true, Ordering::Relaxed);
    });
    let outcome = run.wait();
    stopper.join().unwrap();
    assert_eq!(outcome.ending.kind, EndingKind::Stopped { reason: "it is enough".into() });
    let (_, kind, message) = only_error(&outcome);
    assert_eq!(kind, ErrorKind::Stopped);
    assert!(message.starts_with("the attempt was still running when the run was stopped"), "{message}");
    assert!(message.ends_with(&format!("({OVERRAN}what it returned after that was dropped)")), "{message}");
}

#[test]
fn a_stop_from_another_thread_ends_the_run_and_says_why() {
    let run = one_task("sleeps_until_cancelled").prepare(Data::new(), &in_this_process()).unwrap();
    let handle = run.stop_handle();
    let stopper = std::thread::spawn(move || handle.stop("the shift is over"));
    let outcome = run.wait();
    stopper.join().unwrap();
    assert_eq!(outcome.ending.kind, EndingKind::Stopped { reason: "the shift is over".into() });
}

#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl Observer for Recorder {
    fn observe(&self, event: &WorkflowEvent) {
        let name = match &event.kind {
            EventKind::RunStarted { workflow } => format!("run of {workflow} started"),
            EventKind::AttemptSubmitted { attempt, .. } => format!("{attempt} submitted"),
            EventKind::AttemptStarted { attempt, pid, .. } => {
                assert_eq!(*pid, std::process::id());
                format!("{attempt} started")
            }
            EventKind::AttemptFinished { attempt, .. } => format!("{attempt} finished"),
            EventKind::AttemptFailed { attempt, .. } => format!("{attempt} failed"),
            EventKind::RunEnded { ending } => format!("run ended: {ending:?}"),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(name);
    }
}

#[test]
fn observers_hear_of_everything_in_order() {
    let recorder = Arc::<Recorder>::default();
    let options = in_this_process().observer(recorder.clone());
    one_task("add_one").run(Data::new().with("value", 1), &options).unwrap();
    let heard = recorder.0.lock().unwrap().clone();
    let expected = ["run of add_one started", "1 submitted", "1 started", "1 finished", "run ended: Finished"];
    assert_eq!(heard, expected);
}

/// Raises a signal for this process when the first attempt runs.
struct RaisesOnStart(nix::sys::signal::Signal);

impl Observer for RaisesOnStart {
    fn observe(&self, event: &WorkflowEvent) {
        if let EventKind::AttemptStarted { .. } = event.kind {
            nix::sys::signal::kill(nix::unistd::getpid(), self.0).unwrap();
        }
    }
}

#[test]
fn a_run_is_stopped_on_the_signals_it_names_and_others_are_left_alone() {
    let raises = Arc::new(RaisesOnStart(nix::sys::signal::Signal::SIGTERM));
    let options = in_this_process().stop_signals([StopSignal::Terminate]).observer(raises);
    // From a thread that is not the main one, and twice: the end of the first run restores the action of the signal.
    let stopped = one_task("sleeps_until_cancelled");
    for _ in 0..2 {
        let unconcerned = one_task("add_one").prepare(Data::new().with("value", 1), &in_this_process()).unwrap();
        let outcome = stopped.run(Data::new(), &options).unwrap();
        assert_eq!(outcome.ending.kind, EndingKind::Stopped { reason: "SIGTERM was received".into() });
        assert_eq!(outcome.signal, Some(StopSignal::Terminate));
        assert!(unconcerned.wait().is_finished());
    }
}
