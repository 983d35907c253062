//! A pool of threads: futures of its tasks, polled by hand, and callbacks that use the pool.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};

use pushflow_execute::{TaskContext, task};
use pushflow_model::ErrorKind;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

#[task(crate = pushflow_execute, name = "task_pool.double")]
fn double(number: i64) -> i64 {
    2 * number
}

#[task(crate = pushflow_execute, name = "task_pool.waits")]
fn waits(context: &TaskContext) -> Result<(), pushflow_green::Cancelled> {
    context.sleep(HOUR)
}

/// Where the attempts of the next task stand until a test has looked at them.
static GATE: Barrier = Barrier::new(2);

#[task(crate = pushflow_execute, name = "task_pool.passes_the_gate")]
fn passes_the_gate() -> i64 {
    GATE.wait();
    7
}

/// The same for another test.
static ANOTHER_GATE: Barrier = Barrier::new(2);

#[task(crate = pushflow_execute, name = "task_pool.passes_another_gate")]
fn passes_another_gate() -> i64 {
    ANOTHER_GATE.wait();
    8
}

/// A pool of threads without a guardian: it runs no commands.
fn open_with(cancellation: Option<&Cancellation>, start_thread: StartThread) -> TaskPool {
    let options = PoolOptions::default();
    let open = |events| ThreadPool::open(&options, false, events).map(|pool| Box::new(pool) as Box<dyn Pool>);
    TaskPool::over(&options, cancellation, start_thread, open).unwrap()
}

fn open() -> TaskPool {
    open_with(None, start_thread)
}

fn doubling(pool: &TaskPool, number: i64) -> Pending<'_> {
    pool.submit(double::spec(), Data::new().with("number", number)).unwrap()
}

/// Unparks a thread.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// An executor of one future: the calling thread sleeps until the future's waker is woken.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll_once(pending: &mut Pending<'_>, waker: &Waker) -> Poll<TaskResult> {
    std::pin::Pin::new(pending).poll(&mut Context::from_waker(waker))
}

#[test]
fn a_task_is_a_future_of_its_outcome() {
    let pool = open();
    assert_eq!(block_on(doubling(&pool, 21)).unwrap().returned(), Ok(42));
    let chain = async {
        let first: i64 = doubling(&pool, 1).await?.returned().unwrap();
        doubling(&pool, first).await
    };
    assert_eq!(block_on(chain).unwrap().returned(), Ok(4));
}

#[test]
fn a_pending_task_wakes_its_future_once_and_keeps_only_the_last_waker() {
    let pool = open();
    let mut pending = pool.submit(passes_the_gate::spec(), Data::new()).unwrap();
    let counts: [Arc<Count>; 2] = Default::default();
    let wakers = counts.clone().map(Waker::from);
    assert!(poll_once(&mut pending, &wakers[0]).is_pending());
    assert!(poll_once(&mut pending, &wakers[1]).is_pending());
    drop(wakers);
    assert_eq!(counts.each_ref().map(Arc::strong_count), [1, 2], "the first waker is dropped, the second is kept");
    GATE.wait();
    // The callbacks' thread wakes the waker, and with that drops it.
    while Arc::strong_count(&counts[1]) > 1 {
        std::thread::yield_now();
    }
    assert_eq!(counts.each_ref().map(|count| count.0.load(Ordering::SeqCst)), [0, 1]);
    assert_eq!(pending.wait().unwrap().returned(), Ok(7), "what was polled can be waited for, too");
}

/// Uses a pool while it is woken, says so, and panics.
struct UsesThePool {
    pool: std::sync::Weak<TaskPool>,
    woken: Mutex<mpsc::Sender<usize>>,
}

impl Wake for UsesThePool {
    fn wake(self: Arc<Self>) {
        let pool = self.pool.upgrade().expect("the test has it");
        pool.interrupt();
        pool.submit_then(double::spec(), Data::new().with("number", 1), drop).unwrap();
        self.woken.lock().unwrap().send(pool.workers()).unwrap();
        panic!("no pool ends by this");
    }
}

#[test]
fn a_waker_may_use_the_pool_and_panic() {
    let pool = Arc::new(open());
    let (sender, woken) = mpsc::channel();
    let waker = UsesThePool { pool: Arc::downgrade(&pool), woken: Mutex::new(sender) };
    let mut pending = pool.submit(passes_another_gate::spec(), Data::new()).unwrap();
    assert!(poll_once(&mut pending, &Waker::from(Arc::new(waker))).is_pending());
    ANOTHER_GATE.wait();
    // Were the waker woken with a lock of the pool held, the pool would stand still, and this limit would be reached.
    let workers = woken.recv_timeout(Duration::from_secs(60));
    assert!(workers.is_ok(), "the waker did not come back");
    assert_eq!(pending.wait().unwrap().returned(), Ok(8));
    assert_eq!(doubling(&pool, 21).wait().unwrap().returned(), Ok(42));
}

#[test]
fn a_dropped_future_drops_its_waker_and_its_outcome() {
    let pool = open();
    let mut pending = pool.submit(waits::spec(), Data::new()).unwrap();
    let count = Arc::<Count>::default();
    assert!(poll_once(&mut pending, &Waker::from(count.clone())).is_pending());
    drop(pending);
    assert_eq!(Arc::strong_count(&count), 1);
    // It may not have started yet, and only a running attempt is interrupted.
    while !pool.join(Some(Duration::from_millis(1))) {
        pool.interrupt();
    }
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
    assert!(pool.shared.look(|state| state.holds_nothing()));
}

#[test]
fn a_thousand_futures_are_driven_at_once_by_a_thread_that_is_not_of_the_pool() {
    const COUNT: i64 = 1000;
    let pool = open();
    let results = std::thread::scope(|scope| {
        let driver = scope.spawn(|| {
            let mut open: Vec<_> = (0..COUNT).map(|number| Some(doubling(&pool, number))).collect();
            let mut results = vec![0; open.len()];
            let all = poll_fn(|context| {
                for (slot, result) in open.iter_mut().zip(&mut results) {
                    if let Some(pending) = slot
                        && let Poll::Ready(outcome) = std::pin::Pin::new(pending).poll(context)
                    {
                        *result = outcome.unwrap().returned().unwrap();
                        *slot = None;
                    }
                }
                if open.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
            });
            block_on(all);
            results
        });
        driver.join().unwrap()
    });
    assert!(results.into_iter().eq((0..COUNT).map(|number| 2 * number)));
    assert!(pool.shared.look(|state| state.holds_nothing()));
}

#[test]
fn futures_of_a_task_that_is_to_end_end_and_interrupt_what_they_waited_for() {
    let cancellation = Cancellation::new();
    let pool = open_with(Some(&cancellation), start_thread);
    let pending = pool.submit(waits::spec(), Data::new()).unwrap();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| cancellation.cancel());
        block_on(pending).unwrap_err()
    });
    assert_eq!(
        (error.kind, &*error.message),
        (ErrorKind::Stopped, "the attempt that waited for this task was interrupted")
    );
    // The attempt around the pool is to end, so that the pool's own waits do not wait; the interrupted attempt ends.
    while !pool.shared.look(|state| state.is_done()) {
        std::thread::yield_now();
    }
    assert!(pool.shared.look(|state| state.holds_nothing()));
}

#[test]
#[should_panic(expected = "is polled again after it was ready")]
fn a_future_that_was_ready_is_not_polled_again() {
    let pool = open();
    let mut pending = doubling(&pool, 1);
    pool.join(None);
    assert!(poll_once(&mut pending, Waker::noop()).is_ready());
    drop(poll_once(&mut pending, Waker::noop()));
}

#[test]
fn an_outcome_is_waited_for_as_the_type_that_the_function_returns() {
    let pool = open();
    assert_eq!(doubling(&pool, 21).wait_as::<i64>(), Ok(42));
    let error = doubling(&pool, 21).wait_as::<String>().unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadResult);
    assert!(error.message.ends_with("expected a string, found the integer 42, at return_value"), "{error}");
    assert_eq!(
        pool.submit(double::spec(), Data::new()).unwrap().wait_as::<i64>().unwrap_err().kind,
        ErrorKind::BadInput
    );
}

#[test]
fn a_callback_submits_to_its_pool() {
    let pool = Arc::new(open());
    let (sender, outcomes) = mpsc::channel();
    let again = pool.clone();
    let callback = move |_: TaskResult| {
        again
            .submit_then(double::spec(), Data::new().with("number", 2), move |outcome| drop(sender.send(outcome)))
            .unwrap();
    };
    pool.submit_then(double::spec(), Data::new().with("number", 1), callback).unwrap();
    assert_eq!(outcomes.recv().unwrap().unwrap().returned(), Ok(4));
}

#[test]
fn a_task_whose_callback_no_thread_could_call_is_refused_and_the_pool_goes_on() {
    /// Whether threads can be started.
    static STARTS: Mutex<bool> = Mutex::new(false);
    let starts = |name: &str, run| match *STARTS.lock().unwrap() {
        true => start_thread(name, run),
        false => Err(std::io::Error::from_raw_os_error(11)),
    };
    let pool = open_with(None, starts);
    let (sender, outcomes) = mpsc::channel();
    let submit = || {
        let sender = sender.clone();
        pool.submit_then(double::spec(), Data::new().with("number", 1), move |outcome| drop(sender.send(outcome)))
    };
    let refused = submit().unwrap_err();
    assert!(matches!(refused, SubmitError::NoThread(_)), "{refused}");
    assert_eq!(doubling(&pool, 3).wait_as(), Ok(6));
    assert!(pool.join(None) && outcomes.try_recv().is_err());
    *STARTS.lock().unwrap() = true;
    submit().unwrap();
    assert_eq!(outcomes.recv().unwrap().unwrap().returned(), Ok(2));
}
