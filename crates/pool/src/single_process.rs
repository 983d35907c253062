//! [`Process`]: a single process that runs one task, of the family multiprocessing or billiard.
//!
//! It is a pool of one worker that is closed from the beginning, but for one attempt: the same engine, guardian and
//! rules, so that nothing is told twice how a process lives and dies.
//!
//! # States
//! A process *runs* from its start until its worker has ended, nothing below it is left, and it is known how its task
//! ended; then it is *over*, for good. Being over is one moment: a join that ends with it finds the exit code and the
//! outcome. What makes it over is the last act of the pool's thread, which every end of a worker leads to, a guardian
//! that was lost included: so no join waits for ever for a process that is gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pushflow_green::{Cancellation, Monitor};
use pushflow_model::{AttemptId, Data, ErrorKind, Exit, TaskError, TaskSpec};

use crate::attempt::{Attempt, PoolEvent, TaskResult};
use crate::error::OpenError;
use crate::options::PoolOptions;
use crate::policy::{AtExit, Policy, ProcessKind};
use crate::process::ProcessPool;
use crate::task_output::print_output;

/// The exit code of a process of whose end nothing could be seen: Python's own, when its fork server is gone.
const UNKNOWN_EXIT_CODE: i32 = 255;

/// A single process that runs one task, the original's `Process` of `multiprocessing` and `billiard` (`parity.md` P108,
/// P109). The pid stays the same, and nothing of it is left when it is over.
///
/// Dropped while it runs, it is treated as at the exit of this process: waited for as [`PoolOptions::wait_on_exit`] and
/// `wait_on_exit_timeout` say; a daemonic one gets SIGTERM, and SIGKILL after [`PoolOptions::interrupt_grace`].
///
/// ```no_run
/// use pushflow_pool::{PoolOptions, Process, ProcessKind};
/// use pushflow_execute::task;
/// use pushflow_model::TaskSpec;
/// use pushflow_model::Data;
///
/// #[task(crate = pushflow_execute)]
/// fn exits() {
///     std::process::exit(3);
/// }
///
/// // `pushflow::init()` comes first thing in `main`.
/// let process =
///     Process::start(ProcessKind::default(), &PoolOptions::default(), TaskSpec::rust("exits"), Data::new())?;
/// assert!(process.join(None));
/// assert_eq!(process.exitcode(), Some(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Process {
    pool: ProcessPool,
    shared: Arc<Monitor<ProcessState>>,
    pid: u32,
    name: &'static str,
    daemonic: bool,
    /// How long a drop waits.
    limit: Option<Duration>,
    /// The attempt in which it was started: waiting ends when that is to end.
    cancellation: Option<Cancellation>,
}

#[derive(Default)]
struct ProcessState {
    pid: Option<u32>,
    exit: Option<Exit>,
    outcome: Option<TaskResult>,
    ended: bool,
}

/// Held by the pool's thread to its end.
struct EndGuard(Arc<Monitor<ProcessState>>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.change(|state| state.ended = true);
    }
}

impl Process {
    /// Starts a process for a task, and waits until it runs.
    ///
    /// Of the options those about workers count: `start_method`, `worker`, `python`, `start_timeout`, `interrupt_grace`,
    /// `orphan_grace`, and the three about the exit.
    ///
    /// # Errors
    /// When there is no worker program, it is of another build, or it can't be started; in a daemonic process, unless it
    /// is of the billiard family.
    pub fn start(kind: ProcessKind, options: &PoolOptions, task: TaskSpec, inputs: Data) -> Result<Process, OpenError> {
        Process::start_within(kind, options, task, inputs, None)
    }

    pub(crate) fn start_within(
        kind: ProcessKind,
        options: &PoolOptions,
        task: TaskSpec,
        inputs: Data,
        cancellation: Option<&Cancellation>,
    ) -> Result<Process, OpenError> {
        let policy = Policy::of_process(kind);
        let shared = Arc::<Monitor<ProcessState>>::default();
        if let Some(cancellation) = cancellation {
            cancellation.wakes(&shared);
        }
        let attempt = Attempt { id: AttemptId(1), actor: policy.name.into(), task: Arc::new(task), inputs };
        let guard = EndGuard(shared.clone());
        let events = Arc::new(move |events: Vec<PoolEvent>| {
            let events = print_output(events);
            guard.0.change(|state| state.handle(events));
        });
        let pool = ProcessPool::open_for(policy, options, attempt, events, &cancellation.cloned().unwrap_or_default())?;
        // It is told in the same breath that the pool is open and which process that is.
        let pid = shared.wait(None, |state| state.pid.or(state.ended.then_some(0))).unwrap_or_default();
        Ok(Process {
            pool,
            shared,
            pid,
            name: policy.name,
            daemonic: policy.at_exit == AtExit::Terminate,
            limit: if options.wait_on_exit { options.wait_on_exit_timeout } else { Some(Duration::ZERO) },
            cancellation: cancellation.cloned(),
        })
    }

    /// What it is called inside, such as `mpprocess-1`.
    pub fn name(&self) -> String {
        format!("{}-1", self.name)
    }

    /// Its pid, also when it is over.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it is daemonic.
    pub fn is_daemonic(&self) -> bool {
        self.daemonic
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        self.shared.look(|state| !state.ended)
    }

    /// Waits until it is over, at most `limit`: whether it is.
    ///
    /// In a task it also ends, with `false`, when the task's own attempt is to end.
    pub fn join(&self, limit: Option<Duration>) -> bool {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let given_up = || self.cancellation.as_ref().is_some_and(Cancellation::is_cancelled);
        let found = self.shared.wait(deadline, |state| (state.ended || given_up()).then_some(state.ended));
        found.unwrap_or(false)
    }

    /// Sends SIGTERM, which ends it unless its task handles that in its own way: a command gets it, too.
    pub fn terminate(&self) {
        self.pool.terminate();
    }

    /// Sends SIGKILL to it and everything below it.
    pub fn kill(&self) {
        self.pool.kill();
    }

    /// How it ended, once it is over, as Python has it: 0, 1 if its task failed, what its task gave to `exit`, or the
    /// number of the signal that killed it, negative. 255 where its end could not be seen.
    pub fn exitcode(&self) -> Option<i32> {
        self.shared.look(|state| state.ended.then(|| exitcode(state.exit, state.outcome.as_ref())))
    }

    /// What its task came to, once it is over.
    ///
    /// # Errors
    /// However the attempt failed.
    pub fn result(&self) -> Option<TaskResult> {
        self.shared.look(|state| state.ended.then(|| state.outcome.clone().unwrap_or_else(|| Err(unknown_end()))))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.daemonic {
            self.pool.begin_exit();
        }
        // A daemonic one is killed when its grace is over.
        self.join(if self.daemonic { None } else { self.limit });
        self.pool.abort();
    }
}

impl ProcessState {
    /// Called on the pool's thread.
    fn handle(&mut self, events: Vec<PoolEvent>) {
        for event in events {
            match event {
                PoolEvent::WorkerStarted { pid } => self.pid = Some(pid),
                PoolEvent::WorkerEnded { pid, exit } if self.pid == Some(pid) => self.exit = Some(exit),
                PoolEvent::Finished { result, .. } => self.outcome = Some(Ok(result)),
                PoolEvent::Failed { error, .. } => self.outcome = Some(Err(error)),
                _ => {}
            }
        }
    }
}

fn exitcode(exit: Option<Exit>, outcome: Option<&TaskResult>) -> i32 {
    match exit {
        Some(Exit::Code(0)) => i32::from(!matches!(outcome, Some(Ok(_)))),
        Some(Exit::Code(code)) => code,
        Some(Exit::Signal(number)) => -number,
        Some(Exit::Unknown) | None => UNKNOWN_EXIT_CODE,
    }
}

/// Every attempt is reported; this is for the pool whose thread panicked.
fn unknown_end() -> TaskError {
    TaskError::new(ErrorKind::WorkerLost, "the process ended, and it could not be seen how")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_python() {
        let (good, bad) = (Ok(Data::new()), Err(unknown_end()));
        assert_eq!(exitcode(Some(Exit::Code(0)), Some(&good)), 0);
        assert_eq!(exitcode(Some(Exit::Code(0)), Some(&bad)), 1);
        assert_eq!(exitcode(Some(Exit::Code(3)), Some(&bad)), 3);
        assert_eq!(exitcode(Some(Exit::Signal(15)), Some(&bad)), -15);
        assert_eq!(exitcode(Some(Exit::Unknown), Some(&bad)), 255);
        assert_eq!(exitcode(None, Some(&bad)), 255);
    }
}
