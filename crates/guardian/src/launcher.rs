//! The launchers that start the processes of attempts through the guardian, so that none outlives its owner:
//! [`GuardedLauncher`] in a scheduler, [`WorkerLauncher`] in a worker.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pushflow_green::Monitor;
use pushflow_model::{Exit, StartMethod};
use pushflow_os::limits::name_limit;

use crate::client::{GuardianClient, Listener, ProcessEvent};
use crate::launch::{Child, Launch, LaunchError, Launcher, classify_launch_error, resolve_program};
use crate::messages::{OnSchedulerExit, ProcessId, ProcessSource, StartFailure, StartRequest, WORKER_PID};
use crate::role;

/// The error number for a process that the guardian refuses.
const EPERM: i32 = nix::errno::Errno::EPERM as i32;

/// How long the guardian may take to start a process. It takes about a millisecond.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Starts processes through a guardian.
pub struct GuardedLauncher {
    /// The guardian.
    pub guardian: Arc<GuardianClient>,
    /// What happens to the processes after the end of the scheduler.
    pub on_scheduler_exit: OnSchedulerExit,
    /// The processes of the pool that have not been waited for, to which this launcher adds its own.
    pub started: Arc<StartedProcesses>,
    /// Called for each event of each process.
    pub stops: Option<StopListener>,
}

/// A function for [`ProcessEvent::Stopped`] and [`ProcessEvent::Continued`]. It is called for all events.
pub type StopListener = Arc<dyn Fn(&ProcessEvent) + Send + Sync>;

impl Launcher for GuardedLauncher {
    fn launch(&self, launch: Launch) -> Result<Arc<dyn Child>, LaunchError> {
        let program = resolve_program(&launch)?;
        let is_warm = launch.warm.is_some();
        let directory = match &launch.directory {
            Some(directory) => std::path::absolute(directory)?,
            None => std::env::current_dir()?,
        };
        // A scheduler that the task starts makes its run directory inside this one, which is removed in any case.
        let around = (OsString::from(role::RUN_DIRECTORY), self.guardian.run_directory.clone());
        let environment = std::env::vars_os().chain(launch.environment).chain([around]);
        let environment = environment.map(|(name, value)| (name, Some(value)));
        let request = StartRequest {
            source: launch.warm.map_or(ProcessSource::Program, |warm| ProcessSource::Warm(Box::new(warm))),
            program: program.clone().into_os_string(),
            arguments: launch.argv,
            environment: environment.collect::<Vec<(OsString, Option<OsString>)>>(),
            directory: Some(directory.clone().into_os_string()),
            numbers: vec![0, 1, 2],
            drains: 0,
            on_scheduler_exit: self.on_scheduler_exit,
            class: None,
        };
        let files: [OwnedFd; 3] = [
            launch.stdin.map_or_else(|| File::open("/dev/null").map(OwnedFd::from), Ok)?,
            launch.stdout.map_or_else(|| io::stdout().as_fd().try_clone_to_owned(), Ok)?,
            launch.stderr.map_or_else(|| io::stderr().as_fd().try_clone_to_owned(), Ok)?,
        ];
        let progress = Arc::<Progress>::default();
        let listener = {
            let (progress, stops) = (progress.clone(), self.stops.clone());
            move |event| {
                stops.iter().for_each(|stops| stops(&event));
                progress.note(event);
            }
        };
        let process = self.started.launch(&self.guardian, request, &files, Box::new(listener))?;
        drop(files);
        let entry = StartedEntry { started: self.started.clone(), process };
        let child = GuardedChild { guardian: self.guardian.clone(), entry, progress, program, directory };
        // A warm interpreter may have to import much first. The attempt can stop waiting for it, this function could
        // not.
        match (!is_warm).then(|| child.refusal_after_wait()).flatten() {
            Some(refusal) => Err(refusal),
            None => Ok(Arc::new(child)),
        }
    }
}

/// The processes that the attempts of a pool have started and not yet waited for.
///
/// Once the pool has ended them, none is added any more: a process that was being started meanwhile is ended by the
/// thread that starts it. So the end of the pool misses none.
#[derive(Default)]
pub struct StartedProcesses(Mutex<StartedProcessesState>);

#[derive(Default)]
struct StartedProcessesState {
    processes: HashSet<ProcessId>,
    closed: bool,
}

impl StartedProcesses {
    fn launch(
        &self,
        guardian: &GuardianClient,
        request: StartRequest,
        files: &[OwnedFd],
        listener: Listener,
    ) -> io::Result<ProcessId> {
        let ended = || io::Error::other("the pool has ended");
        if self.lock().closed {
            return Err(ended());
        }
        // Not under the lock: the launch may wait, and the end of the pool must not wait for it.
        let process = guardian.launch(request, files, listener);
        let mut state = self.lock();
        if state.closed {
            guardian.end(process);
            return Err(ended());
        }
        state.processes.insert(process);
        Ok(process)
    }

    /// Ends all of these processes with their descendants. From now on no process is started.
    pub fn end_all(&self, guardian: &GuardianClient) {
        let mut state = self.lock();
        state.closed = true;
        state.processes.drain().for_each(|process| guardian.end(process));
    }

    fn lock(&self) -> MutexGuard<'_, StartedProcessesState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a process from the started ones when it is dropped.
struct StartedEntry {
    started: Arc<StartedProcesses>,
    process: ProcessId,
}

impl Drop for StartedEntry {
    fn drop(&mut self) {
        self.started.lock().processes.remove(&self.process);
    }
}

/// Starts the processes of a worker's attempts through the guardian of its scheduler. The guardian ends them with the
/// worker.
///
/// To the kernel, the parent of such a process is a keeper. The variable `PUSHFLOW_WORKER_PID` tells the process which
/// worker it works for. In exchange no process outlives the guardian, and the keeper sees that a process was stopped.
#[derive(Clone, Copy, Debug)]
pub struct WorkerLauncher;

impl Launcher for WorkerLauncher {
    fn launch(&self, mut launch: Launch) -> Result<Arc<dyn Child>, LaunchError> {
        launch.environment.push((WORKER_PID.into(), std::process::id().to_string().into()));
        let guardian = GuardianClient::shared(None, StartMethod::Spawn).map_err(io::Error::other)?;
        // No listener for stops: the guardian reports them to the scheduler.
        GuardedLauncher { guardian, on_scheduler_exit: OnSchedulerExit::End, started: Arc::default(), stops: None }
            .launch(launch)
    }
}

/// How far a process has come, as the receiver thread learns it from the guardian.
#[derive(Default)]
struct Progress {
    state: Monitor<ProgressState>,
}

#[derive(Default)]
struct ProgressState {
    /// `None` until the guardian has answered. The pid of the process, or the error number of its start. The error has
    /// no number if the keeper was killed before it could report.
    started: Option<Result<u32, Option<i32>>>,
    /// How the process ended; `None` while it has not.
    exit: Option<Exit>,
}

/// Why there is no process.
enum NotStarted {
    Refused(io::Error),
    KeeperKilled,
}

fn as_start(started: Result<u32, Option<i32>>) -> Result<u32, NotStarted> {
    started.map_err(|errno| match errno {
        Some(errno) => NotStarted::Refused(name_limit(io::Error::from_raw_os_error(errno))),
        None => NotStarted::KeeperKilled,
    })
}

impl Progress {
    fn note(&self, event: ProcessEvent) {
        self.state.change(|state| match event {
            ProcessEvent::Started { pid } => state.started = Some(Ok(pid)),
            ProcessEvent::NotStarted { reason: StartFailure::Errno(errno) } => state.started = Some(Err(Some(errno))),
            // Does not happen: processes of attempts have no class, so no client is refused one.
            ProcessEvent::NotStarted { reason: StartFailure::Daemonic } => state.started = Some(Err(Some(EPERM))),
            ProcessEvent::Exited { exit, .. } => state.exit = Some(exit),
            ProcessEvent::Unkillable { pids } => {
                tracing::error!(?pids, "a task left processes of another user, which can't be ended");
            }
            // The listener for stops gets the first two. The third does not happen: only workers are clients of the
            // guardian.
            ProcessEvent::Stopped { .. } | ProcessEvent::Continued { .. } | ProcessEvent::Garbled => {}
            ProcessEvent::Gone | ProcessEvent::GuardianLost => {
                state.started.get_or_insert(Err(None));
                state.exit.get_or_insert(Exit::Unknown);
            }
        });
    }

    /// Waits for the answer of the guardian, or for its end. Has a limit, since the guardian may have been stopped by a
    /// signal.
    fn wait_for_start(&self) -> Result<u32, NotStarted> {
        let started = self.state.wait(Some(Instant::now() + ANSWER_TIMEOUT), |state| state.started);
        let unanswered = || NotStarted::Refused(io::Error::other("the guardian does not answer"));
        started.map_or_else(|| Err(unanswered()), as_start)
    }

    /// The answer of the guardian, if there is one yet.
    fn start(&self) -> Option<Result<u32, NotStarted>> {
        self.state.look(|state| state.started).map(as_start)
    }

    fn wait_for_exit(&self, limit: Option<Duration>) -> Option<Exit> {
        self.state.wait(limit.and_then(|limit| Instant::now().checked_add(limit)), |state| state.exit)
    }
}

/// A process of an attempt, below a keeper.
struct GuardedChild {
    guardian: Arc<GuardianClient>,
    entry: StartedEntry,
    progress: Arc<Progress>,
    program: PathBuf,
    directory: PathBuf,
}

impl GuardedChild {
    /// Waits for the answer of the guardian. Returns the error if the process was not started.
    fn refusal_after_wait(&self) -> Option<LaunchError> {
        self.progress.wait_for_start().err().map(|refused| self.classified(refused))
    }

    fn classified(&self, refused: NotStarted) -> LaunchError {
        match refused {
            NotStarted::Refused(error) => classify_launch_error(error, &self.program, Some(&self.directory)),
            NotStarted::KeeperKilled => LaunchError::KeeperKilled,
        }
    }
}

impl Child for GuardedChild {
    fn pid(&self) -> u32 {
        self.progress.wait_for_start().unwrap_or_default()
    }

    fn refusal(&self) -> Option<LaunchError> {
        self.progress.start().and_then(Result::err).map(|refused| self.classified(refused))
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        if signal == Signal::SIGKILL {
            // The whole tree, whatever process groups it has made.
            self.guardian.end(self.entry.process);
        } else {
            self.guardian.signal(self.entry.process, signal);
        }
        Ok(())
    }

    fn wait(&self, limit: Option<Duration>) -> io::Result<Option<Exit>> {
        Ok(self.progress.wait_for_exit(limit))
    }
}
