//! [`ProcessPool`]: isolated worker processes, started and buried by the guardian.
//!
//! ```text
//! ProcessPool ─submit──▶ engine ◀──▶ dispatcher (decides)
//!                        │ ▲  ▲
//!      ToWorker          │ │  └── runner: chores and time, and what the guardian says of processes
//!   (never blocks)       ▼ └───── links: what workers say (one thread each), and the output reader of what they print
//!                     workers
//! ```

mod dispatcher;
mod engine;
mod link;
mod output;
pub(crate) mod room;
mod runner;
mod tail;

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pushflow_green::{Cancellation, Monitor};
use pushflow_guardian::{Guardian, GuardianError, Source, check_own_tasks};
use pushflow_model::{AttemptId, NO_CHILDREN, PoolType, PythonOptions, StartMethod};
use pushflow_protocol::slabs::SlabStore;

use self::dispatcher::{Dispatcher, Event, MAX_FAILED_STARTS, Rules};
use self::engine::Engine;
use self::link::{Receivers, WorkerKind};
use self::output::OutputReader;
use self::runner::Runner;
use crate::attempt::{Attempt, EventSink, Pool};
use crate::error::OpenError;
use crate::exit::{AtProcessExit, Registration};
use crate::options::PoolOptions;
use crate::policy::{AtExit, Policy};

/// How much longer than its graces the pool may take to report an attempt that it was asked to end.
const SLACK: Duration = Duration::from_secs(5);

/// How much longer than its tries the opening of a pool may take, for a guardian that is slow.
const OPEN_SLACK: Duration = Duration::from_secs(10);

/// How many workers of a pool may end before they begin an attempt that they were given.
const MAX_UNBEGUN: u8 = 3;

/// A pool of isolated worker processes: every type but `thread` (`parity.md` P97), by the rules of its [`Policy`].
///
/// What a task does to its process ends that process and its one attempt, nothing else. A task may itself open such a
/// pool, if its worker is not daemonic or the pool is of the billiard family.
///
/// Dropped without having been closed, the pool lets running attempts end, as [`PoolOptions::wait_on_exit`] and its
/// companions say; dropped by a panic, it does what it does when the process exits.
pub struct ProcessPool {
    engine: Arc<Engine>,
    runner: Option<JoinHandle<()>>,
    worker_count: Arc<AtomicUsize>,
    progress: Arc<Progress>,
    interrupt_grace: Duration,
    ending: Ending,
    _registration: Registration,
}

impl ProcessPool {
    /// Opens a pool and waits until a worker is ready.
    ///
    /// # Errors
    /// When there is no worker program, it is of another build, or it can't be started; in a daemonic worker.
    pub fn open(
        pool: PoolType,
        options: &PoolOptions,
        events: EventSink,
        opening: &Cancellation,
    ) -> Result<ProcessPool, OpenError> {
        let policy = *Policy::of(pool).ok_or(OpenError::NoProcesses(pool.name()))?;
        let options = options.bounded();
        ProcessPool::open_by(policy, rules(&options), &options, None, events, opening)
    }

    /// Opens a pool of one worker for one attempt, with which it ends; waits until that worker is ready.
    ///
    /// The one worker that says that it is ready is given the attempt; no other takes its place.
    pub(crate) fn open_for(
        policy: Policy,
        options: &PoolOptions,
        attempt: Attempt,
        events: EventSink,
        opening: &Cancellation,
    ) -> Result<ProcessPool, OpenError> {
        let options = options.bounded();
        let rules = Rules { max_workers: 1, scaling: true, max_unbegun: 1, ..rules(&options) };
        ProcessPool::open_by(policy, rules, &options, Some(attempt), events, opening)
    }

    /// With `only` the pool is closed from the beginning, but for that attempt.
    fn open_by(
        policy: Policy,
        rules: Rules,
        options: &PoolOptions,
        only: Option<Attempt>,
        events: EventSink,
        opening: &Cancellation,
    ) -> Result<ProcessPool, OpenError> {
        pushflow_green::settle()?;
        let rules = room::fitted(rules)?;
        // A program without a zygote is refused for the start method `fork` anyway.
        if options.start_method != StartMethod::Fork {
            check_own_tasks(options.worker.as_deref()).map_err(GuardianError::from)?;
        }
        let guardian = Guardian::shared(options.worker.as_deref(), options.start_method)?;
        let (inputs, received) = crossbeam_channel::unbounded();
        let marker = random_word()?;
        let progress = Arc::<Progress>::default();
        let worker_count = Arc::<AtomicUsize>::default();
        let dispatcher = Dispatcher::new(rules);
        let engine = Arc::new(Engine::new(dispatcher, events, inputs.clone(), progress.clone(), worker_count.clone()));
        let runner = Runner {
            engine: engine.clone(),
            kind: WorkerKind {
                guardian,
                policy,
                marker: marker.clone(),
                python: python(options),
                on_orphan: policy.on_orphan(options.orphan_grace),
                slabs: SlabStore::default(),
                receivers: Receivers::new(),
                source: source(options.start_method),
            },
            output: OutputReader::start(marker, engine.clone())?,
            inputs: received,
            to_self: inputs,
            processes: HashMap::new(),
        };
        let ending = Ending {
            engine: engine.clone(),
            progress: progress.clone(),
            terminates: policy.at_exit == AtExit::Terminate,
            limit: options.wait_on_exit_timeout,
        };
        let registration = Registration::new(ending.clone())?;
        // Before anybody can submit anything.
        engine.open();
        let end = RunnerEnd { engine: engine.clone(), progress: progress.clone() };
        let runner = std::thread::Builder::new().name("pushflow-pool".into()).spawn(move || {
            let _end = end;
            runner.run();
        })?;
        let mut pool = ProcessPool {
            engine,
            runner: Some(runner),
            worker_count,
            progress,
            interrupt_grace: options.interrupt_grace,
            ending,
            _registration: registration,
        };
        if let Some(attempt) = only {
            pool.tell(Event::Submit(vec![attempt]));
            pool.tell(Event::Close);
        }
        let opened = wait_until_open(&pool.progress, options.start_timeout, opening);
        if opened.is_err() {
            pool.abort();
        }
        opened.map(|()| pool)
    }

    /// Sends SIGTERM to the workers.
    pub(crate) fn terminate(&self) {
        self.tell(Event::Terminate);
    }

    /// Ends what is still there with SIGKILL, and waits for nothing.
    pub(crate) fn kill(&self) {
        self.tell(Event::Abort);
    }

    /// Begins what the exit of the process means for the pool.
    pub(crate) fn begin_exit(&self) {
        self.ending.begin(self.ending.terminates);
    }

    /// Ends what is still there, and waits for that: the dispatcher gives up what can't be ended.
    pub(crate) fn abort(&mut self) {
        self.tell(Event::Abort);
        self.join();
    }

    fn join(&mut self) {
        wait_until_over(&self.progress, None);
        if let Some(runner) = self.runner.take() {
            runner.join().ok();
        }
    }

    fn tell(&self, event: Event) {
        self.engine.on(event);
    }
}

/// Waits for the runner's word that a worker is ready, as many tries as there are, each with its time; longer takes only a
/// guardian that is stopped. Hears that the pool is given up.
fn wait_until_open(progress: &Arc<Progress>, start_timeout: Duration, opening: &Cancellation) -> Result<(), OpenError> {
    opening.wakes(progress);
    let limit = MAX_FAILED_STARTS * start_timeout + OPEN_SLACK;
    let opened = progress.wait(Instant::now().checked_add(limit), |stage| match stage.opened.take() {
        Some(Ok(())) => Some(Ok(())),
        Some(Err(reason)) if reason == NO_CHILDREN => Some(Err(OpenError::Daemonic)),
        Some(Err(reason)) => Some(Err(OpenError::Worker(reason))),
        None if opening.is_cancelled() => Some(Err(OpenError::GivenUp)),
        None if stage.over => Some(Err(OpenError::Worker("the pool ended while it was opened".into()))),
        None => None,
    });
    opened.unwrap_or_else(|| Err(OpenError::Worker("the guardian does not answer".into())))
}

/// How far the runner has come; whoever waits for it lets other green tasks run.
type Progress = Monitor<Stage>;

/// A pool that is closed from the beginning may be over before it is looked at whether it was open.
#[derive(Debug, Default)]
struct Stage {
    /// Whether a worker has been ready, or why none will be.
    opened: Option<Result<(), String>>,
    /// The runner has ended.
    over: bool,
}

/// Says, however the runner ends, that it has.
struct RunnerEnd {
    engine: Arc<Engine>,
    progress: Arc<Progress>,
}

impl Drop for RunnerEnd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.engine.lose_everything("the thread that runs the pool has panicked: this is a defect of pushflow");
        }
        self.engine.close();
        self.progress.change(|stage| stage.over = true);
    }
}

/// Waits until the runner has ended: whether it has by the deadline.
fn wait_until_over(progress: &Progress, deadline: Option<Instant>) -> bool {
    progress.wait(deadline, |stage| stage.over.then_some(())).is_some()
}

/// What ends a pool whose process exits, from whatever thread.
#[derive(Clone)]
struct Ending {
    engine: Arc<Engine>,
    progress: Arc<Progress>,
    terminates: bool,
    limit: Option<Duration>,
}

impl Ending {
    fn begin(&self, terminate: bool) {
        self.engine.on(Event::Exit { terminate });
    }
}

impl AtProcessExit for Ending {
    fn begin(&self) {
        self.begin(self.terminates);
    }

    fn finish(&self, since: Instant) {
        let deadline = self.limit.and_then(|limit| since.checked_add(limit));
        if !wait_until_over(&self.progress, deadline) {
            self.engine.on(Event::Abort);
            wait_until_over(&self.progress, None);
        }
    }
}

/// What workers are made of.
fn source(method: StartMethod) -> Source {
    match method {
        StartMethod::Default | StartMethod::Spawn => Source::Program,
        StartMethod::Forkserver | StartMethod::Fork => Source::Guardian,
    }
}

/// How Python tasks are run.
fn python(options: &PoolOptions) -> Option<PythonOptions> {
    let warm = options.start_method == StartMethod::Forkserver;
    options.python.clone().map(|python| PythonOptions { warm, ..python })
}

fn rules(options: &PoolOptions) -> Rules {
    Rules {
        max_workers: options.worker_limit(),
        scaling: options.scaling,
        interrupt_grace: options.interrupt_grace,
        idle_timeout: options.idle_timeout,
        max_tasks: options.max_tasks_per_worker.map_or(usize::MAX, |most| most.max(1)),
        start_timeout: options.start_timeout,
        interpreter: options.python.as_ref().map(|python| PathBuf::from(&python.interpreter)),
        wait_on_exit: options.wait_on_exit,
        interrupt_on_exit: options.interrupt_on_exit,
        max_unbegun: MAX_UNBEGUN,
    }
}

/// 32 hexadecimal digits that nobody can guess.
fn random_word() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Pool for ProcessPool {
    fn submit(&self, attempts: Vec<Attempt>) {
        self.tell(Event::Submit(attempts));
    }

    fn interrupt(&self, attempt: AttemptId) {
        self.tell(Event::Interrupt(attempt));
    }

    /// Its worker is being ended, and the dispatcher gives up and replaces one that can't be.
    fn give_up(&self, _: AttemptId) {}

    fn interrupt_running(&self) {
        self.tell(Event::InterruptRunning);
    }

    fn close(&mut self, deadline: Option<Instant>) -> bool {
        self.tell(Event::Close);
        let in_time = wait_until_over(&self.progress, deadline);
        // A pool that has closed in time has nothing left to end.
        self.abort();
        in_time
    }

    fn patience(&self) -> Duration {
        self.interrupt_grace + SLACK
    }

    fn workers(&self) -> usize {
        self.worker_count.load(Ordering::Relaxed)
    }
}

impl Drop for ProcessPool {
    fn drop(&mut self) {
        if self.runner.is_some() {
            self.ending.begin(std::thread::panicking() && self.ending.terminates);
            self.ending.finish(Instant::now());
            self.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_is_over_before_anybody_looks_was_open_or_not_for_its_own_reason() {
        let opened = |opened| {
            let progress = Arc::new(Monitor::new(Stage { opened, over: true }));
            wait_until_open(&progress, Duration::ZERO, &Cancellation::new())
        };
        assert!(opened(Some(Ok(()))).is_ok());
        assert!(matches!(opened(Some(Err(NO_CHILDREN.to_owned()))), Err(OpenError::Daemonic)));
        assert_eq!(opened(None).unwrap_err().to_string(), "the pool ended while it was opened");
    }
}
