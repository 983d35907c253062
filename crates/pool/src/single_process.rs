//! [`Process`]: a single process that runs one task, of the family multiprocessing or billiard.
//!
//! A single process is a pool of one worker that is closed for all attempts but one. So its start, its exit, its output
//! and its end as an orphan are those of the pools, and the policy table is the only place of the rules.
//!
//! # States
//! A process *runs* from its start until its worker and all processes below the worker have ended, and the outcome of
//! its task is known. Then it has *ended*. Its end is one moment: a join that returns finds the exit code and the
//! outcome. The pool's runner sets the end when it is dropped, and it is dropped after every end of a worker, also when
//! the guardian is lost. So no join waits for ever for a process that does not exist any more.

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

/// The exit code of a process whose end could not be observed. Python has the same one when its fork server has ended.
const UNKNOWN_EXIT_CODE: i32 = 255;

/// A single process that runs one task, the original's `Process` of `multiprocessing` and `billiard` (`docs/parity.md`
/// P108, P109). Its pid stays the same, and none of its processes is left when it has ended.
///
/// A process that is dropped while it runs is treated as at the exit of this process: it is waited for as
/// [`PoolOptions::wait_on_exit`](field@PoolOptions::wait_on_exit) and `wait_on_exit_timeout` say. A daemonic process
/// gets SIGTERM, and SIGKILL after [`PoolOptions::interrupt_grace`](field@PoolOptions::interrupt_grace).
///
/// ```no_run
/// use pushflow_execute::task;
/// use pushflow_model::{Data, TaskSpec};
/// use pushflow_pool::{PoolOptions, Process, ProcessKind};
///
/// #[task(crate = pushflow_execute)]
/// fn exits() {
///     std::process::exit(3);
/// }
///
/// // `pushflow::init()` comes first thing in `main`.
/// let process = Process::start(ProcessKind::new(), &PoolOptions::new(), TaskSpec::rust("exits"), Data::new())?;
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
    /// The attempt in which the process was started: waiting ends when that attempt is to end.
    cancellation: Option<Cancellation>,
}

#[derive(Default)]
struct ProcessState {
    pid: Option<u32>,
    exit: Option<Exit>,
    outcome: Option<TaskResult>,
    ended: bool,
}

/// Sets the end of the process. It is held by the sink of the pool, which the runner drops last.
struct EndGuard(Arc<Monitor<ProcessState>>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.change(|state| state.ended = true);
    }
}

impl Process {
    /// Starts a process for a task, and waits until it runs.
    ///
    /// Of the options, those about workers are used: `start_method`, `worker`, `python`, `start_timeout`,
    /// `interrupt_grace`, `orphan_grace`, and the three about the exit.
    ///
    /// # Errors
    /// When there is no worker program, the program is of another build or can't be started; in a daemonic process,
    /// unless the new process is of the billiard family.
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
        // The pool is open when its worker is ready; the same events report the pid.
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

    /// The name that the process has for its task, such as `mpprocess-1`.
    pub fn name(&self) -> String {
        format!("{}-1", self.name)
    }

    /// Its pid, also when it has ended.
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

    /// Waits until the process has ended, at most `limit`. Returns whether it has.
    ///
    /// Of what a task opened through [`crate::NestedPools`], the wait also ends, with `false`, when the task's own attempt
    /// is to end.
    pub fn join(&self, limit: Option<Duration>) -> bool {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let given_up = || self.cancellation.as_ref().is_some_and(Cancellation::is_cancelled);
        let found = self.shared.wait(deadline, |state| (state.ended || given_up()).then_some(state.ended));
        found.unwrap_or(false)
    }

    /// Sends SIGTERM to the process and to the command that it runs. The process ends unless its task handles the
    /// signal.
    pub fn terminate(&self) {
        self.pool.terminate();
    }

    /// Sends SIGKILL to the process and all processes below it.
    pub fn kill(&self) {
        self.pool.kill();
    }

    /// The exit code, once the process has ended, as Python has it: 0, 1 if the task failed, the code that the task
    /// gave to `exit`, or the negative number of the signal that killed the process. 255 if the end could not be
    /// observed.
    pub fn exitcode(&self) -> Option<i32> {
        self.shared.look(|state| state.ended.then(|| exitcode(state.exit, state.outcome.as_ref())))
    }

    /// The outcome of its task, once the process has ended.
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
        // A daemonic process is killed after its grace.
        self.join(if self.daemonic { None } else { self.limit });
        self.pool.abort();
    }
}

impl ProcessState {
    /// Takes in events, on a thread of the pool.
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

/// The outcome when none was reported: the thread of the pool has panicked.
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
