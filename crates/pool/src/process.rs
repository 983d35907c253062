//! [`ProcessPool`]: isolated worker processes, which the guardian starts and reaps.
//!
//! ```text
//! ProcessPool ─submit──▶ engine ◀──▶ dispatcher (decides)
//!                        │ ▲  ▲
//!      ToWorker          │ │  └── runner: commands to the guardian, its reports on processes, ticks of the clock
//!   (never blocks)       ▼ └───── reader threads: messages of workers (one each); output thread: output of workers
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
use pushflow_guardian::{GuardianClient, GuardianError, ProcessSource, check_own_tasks};
use pushflow_model::{AttemptId, PoolType, PythonOptions, StartMethod};
use pushflow_protocol::slabs::SlabStore;

use self::connection::{ReaderThreads, WorkerFactory};
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

/// How much longer than its grace the pool may take to report the end of an interrupted attempt.
const SLACK: Duration = Duration::from_secs(5);

/// How many workers of a pool may end before they start an attempt that was assigned to them.
const MAX_LOSSES_BEFORE_START: u8 = 3;

/// A pool of isolated worker processes: every type but `thread` (`docs/parity.md` P97), by the rules of its [`Policy`].
///
/// A task that crashes its process ends that process and its own attempt, and nothing else. A task may itself open such
/// a pool if its worker is not daemonic or the pool is of the billiard family.
///
/// Dropped without having been closed, the pool waits for running attempts or ends them, as
/// [`PoolOptions::wait_on_exit`](field@PoolOptions::wait_on_exit) and the two options after it say. Dropped by a panic,
/// it does the same as when the process exits.
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
    /// When there is no worker program, the program is of another build or can't be started; in a daemonic worker,
    /// unless the pool is of the billiard family.
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

    /// Opens a pool of one worker for one attempt, waits until the worker is ready, and closes the pool after the
    /// attempt.
    ///
    /// The first worker that is ready runs the attempt. No other worker takes its place.
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

    /// Opens a pool; with `only`, a pool that runs that attempt and is closed for all others.
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
        let guardian = guardian(options)?;
        let (inputs, received) = crossbeam_channel::unbounded();
        let marker = random_token()?;
        let lifecycle = Arc::<Lifecycle>::default();
        let worker_count = Arc::<AtomicUsize>::default();
        let dispatcher = Dispatcher::new(rules);
        let engine = Arc::new(Engine::new(dispatcher, events, inputs.clone(), lifecycle.clone(), worker_count.clone()));
        let runner = PoolRunner {
            engine: engine.clone(),
            factory: WorkerFactory {
                guardian,
                policy,
                marker: marker.clone(),
                python: python(options),
                on_scheduler_exit: policy.on_scheduler_exit(options.orphan_grace),
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
        // The first workers start before any attempt can be submitted.
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

    /// Ends every worker with SIGKILL, without waiting for its end.
    pub(crate) fn kill(&self) {
        self.handle(Event::Abort);
    }

    /// Does to the pool what an exit of the process does, without waiting for its end.
    pub(crate) fn begin_exit(&self) {
        self.exit_handler.begin(self.exit_handler.terminates);
    }

    /// Ends every worker, and waits for that. The dispatcher gives up workers that can't be ended.
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

/// Sets the end of the runner in the lifecycle, also when the runner panics.
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

/// Ends a pool whose process exits, from any thread.
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

/// What the guardian makes workers of.
fn source(method: StartMethod) -> ProcessSource {
    match method {
        StartMethod::Default | StartMethod::Spawn => ProcessSource::Program,
        StartMethod::Forkserver | StartMethod::Fork => ProcessSource::Guardian,
    }
}

/// The guardian that starts the workers of a pool with these options.
fn guardian(options: &PoolOptions) -> Result<Arc<GuardianClient>, GuardianError> {
    // A program without a zygote is refused for the start method `fork` anyway.
    if options.start_method != StartMethod::Fork {
        check_own_tasks(options.worker.as_deref())?;
    }
    GuardianClient::shared(options.worker.as_deref(), options.start_method)
}

/// The options for the interpreters of the workers.
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
fn random_token() -> std::io::Result<String> {
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

    /// Does nothing: the worker of the attempt is being ended, and the dispatcher replaces a worker that can't be
    /// ended.
    fn give_up(&self, _: AttemptId) {}

    fn interrupt_running(&self) {
        self.handle(Event::InterruptRunning);
    }

    fn close(&mut self, deadline: Option<Instant>) -> bool {
        self.handle(Event::Close);
        let in_time = wait_until_ended(&self.lifecycle, deadline);
        // If the pool has ended in time, nothing is left for the abort.
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
