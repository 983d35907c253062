//! [`GuardedLauncher`]: starts the processes of attempts through the guardian, so that none outlives the scheduler;
//! [`WorkerLauncher`]: the same, in a worker.

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

use crate::client::{Guardian, Listener, ProcessEvent};
use crate::launch::{Child, Launch, LaunchError, Launcher, classify_launch_error, resolve_program};
use crate::messages::{Launch as GuardianLaunch, OnOrphan, ProcessId, Source, StartFailure, WORKER_PID};
use crate::role;

/// The error number of what is not permitted.
const EPERM: i32 = nix::errno::Errno::EPERM as i32;

/// How long the guardian may take to start a process; it takes a millisecond.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Starts processes through the guardian.
pub struct GuardedLauncher {
    pub guardian: Arc<Guardian>,
    pub on_orphan: OnOrphan,
    /// What was started and has not ended.
    pub started: Arc<Started>,
    /// Who is to hear that a process was stopped, or goes on.
    pub stops: Option<StopListener>,
}

/// Hears of [`ProcessEvent::Stopped`] and [`ProcessEvent::Continued`].
pub type StopListener = Arc<dyn Fn(&ProcessEvent) + Send + Sync>;

impl Launcher for GuardedLauncher {
    fn launch(&self, launch: Launch) -> Result<Arc<dyn Child>, LaunchError> {
        let program = resolve_program(&launch)?;
        let is_warm = launch.warm.is_some();
        let directory = match &launch.directory {
            Some(directory) => std::path::absolute(directory)?,
            None => std::env::current_dir()?,
        };
        // So that a scheduler that the task starts leaves nothing behind when it is ended with the task.
        let around = (OsString::from(role::RUN_DIRECTORY), self.guardian.run_directory.clone());
        let environment = std::env::vars_os().chain(launch.environment).chain([around]);
        let environment = environment.map(|(name, value)| (name, Some(value)));
        let request = GuardianLaunch {
            source: launch.warm.map_or(Source::Program, |warm| Source::Warm(Box::new(warm))),
            program: program.clone().into_os_string(),
            arguments: launch.argv,
            environment: environment.collect::<Vec<(OsString, Option<OsString>)>>(),
            directory: Some(directory.clone().into_os_string()),
            numbers: vec![0, 1, 2],
            drains: 0,
            on_orphan: self.on_orphan,
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
        let entry = Entry { started: self.started.clone(), process };
        let child = GuardedChild { guardian: self.guardian.clone(), entry, progress, program, directory };
        // A warm one may still have much to import, which whoever waits for it can stop waiting for.
        match (!is_warm).then(|| child.refusal_after_wait()).flatten() {
            Some(refusal) => Err(refusal),
            None => Ok(Arc::new(child)),
        }
    }
}

/// The processes that the attempts of a pool have at this moment, those that are being started included: so that the end
/// of the pool misses none.
#[derive(Default)]
pub struct Started(Mutex<StartedState>);

#[derive(Default)]
struct StartedState {
    processes: HashSet<ProcessId>,
    closed: bool,
}

impl Started {
    fn launch(
        &self,
        guardian: &Guardian,
        launch: GuardianLaunch,
        files: &[OwnedFd],
        listener: Listener,
    ) -> io::Result<ProcessId> {
        let ended = || io::Error::other("the pool has ended");
        if self.lock().closed {
            return Err(ended());
        }
        // This may wait, and the end of the pool must not wait for it.
        let process = guardian.launch(launch, files, listener);
        let mut state = self.lock();
        if state.closed {
            guardian.end(process);
            return Err(ended());
        }
        state.processes.insert(process);
        Ok(process)
    }

    /// Ends all of them, with what is below them; from now on nothing is started.
    pub fn end_all(&self, guardian: &Guardian) {
        let mut state = self.lock();
        state.closed = true;
        state.processes.drain().for_each(|process| guardian.end(process));
    }

    fn lock(&self) -> MutexGuard<'_, StartedState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process in the account of what was started, until it has been waited for.
struct Entry {
    started: Arc<Started>,
    process: ProcessId,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.started.lock().processes.remove(&self.process);
    }
}

/// Starts the processes of a worker's attempts through the guardian of its scheduler: they end with the worker.
///
/// To the kernel their parent is a keeper; the variable `PUSHFLOW_WORKER_PID` tells them which worker they work for.
#[derive(Clone, Copy, Debug)]
pub struct WorkerLauncher;

impl Launcher for WorkerLauncher {
    fn launch(&self, mut launch: Launch) -> Result<Arc<dyn Child>, LaunchError> {
        launch.environment.push((WORKER_PID.into(), std::process::id().to_string().into()));
        let guardian = Guardian::shared(None, StartMethod::Spawn).map_err(io::Error::other)?;
        // The guardian itself tells the scheduler what was stopped.
        GuardedLauncher { guardian, on_orphan: OnOrphan::End, started: Arc::default(), stops: None }.launch(launch)
    }
}

/// How far a process has come, as the guardian's thread hears of it.
#[derive(Default)]
struct Progress {
    state: Monitor<State>,
}

#[derive(Default)]
struct State {
    /// Whether and as what it was started; the error number if it could not be, none if its keeper was killed before it
    /// could say so.
    started: Option<Result<u32, Option<i32>>>,
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
            // Commands have no class, so that nobody is refused one.
            ProcessEvent::NotStarted { reason: StartFailure::Daemonic } => state.started = Some(Err(Some(EPERM))),
            ProcessEvent::Exited { exit, .. } => state.exit = Some(exit),
            ProcessEvent::Unkillable { pids } => {
                tracing::error!(?pids, "a task left processes of another user, which can't be ended");
            }
            // What attempts start is no client of the guardian.
            ProcessEvent::Stopped { .. } | ProcessEvent::Continued { .. } | ProcessEvent::Garbled => {}
            ProcessEvent::Gone | ProcessEvent::GuardianLost => {
                state.started.get_or_insert(Err(None));
                state.exit.get_or_insert(Exit::Unknown);
            }
        });
    }

    /// The guardian answers, or is lost, or was stopped from outside.
    fn wait_for_start(&self) -> Result<u32, NotStarted> {
        let started = self.state.wait(Some(Instant::now() + ANSWER_TIMEOUT), |state| state.started);
        let unanswered = || NotStarted::Refused(io::Error::other("the guardian does not answer"));
        started.map_or_else(|| Err(unanswered()), as_start)
    }

    /// Whether it was started, if that is known.
    fn start(&self) -> Option<Result<u32, NotStarted>> {
        self.state.look(|state| state.started).map(as_start)
    }

    fn wait_for_exit(&self, limit: Option<Duration>) -> Option<Exit> {
        self.state.wait(limit.and_then(|limit| Instant::now().checked_add(limit)), |state| state.exit)
    }
}

/// A process below a keeper; the guardian reaps it.
struct GuardedChild {
    guardian: Arc<Guardian>,
    entry: Entry,
    progress: Arc<Progress>,
    program: PathBuf,
    directory: PathBuf,
}

impl GuardedChild {
    /// Waits until it is known whether it was started.
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
            // Its whole tree, whatever groups it has made.
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
