//! The behaviour of every pool in the scheduler's own process, on threads and on green tasks, and the behaviour of
//! green tasks alone. The whole program is in the green environment.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pushflow_execute::TaskContext;
use pushflow_execute::task;
use pushflow_green::Cancelled;
use pushflow_green::{Monitor, channel, enable, is_green, park, sleep};
use pushflow_model::{AttemptId, ErrorKind, TaskError, TaskSpec};
use pushflow_model::{Data, Value};
use pushflow_pool::GreenPool;
use pushflow_pool::{Attempt, EventSink, Pool, PoolEvent, PoolOptions, ThreadPool};

const HOUR: Duration = Duration::from_secs(3600);

/// The events that a pool has reported.
#[derive(Default)]
struct PoolRecord {
    started: Vec<u64>,
    ended: HashMap<u64, Vec<Result<Data, TaskError>>>,
    blocked: Vec<u64>,
}

/// A pool, and the events that it reports.
struct Open {
    pool: Box<dyn Pool>,
    record: Arc<Monitor<PoolRecord>>,
}

/// The pools that share the scheduler's process.
const POOLS: [&str; 2] = ["thread", "gevent"];

fn open(name: &str, max_workers: usize) -> Open {
    enable().unwrap();
    let options = PoolOptions::new().max_workers(max_workers).blocking_limit(Duration::from_millis(20));
    let record = Arc::<Monitor<PoolRecord>>::default();
    let sink: EventSink = {
        let record = record.clone();
        Arc::new(move |events| record.change(|record| events.into_iter().for_each(|event| note(record, event))))
    };
    let pool: Box<dyn Pool> = match name {
        "thread" => Box::new(ThreadPool::open(&options, false, sink).unwrap()),
        _ => Box::new(GreenPool::open(&options, false, sink).unwrap()),
    };
    Open { pool, record }
}

fn note(record: &mut PoolRecord, event: PoolEvent) {
    match event {
        PoolEvent::Started { attempt, pid } => {
            assert_eq!(pid, std::process::id());
            record.started.push(attempt.0);
        }
        PoolEvent::Finished { attempt, result } => record.ended.entry(attempt.0).or_default().push(Ok(result)),
        PoolEvent::Failed { attempt, error } => record.ended.entry(attempt.0).or_default().push(Err(error)),
        PoolEvent::Blocked { attempt, .. } => record.blocked.push(attempt.0),
        other => panic!("{other:?}"),
    }
}

impl Open {
    fn submit(&self, ids: impl IntoIterator<Item = u64>, task: &str) {
        let task = Arc::new(TaskSpec::rust(task));
        let attempt = |id| {
            let inputs = Data::new().with("number", i64::try_from(id).unwrap());
            Attempt { id: AttemptId(id), actor: "actor".into(), task: task.clone(), inputs }
        };
        self.pool.submit(ids.into_iter().map(attempt).collect());
    }

    /// Waits until so many attempts have started.
    fn wait_for_started(&self, count: usize) {
        self.record.wait(None, |record| (record.started.len() >= count).then_some(()));
    }

    /// Waits until so many attempts have ended, and returns their outcomes.
    fn wait_for_ends(&self, count: usize) -> HashMap<u64, Result<Data, TaskError>> {
        self.record.wait(None, |record| (record.ended.len() >= count).then_some(()));
        self.record.look(|record| {
            let only = |(&id, ends): (&u64, &Vec<Result<Data, TaskError>>)| {
                assert_eq!(ends.len(), 1, "attempt {id} ended {} times", ends.len());
                (id, ends[0].clone())
            };
            record.ended.iter().map(only).collect()
        })
    }

    fn kind(&self, id: u64) -> ErrorKind {
        self.record.wait(None, |record| Some(record.ended.get(&id)?[0].clone().unwrap_err().kind)).unwrap()
    }
}

#[task(crate = pushflow_execute)]
fn double(number: i64) -> Data {
    Data::new().with("number", 2 * number)
}

#[task(crate = pushflow_execute)]
fn panics() {
    std::panic::resume_unwind(Box::new("its own words"));
}

#[task(crate = pushflow_execute)]
fn waits(context: &TaskContext) -> Result<(), Cancelled> {
    context.sleep(HOUR)
}

/// How many attempts of the next task run now, and how many ran at most.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[task(crate = pushflow_execute)]
fn waits_and_is_counted(context: &TaskContext) -> Result<(), Cancelled> {
    MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    let waited = context.sleep(HOUR);
    RUNNING.fetch_sub(1, Ordering::SeqCst);
    waited
}

/// The numbers of the attempts whose gate is open; each test opens the gates of its own attempts.
static GATES: Mutex<Vec<i64>> = Mutex::new(Vec::new());

#[task(crate = pushflow_execute)]
fn ignores_its_end_until_the_gate_opens(number: i64) {
    while !GATES.lock().unwrap().contains(&number) {
        std::thread::yield_now();
    }
}

#[test]
fn attempts_start_in_the_order_in_which_they_were_submitted() {
    for name in POOLS {
        let open = open(name, 1);
        open.submit(0..50, "double");
        open.submit(50..100, "double");
        let ends = open.wait_for_ends(100);
        assert_eq!(ends[&99].as_ref().unwrap().value("number").unwrap(), Some(&Value::Int(198)));
        assert_eq!(open.record.look(|record| record.started.clone()), (0..100).collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn twenty_thousand_attempts_from_several_threads_end_once_each() {
    for name in POOLS {
        let open = open(name, 4);
        let open = Mutex::new(open);
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let first = next.fetch_add(100, Ordering::Relaxed) as u64;
                        open.lock().unwrap().submit(first..first + 100, "double");
                    }
                });
            }
        });
        assert_eq!(open.into_inner().unwrap().wait_for_ends(20_000).len(), 20_000, "{name}");
    }
}

#[test]
fn no_more_run_at_a_time_than_max_workers_says() {
    for name in POOLS {
        let open = open(name, 3);
        MOST.store(0, Ordering::SeqCst);
        open.submit(0..10, "waits_and_is_counted");
        open.wait_for_started(3);
        // Each attempt that ends makes room for another.
        for id in 0..7 {
            open.pool.interrupt(AttemptId(id));
            open.wait_for_started(usize::try_from(id).unwrap() + 4);
            assert_eq!(open.kind(id), ErrorKind::Stopped);
        }
        assert_eq!(open.record.look(|record| record.started.len()), 10, "{name}");
        assert_eq!((open.pool.workers(), MOST.load(Ordering::SeqCst)), (3, 3), "{name}");
        (7..10).for_each(|id| open.pool.interrupt(AttemptId(id)));
        open.wait_for_ends(10);
    }
}

#[test]
fn a_panic_fails_its_attempt_and_no_other() {
    for name in POOLS {
        let open = open(name, 1);
        open.submit([0], "panics");
        open.submit([1], "double");
        let ends = open.wait_for_ends(2);
        let error = ends[&0].as_ref().unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Panicked, "its own words"), "{name}");
        assert!(ends[&1].is_ok());
    }
}

#[test]
fn an_interrupt_ends_what_waits_in_the_queue_at_once_and_the_pool_goes_on() {
    for name in POOLS {
        let open = open(name, 1);
        let held = 1000 + POOLS.iter().position(|pool| *pool == name).unwrap() as u64;
        open.submit([held], "ignores_its_end_until_the_gate_opens");
        open.submit([1, 2], "double");
        open.wait_for_started(1);
        // The one thread is held, so only the interrupting thread can report the end.
        open.pool.interrupt(AttemptId(1));
        assert_eq!(open.kind(1), ErrorKind::Stopped);
        open.pool.interrupt(AttemptId(1));
        open.pool.interrupt(AttemptId(77));
        GATES.lock().unwrap().push(held.cast_signed());
        let ends = open.wait_for_ends(3);
        assert!(ends[&held].is_ok() && ends[&2].is_ok(), "{name}");
    }
}

#[test]
fn closing_waits_for_what_runs_and_what_waits_and_takes_no_more() {
    for name in POOLS {
        let mut open = open(name, 2);
        open.submit(0..100, "double");
        assert!(open.pool.close(None));
        assert_eq!(open.wait_for_ends(100).values().filter(|end| end.is_ok()).count(), 100, "{name}");
    }
    let mut open = open("gevent", 2);
    assert!(open.pool.close(None));
    open.submit([7], "double");
    assert_eq!(open.kind(7), ErrorKind::Stopped);
}

#[test]
fn closing_at_a_deadline_ends_what_can_be_ended() {
    for name in POOLS {
        let mut open = open(name, 1);
        open.submit(0..3, "waits");
        open.wait_for_started(1);
        assert!(!open.pool.close(Some(Instant::now())));
        let ends = open.wait_for_ends(3);
        assert!(ends.values().all(|end| end.as_ref().unwrap_err().kind == ErrorKind::Stopped), "{name}: {ends:?}");
        assert!(open.pool.close(None));
    }
}

#[test]
fn a_pool_that_is_dropped_ends_its_attempts_and_leaves_behind_what_does_not_end() {
    for name in POOLS {
        let held = 2000 + POOLS.iter().position(|pool| *pool == name).unwrap() as u64;
        let mut open = open(name, 2);
        open.submit([0], "waits");
        open.submit([held], "ignores_its_end_until_the_gate_opens");
        open.submit([2], "double");
        open.wait_for_started(2);
        let (record, pool) = (open.record.clone(), std::mem::replace(&mut open.pool, Box::new(Nothing)));
        drop(pool);
        record.wait(None, |record| record.ended.contains_key(&2).then_some(()));
        // On green tasks the first attempt has its turn only when the second one gives way.
        GATES.lock().unwrap().push(held.cast_signed());
        open.wait_for_ends(3);
        assert_eq!((open.kind(0), open.kind(2)), (ErrorKind::Stopped, ErrorKind::Stopped), "{name}");
    }
}

/// A pool in the place of one that was dropped.
struct Nothing;

impl Pool for Nothing {
    fn submit(&self, _: Vec<Attempt>) {}
    fn interrupt(&self, _: AttemptId) {}
    fn interrupt_running(&self) {}
    fn give_up(&self, _: AttemptId) {}
    fn close(&mut self, _: Option<Instant>) -> bool {
        true
    }
    fn patience(&self) -> Duration {
        Duration::ZERO
    }
    fn workers(&self) -> usize {
        0
    }
}

// ----- on green tasks alone -----

#[test]
fn ten_thousand_attempts_run_at_a_time_and_see_their_interrupts() {
    const COUNT: u64 = 10_000;
    let open = open("gevent", 20_000);
    open.submit(0..COUNT, "waits");
    open.wait_for_started(10_000);
    assert_eq!(open.pool.workers(), 10_000);
    (0..COUNT).for_each(|id| open.pool.interrupt(AttemptId(id)));
    let ends = open.wait_for_ends(10_000);
    assert!(ends.values().all(|end| end.as_ref().unwrap_err().kind == ErrorKind::Stopped));
    // One thread runs all of them, and one watches.
    assert!(open.pool.patience() > Duration::ZERO);
}

#[task(crate = pushflow_execute)]
fn waits_at_each_yield_point() -> Result<Data, String> {
    let (sender, receiver) = channel::<()>(Some(1));
    assert!(is_green());
    park(None);
    let slept = sleep(HOUR);
    let received = receiver.recv();
    sender.send(()).map_err(|error| error.to_string())?;
    let sent = sender.send(());
    Ok(Data::new().with("ends", format!("{slept:?} {received:?} {sent:?}")))
}

#[test]
fn an_interrupt_is_seen_at_each_yield_point() {
    let open = open("gevent", 1);
    open.submit([0], "waits_at_each_yield_point");
    open.wait_for_started(1);
    open.pool.interrupt(AttemptId(0));
    let ends = open.wait_for_ends(1);
    let result = ends[&0].as_ref().unwrap();
    let expected = "Err(Cancelled) Err(Cancelled) Err(Cancelled(..))";
    assert_eq!(result.value("ends").unwrap(), Some(&Value::from(expected)));
}

/// How often a pool has reported that a task holds the thread.
static REPORTS: AtomicUsize = AtomicUsize::new(0);
/// Whether the task below holds the thread a second time.
static HOLDS_AGAIN: AtomicBool = AtomicBool::new(false);

/// Holds the thread twice, each time until a report comes.
#[task(crate = pushflow_execute)]
fn holds_the_thread_twice(context: &TaskContext) -> Result<(), Cancelled> {
    for reports in 0..2 {
        HOLDS_AGAIN.store(reports == 1, Ordering::Relaxed);
        while REPORTS.load(Ordering::Relaxed) == reports {
            std::thread::yield_now();
        }
        context.sleep(Duration::from_millis(1))?;
    }
    Ok(())
}

#[test]
fn a_task_that_holds_the_thread_is_reported_once_and_one_that_waits_is_not() {
    let first = open("gevent", 3);
    first.submit([1, 3], "waits");
    first.submit([2], "holds_the_thread_twice");
    // When the third attempt has started, on the one thread, the others wait. Before, a busy machine may have held them
    // up.
    first.wait_for_started(3);
    let of_others = || first.record.look(|record| record.blocked.iter().filter(|&&id| id != 2).count());
    let before = of_others();
    first.record.wait(None, |record| record.blocked.contains(&2).then_some(()));
    REPORTS.store(1, Ordering::Relaxed);
    while !HOLDS_AGAIN.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
    // An attempt that starts later in another pool is reported; by then, the second report would have come.
    let other = open("gevent", 1);
    other.submit([4000], "ignores_its_end_until_the_gate_opens");
    assert_eq!(other.record.wait(None, |record| record.blocked.first().copied()), Some(4000));
    GATES.lock().unwrap().push(4000);
    REPORTS.store(2, Ordering::Relaxed);
    first.record.wait(None, |record| record.ended.contains_key(&2).then_some(()));
    assert_eq!(first.record.look(|record| record.blocked.iter().filter(|&&id| id == 2).count()), 1);
    assert_eq!(of_others(), before);
}

#[test]
fn an_attempts_span_is_left_while_it_waits() {
    use tracing::span::{Attributes, Id, Record};
    use tracing::subscriber::Interest;
    use tracing::{Event, Metadata, Subscriber};

    /// Notes which spans are entered and left on the pool's thread.
    #[derive(Default)]
    struct Spans {
        next: AtomicUsize,
        entered: Mutex<Vec<u64>>,
        overlapping: AtomicBool,
        entries: AtomicUsize,
    }
    impl Subscriber for Spans {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.name() == "attempt"
        }
        fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
            // `enabled` is asked each time, since the other threads have no such dispatcher.
            Interest::sometimes()
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(self.next.fetch_add(1, Ordering::Relaxed) as u64 + 1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {}
        fn enter(&self, id: &Id) {
            let mut entered = self.entered.lock().unwrap();
            self.overlapping.fetch_or(!entered.is_empty(), Ordering::Relaxed);
            self.entries.fetch_add(1, Ordering::Relaxed);
            entered.push(id.into_u64());
        }
        fn exit(&self, id: &Id) {
            assert_eq!(self.entered.lock().unwrap().pop(), Some(id.into_u64()));
        }
    }

    // Only attempts of this test's pool are observed: a task sets the dispatcher, for its own thread.
    let spans = Arc::<Spans>::default();
    SPANS.lock().unwrap().replace(tracing::Dispatch::new(spans.clone()));
    let open = open("gevent", 2);
    open.submit([1], "sets_the_dispatcher");
    open.wait_for_ends(1);
    open.submit(2..6, "sleeps_thrice");
    open.wait_for_ends(5);
    assert!(!spans.overlapping.load(Ordering::Relaxed));
    assert_eq!(spans.entries.load(Ordering::Relaxed), 4 * 4);
    assert!(spans.entered.lock().unwrap().is_empty());
}

static SPANS: Mutex<Option<tracing::Dispatch>> = Mutex::new(None);

#[task(crate = pushflow_execute)]
fn sets_the_dispatcher() {
    let dispatch = SPANS.lock().unwrap().take().unwrap();
    // The dispatcher stays for as long as the thread lives.
    std::mem::forget(tracing::dispatcher::set_default(&dispatch));
    // The interest in the span of this attempt was cached before.
    tracing::callsite::rebuild_interest_cache();
}

#[task(crate = pushflow_execute)]
fn sleeps_thrice(context: &TaskContext) -> Result<(), Cancelled> {
    (0..3).try_for_each(|_| context.sleep(Duration::from_millis(2)))
}

/// `cargo test --release -p pushflow-pool --test green_pool measures -- --ignored --nocapture`
#[test]
#[ignore = "prints figures and asserts nothing"]
fn measures_attempts_in_bulk() {
    const COUNT: u64 = 200_000;
    for name in POOLS {
        let nanoseconds = |_| {
            let ended = Arc::new(Monitor::new(0));
            let sink: EventSink = {
                let ended = ended.clone();
                Arc::new(move |events| {
                    let ends = events.iter().filter(|event| !matches!(event, PoolEvent::Started { .. })).count() as u64;
                    // The waiting thread is woken at the end only.
                    let is_last = ended.look(|count| {
                        *count += ends;
                        *count == COUNT
                    });
                    if is_last {
                        ended.change(|_| ());
                    }
                })
            };
            let options = PoolOptions::default();
            let pool: Box<dyn Pool> = match name {
                "thread" => Box::new(ThreadPool::open(&options, false, sink).unwrap()),
                _ => Box::new(GreenPool::open(&options, false, sink).unwrap()),
            };
            let task = Arc::new(TaskSpec::rust("nothing"));
            let attempt =
                |id| Attempt { id: AttemptId(id), actor: "actor".into(), task: task.clone(), inputs: Data::new() };
            let begin = cpu_time();
            pool.submit((0..COUNT).map(attempt).collect());
            ended.wait(None, |count| (*count == COUNT).then_some(()));
            (cpu_time() - begin).as_secs_f64() * 1e9 / COUNT as f64
        };
        enable().unwrap();
        println!(
            "{name}: {:.0} ns of processor time an attempt",
            (0..5).map(nanoseconds).fold(f64::INFINITY, f64::min)
        );
    }
}

/// The processor time of all threads of this process, which other load on the machine changes little.
fn cpu_time() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec()).unwrap() * 1_000_000 + u64::try_from(time.tv_usec()).unwrap()
    };
    Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
}

#[task(crate = pushflow_execute)]
fn nothing() {}
