//! The engine without workers: which thread delivers reports to the owner, and when. The reports are of attempts that
//! are interrupted before they start.

use std::sync::atomic::AtomicBool;

use crossbeam_channel::{Receiver, unbounded};
use pushflow_model::{AttemptId, Data, TaskSpec};

use super::*;
use crate::PoolOptions;
use crate::process::rules;

fn engine(owner: impl Fn(Vec<PoolEvent>) + Send + Sync + 'static) -> (Engine, Receiver<RunnerInput>) {
    let (to_runner, inputs) = unbounded();
    let dispatcher = Dispatcher::new(rules(&PoolOptions::default()));
    let engine = Engine::new(dispatcher, Arc::new(owner), to_runner, Arc::default(), Arc::default());
    engine.open();
    (engine, inputs)
}

/// The events of an attempt that is submitted and interrupted: its failure is reported.
fn interrupted(id: u64) -> [Event; 2] {
    let task = Arc::new(TaskSpec::rust("task"));
    let attempt = Attempt { id: AttemptId(id), actor: "actor".into(), task, inputs: Data::new() };
    [Event::Submit(vec![attempt]), Event::Interrupt(AttemptId(id))]
}

fn failed(events: Vec<PoolEvent>) -> Vec<u64> {
    let failed = events.into_iter().map(|event| match event {
        PoolEvent::Failed { attempt, .. } => attempt.0,
        other => panic!("only failures are expected, and this is {other:?}"),
    });
    failed.collect()
}

#[test]
fn an_owner_that_blocks_holds_up_neither_submitters_nor_reader_threads() {
    let (sent, reports) = unbounded();
    let (go_on, gate) = unbounded::<()>();
    let (engine, _inputs) = engine(move |events| {
        sent.send(failed(events)).unwrap();
        gate.recv().unwrap();
    });
    std::thread::scope(|scope| {
        scope.spawn(|| engine.on_all(interrupted(1)));
        assert_eq!(reports.recv().unwrap(), [1]);
        // The owner waits at its gate now.
        let (returned, others) = unbounded();
        let engine = &engine;
        scope.spawn(move || {
            interrupted(2).into_iter().for_each(|event| engine.on(event));
            engine.on_all(interrupted(3));
            returned.send(()).unwrap();
        });
        let held_up = others.recv_timeout(Duration::from_secs(20)).is_err();
        go_on.send(()).unwrap();
        assert_eq!(reports.recv().unwrap(), [2, 3], "whoever tells tells what came meanwhile, too");
        go_on.send(()).unwrap();
        assert!(!held_up);
    });
}

#[test]
fn reports_of_many_threads_are_delivered_by_one_thread_at_a_time_and_in_order() {
    const THREADS: u64 = 8;
    const EACH: u64 = 500;
    let all = Arc::new(Mutex::new(Vec::new()));
    let (seen, is_telling) = (all.clone(), AtomicBool::new(false));
    let (engine, _inputs) = engine(move |events| {
        assert!(!is_telling.swap(true, Ordering::SeqCst), "two threads tell at once");
        seen.lock().unwrap().extend(failed(events));
        is_telling.store(false, Ordering::SeqCst);
    });
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let engine = &engine;
            scope.spawn(move || (0..EACH).for_each(|number| engine.on_all(interrupted(thread * EACH + number))));
        }
    });
    let reported = all.lock().unwrap();
    for thread in 0..THREADS {
        let own: Vec<u64> = reported.iter().copied().filter(|id| id / EACH == thread).collect();
        assert!(own.iter().copied().eq(thread * EACH..(thread + 1) * EACH), "thread {thread}: {own:?}");
    }
}

#[test]
fn a_submitting_thread_leaves_the_delivery_to_the_runner_and_wakes_it_once() {
    let (sent, reports) = unbounded();
    let (engine, inputs) = engine(move |events| sent.send(failed(events)).unwrap());
    // The runner follows its commands, and goes to sleep.
    while !engine.next_work().commands.is_empty() {}
    (1..3).flat_map(interrupted).for_each(|event| engine.on(event));
    assert!(reports.is_empty());
    assert_eq!(inputs.try_iter().filter(|input| matches!(input, RunnerInput::Wake)).count(), 1);
    assert!(engine.next_work().due.is_some_and(|due| due <= Instant::now()), "it need not sleep");
    engine.on_all([Event::Tick]);
    assert_eq!(reports.try_iter().collect::<Vec<_>>(), [[1, 2]]);
}

#[test]
fn a_thread_that_delivers_its_reports_wakes_no_other() {
    let (sent, reports) = unbounded();
    let (engine, inputs) = engine(move |events| sent.send(failed(events)).unwrap());
    while !engine.next_work().commands.is_empty() {}
    engine.on_all(interrupted(1));
    assert_eq!(reports.try_iter().collect::<Vec<_>>(), [[1]]);
    assert!(inputs.is_empty());
}

#[test]
fn the_last_reports_are_delivered_and_then_the_sink_is_dropped() {
    let (sent, reports) = unbounded();
    let (engine, _inputs) = engine(move |events| sent.send(failed(events)).unwrap());
    interrupted(1).into_iter().for_each(|event| engine.on(event));
    engine.close();
    engine.on_all(interrupted(2));
    assert_eq!(reports.recv(), Ok(vec![1]));
    assert!(reports.recv().is_err(), "nobody holds the owner's end any more");
}

#[test]
fn a_worker_that_nothing_can_be_sent_to_is_ended_unless_its_channel_is_closed() {
    let (engine, _inputs) = engine(|_| {});
    let note = |sent| {
        let mut actions = Vec::new();
        engine.lock().check_sent(WorkerId(1), sent, &mut actions);
        actions
    };
    assert!(note(Ok(())).is_empty());
    assert!(note(Err(TransportError::Closed)).is_empty());
    let failed = note(Err(std::io::Error::other("no room").into()));
    assert!(matches!(failed[..], [Action::End(WorkerId(1)), Action::Start(WorkerId(2))]), "{failed:?}");
}
