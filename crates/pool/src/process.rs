//! [`ProcessPool`]: isolated worker processes, started and buried by the guardian.
//!
//! ```text
//! ProcessPool ─submit──▶ engine ◀──▶ dispatcher (decides)
//!                        │ ▲  ▲
//!      ToWorker          │ │  └── runner: chores and time, and what the guardian says of processes
//!   (never blocks)       ▼ └───── links: what workers say (one thread each), and the output reader of what they print
//!                     workers
//! ```

mod connection;
mod dispatcher;
mod engine;
pub(crate) mod file_limits;
mod last_lines;
mod lifecycle;
mod output;
mod runner;

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pushflow_green::Cancellation;
use pushflow_guardian::{Guardian, Source};
use pushflow_model::{AttemptId, PoolType, PythonOptions, StartMethod};
use pushflow_protocol::slabs::SlabStore;

use self::connection::{ReaderThreads, WorkerLauncher};
use self::dispatcher::{Dispatcher, Event, Rules};
use self::engine::Engine;
use self::lifecycle::{Lifecycle, wait_until_ended, wait_until_open};
use self::output::OutputReader;
use self::runner::PoolRunner;
use crate::attempt::{Attempt, EventSink, Pool};
use crate::error::OpenError;
use crate::exit::{AtProcessExit, Registration};
use crate::options::PoolOptions;
use crate::policy::{AtExit, Policy};

/// How much longer than its graces the pool may take to report an attempt that it was asked to end.
const SLACK: Duration = Duration::from_secs(5);

/// How many workers of a pool may end before they begin an attempt that they were given.
const MAX_LOSSES_BEFORE_START: u8 = 3;

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
    lifecycle: Arc<Lifecycle>,
    interrupt_grace: Duration,
    exit_handler: ExitHandler,
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
        let policy = Policy::of(pool).ok_or(OpenError::NoProcesses(pool.name()))?;
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
        let rules = Rules { max_workers: 1, scaling: true, max_losses_before_start: 1, ..rules(&options) };
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
        let rules = file_limits::fitted(rules)?;
        let guardian = Guardian::shared(options.worker.as_deref(), options.start_method)?;
        let (inputs, received) = crossbeam_channel::unbounded();
        let marker = random_word()?;
        let lifecycle = Arc::<Lifecycle>::default();
        let worker_count = Arc::<AtomicUsize>::default();
        let dispatcher = Dispatcher::new(rules);
        let engine = Arc::new(Engine::new(dispatcher, events, inputs.clone(), lifecycle.clone(), worker_count.clone()));
        let runner = PoolRunner {
            engine: engine.clone(),
            launcher: WorkerLauncher {
                guardian,
                policy,
                marker: marker.clone(),
                python: python(options),
                on_orphan: policy.on_orphan(options.orphan_grace),
                slabs: SlabStore::default(),
                reader_threads: ReaderThreads::new(),
                source: source(options.start_method),
            },
            output: OutputReader::start(marker, engine.clone())?,
            inputs: received,
            to_self: inputs,
            processes: HashMap::new(),
        };
        let exit_handler = ExitHandler {
            engine: engine.clone(),
            lifecycle: lifecycle.clone(),
            terminates: policy.at_exit == AtExit::Terminate,
            limit: options.wait_on_exit_timeout,
        };
        let registration = Registration::new(exit_handler.clone())?;
        // Before anybody can submit anything.
        engine.open();
        let end = RunnerExitGuard { engine: engine.clone(), lifecycle: lifecycle.clone() };
        let runner = std::thread::Builder::new().name("pushflow-pool".into()).spawn(move || {
            let _end = end;
            runner.run();
        })?;
        let mut pool = ProcessPool {
            engine,
            runner: Some(runner),
            worker_count,
            lifecycle,
            interrupt_grace: options.interrupt_grace,
            exit_handler,
            _registration: registration,
        };
        if let Some(attempt) = only {
            pool.handle(Event::Submit(vec![attempt]));
            pool.handle(Event::Close);
        }
        let opened = wait_until_open(&pool.lifecycle, options.start_timeout, opening);
        if opened.is_err() {
            pool.abort();
        }
        opened.map(|()| pool)
    }

    /// Sends SIGTERM to the workers.
    pub(crate) fn terminate(&self) {
        self.handle(Event::Terminate);
    }

    /// Connection what is still there with SIGKILL, and waits for nothing.
    pub(crate) fn kill(&self) {
        self.handle(Event::Abort);
    }

    /// Begins what the exit of the process means for the pool.
    pub(crate) fn begin_exit(&self) {
        self.exit_handler.begin(self.exit_handler.terminates);
    }

    /// Connection what is still there, and waits for that: the dispatcher gives up what can't be ended.
    pub(crate) fn abort(&mut self) {
        self.handle(Event::Abort);
        self.join();
    }

    fn join(&mut self) {
        wait_until_ended(&self.lifecycle, None);
        if let Some(runner) = self.runner.take() {
            runner.join().ok();
        }
    }

    fn handle(&self, event: Event) {
        self.engine.on(event);
    }
}

/// Says, however the runner ends, that it has.
struct RunnerExitGuard {
    engine: Arc<Engine>,
    lifecycle: Arc<Lifecycle>,
}

impl Drop for RunnerExitGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.engine.lose_everything("the thread that runs the pool has panicked: this is a defect of pushflow");
        }
        self.engine.close();
        self.lifecycle.change(|state| state.ended = true);
    }
}

/// What ends a pool whose process exits, from whatever thread.
#[derive(Clone)]
struct ExitHandler {
    engine: Arc<Engine>,
    lifecycle: Arc<Lifecycle>,
    terminates: bool,
    limit: Option<Duration>,
}

impl ExitHandler {
    fn begin(&self, terminate: bool) {
        self.engine.on(Event::Exit { terminate });
    }
}

impl AtProcessExit for ExitHandler {
    fn begin(&self) {
        self.begin(self.terminates);
    }

    fn finish(&self, since: Instant) {
        let deadline = self.limit.and_then(|limit| since.checked_add(limit));
        if !wait_until_ended(&self.lifecycle, deadline) {
            self.engine.on(Event::Abort);
            wait_until_ended(&self.lifecycle, None);
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
        max_losses_before_start: MAX_LOSSES_BEFORE_START,
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
        self.handle(Event::Submit(attempts));
    }

    fn interrupt(&self, attempt: AttemptId) {
        self.handle(Event::Interrupt(attempt));
    }

    /// Its worker is being ended, and the dispatcher gives up and replaces one that can't be.
    fn give_up(&self, _: AttemptId) {}

    fn interrupt_running(&self) {
        self.handle(Event::InterruptRunning);
    }

    fn close(&mut self, deadline: Option<Instant>) -> bool {
        self.handle(Event::Close);
        let in_time = wait_until_ended(&self.lifecycle, deadline);
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
            self.exit_handler.begin(std::thread::panicking() && self.exit_handler.terminates);
            self.exit_handler.finish(Instant::now());
            self.join();
        }
    }
}
