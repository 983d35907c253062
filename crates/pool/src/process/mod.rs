//! [`ProcessPool`]: isolated worker processes, started and buried by the guardian.
//!
//! ```text
//! ProcessPool ──Input──▶ runner ◀──▶ dispatcher (decides)
//!                        │  ▲  ▲
//!      ToWorker          │  │  └── output reader: what workers print (one thread)
//!   (never blocks)       ▼  └───── links: what workers say (one thread each)
//!                      workers          and the guardian: what became of their processes
//! ```

mod dispatcher;
mod link;
mod output;
mod runner;
mod tail;

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender};
use pushflow_protocol::{AttemptId, OnOrphan, Source, WorkerSettings};

use self::dispatcher::{Dispatcher, Event, MAX_FAILED_STARTS, Rules};
use self::link::WorkerKind;
use self::output::OutputReader;
use self::runner::{Input, Runner};
use crate::attempt::{Attempt, EventSink, Pool};
use crate::green::{self, EnvironmentError};
use crate::guardian::{Guardian, GuardianError};
use crate::options::{PoolOptions, StartMethod};

/// How much longer than its graces the pool may take to report an attempt that it was asked to end.
const SLACK: Duration = Duration::from_secs(5);

/// How long the end of all workers may take once they are killed.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a pool can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no guardian.
    #[error(transparent)]
    Guardian(#[from] GuardianError),
    /// No worker could be started.
    #[error("{0}")]
    Worker(String),
    /// The pool `gevent` was asked for in the plain environment.
    #[error(
        "the pool \"gevent\" needs the green environment: choose it with --environment green, PUSHFLOW_ENVIRONMENT=green \
         or pushflow::green::enable(), before the first pool"
    )]
    NotGreen,
    /// The environment can't be known.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The machine has no threads or file descriptors left.
    #[error("the pool could not be opened: {0}")]
    Io(#[from] std::io::Error),
}

/// A pool of isolated worker processes (`parity.md` P97, type `process`).
///
/// What a task does to its process ends that process and its one attempt, nothing else.
pub struct ProcessPool {
    inputs: Sender<Input>,
    runner: Option<JoinHandle<()>>,
    worker_count: Arc<AtomicUsize>,
    finished: crossbeam_channel::Receiver<()>,
    interrupt_grace: Duration,
}

impl ProcessPool {
    /// Opens a pool and waits until a worker is ready; `build` is that of the running program, which workers must be of
    /// too.
    ///
    /// # Errors
    /// When there is no worker program, it is of another build, or it can't be started.
    pub fn open(options: &PoolOptions, build: &str, events: EventSink) -> Result<ProcessPool, OpenError> {
        green::settle()?;
        let guardian = Guardian::shared(options.worker.as_deref(), options.start_method, build)?;
        let (inputs, received) = crossbeam_channel::unbounded();
        let marker = random_word()?;
        let settings = WorkerSettings { marker: marker.clone(), python: options.python.clone(), start_python: false };
        let (opened, open) = crossbeam_channel::bounded(1);
        let (finish, finished) = crossbeam_channel::bounded(0);
        let worker_count = Arc::<AtomicUsize>::default();
        let runner = Runner {
            dispatcher: Dispatcher::new(rules(options)),
            kind: WorkerKind {
                guardian,
                build: build.to_owned(),
                settings,
                on_orphan: OnOrphan::after(options.orphan_grace),
                source: source(options.start_method),
            },
            output: OutputReader::start(marker, inputs.clone())?,
            inputs: received,
            to_self: inputs.clone(),
            events,
            reports: Vec::new(),
            opened: Some(opened),
            worker_count: worker_count.clone(),
            links: HashMap::new(),
        };
        let runner = std::thread::Builder::new().name("pushflow-pool".into()).spawn(move || {
            runner.run();
            drop(finish);
        })?;
        let interrupt_grace = options.interrupt_grace;
        let pool = ProcessPool { inputs, runner: Some(runner), worker_count, finished, interrupt_grace };
        // As many tries as there are, each with its time; longer takes only a guardian that is stopped.
        match open.recv_timeout(MAX_FAILED_STARTS * options.start_timeout + END_TIMEOUT) {
            Ok(Ok(())) => Ok(pool),
            Ok(Err(reason)) => Err(OpenError::Worker(reason)),
            Err(RecvTimeoutError::Timeout) => Err(OpenError::Worker("the guardian does not answer".into())),
            Err(RecvTimeoutError::Disconnected) => Err(OpenError::Worker("the pool ended while it was opened".into())),
        }
    }

    /// Ends what is still there, and waits for that, but not for ever: the guardian may have been stopped from outside,
    /// or a process may be stuck in the kernel.
    fn end(&mut self) {
        let Some(runner) = self.runner.take() else { return };
        self.tell(Event::Abort);
        match self.finished.recv_timeout(END_TIMEOUT) {
            Err(RecvTimeoutError::Timeout) => {
                tracing::error!("workers could not be ended within {} s and are left behind", END_TIMEOUT.as_secs());
            }
            _ => drop(runner.join()),
        }
    }

    /// That the runner has ended is seen elsewhere.
    fn tell(&self, event: Event) {
        self.inputs.send(Input::Event(event)).ok();
    }
}

/// What workers are made of.
fn source(method: StartMethod) -> Source {
    match method {
        StartMethod::Default | StartMethod::Spawn => Source::Program,
        StartMethod::Forkserver | StartMethod::Fork => Source::Guardian,
    }
}

fn rules(options: &PoolOptions) -> Rules {
    Rules {
        max_workers: options.worker_limit(),
        scaling: options.scaling,
        interrupt_grace: options.interrupt_grace,
        idle_timeout: options.idle_timeout,
        start_timeout: options.start_timeout,
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

    fn close(&mut self, deadline: Option<Instant>) -> bool {
        self.tell(Event::Close);
        // Nothing is ever sent: the channel ends with the runner.
        let in_time = match deadline {
            Some(deadline) => self.finished.recv_deadline(deadline) != Err(RecvTimeoutError::Timeout),
            None => self.finished.recv().is_err(),
        };
        // A pool that has closed in time has nothing left to end.
        self.end();
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
        self.end();
    }
}
