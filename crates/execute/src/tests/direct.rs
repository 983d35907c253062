//! [`DirectLauncher`]: starts processes from this process itself, without a guardian.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{self, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use pushflow_green::wait_readable;
use pushflow_guardian::{Child, Launch, LaunchError, Launcher, classify_launch_error, resolve_program};
use pushflow_model::Exit;
use pushflow_os::{PidFd, SignalWatch};

/// Starts processes as children of this process, without forking this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct DirectLauncher;

impl Launcher for DirectLauncher {
    fn launch(&self, launch: Launch) -> Result<Arc<dyn Child>, LaunchError> {
        let program = resolve_program(&launch)?;
        let Some((name, arguments)) = launch.argv.split_first() else { return Err(LaunchError::ProgramNotFound) };
        let mut command = Command::new(&program);
        command.arg0(name).args(arguments).envs(launch.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(launch.stdin.map_or_else(Stdio::null, Stdio::from));
        command.stdout(inherited_unless(launch.stdout));
        command.stderr(inherited_unless(launch.stderr));
        if let Some(directory) = &launch.directory {
            command.current_dir(directory);
        }
        command.process_group(0);
        give_programs_the_default_sigint();
        let mut child =
            command.spawn().map_err(|error| classify_launch_error(error, &program, launch.directory.as_deref()))?;
        let process = match PidFd::open(id(&child)) {
            Ok(process) => process,
            Err(error) => {
                // No thread waits for the process: it never began.
                child.kill().and_then(|()| child.wait()).ok();
                return Err(error.into());
            }
        };
        let pid = child.id();
        Ok(Arc::new(DirectChild { pid, process, state: Mutex::new((child, None)) }))
    }
}

/// Makes sure that programs start with the default action of SIGINT, as the guardian does for those that it starts.
///
/// A test process that was started in the background by a script ignores SIGINT, and a program keeps an ignored signal
/// ignored: `exec` does not change that, and a shell can't trap such a signal. A caught signal gets its default action
/// in `exec`. So the test process catches SIGINT from now on and does nothing with it, which for itself is the same as
/// to ignore it.
fn give_programs_the_default_sigint() {
    static GIVEN: Once = Once::new();
    GIVEN.call_once(|| {
        let unless_ignored = SignalWatch::start_unless_ignored(Signal::SIGINT).expect("SIGINT can be caught");
        if unless_ignored.is_none() {
            // Never dropped: dropping restores the ignored signal.
            std::mem::forget(SignalWatch::start(Signal::SIGINT).expect("SIGINT can be caught"));
        }
    });
}

fn inherited_unless(file: Option<OwnedFd>) -> Stdio {
    file.map_or_else(Stdio::inherit, Stdio::from)
}

fn id(child: &process::Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a process id fits pid_t, from which it came"))
}

/// A child of this process.
struct DirectChild {
    pid: u32,
    /// Readable when the process has ended.
    process: PidFd,
    /// The process, and its exit once it was reaped. The lock is held while the process is signalled or reaped, so that no
    /// signal reaches another process that got its id. The lock is not held during a wait.
    state: Mutex<(process::Child, Option<Exit>)>,
}

impl DirectChild {
    fn state(&self) -> MutexGuard<'_, (process::Child, Option<Exit>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reap(&self) -> io::Result<Exit> {
        let mut state = self.state();
        let (child, exit) = &mut *state;
        if let Some(exit) = exit {
            return Ok(*exit);
        }
        let status = child.wait()?;
        let ended = status.code().map(Exit::Code).or(status.signal().map(Exit::Signal));
        Ok(*exit.insert(ended.expect("a process ends by itself or by a signal")))
    }
}

impl Child for DirectChild {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let state = self.state();
        if state.1.is_some() {
            return Ok(());
        }
        let id = id(&state.0);
        let sent = killpg(id, signal);
        sent.map_err(io::Error::from)
    }

    fn wait(&self, limit: Option<Duration>) -> io::Result<Option<Exit>> {
        if let Some(exit) = self.state().1 {
            return Ok(Some(exit));
        }
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let ended = wait_readable(&[self.process.as_fd()], deadline)?;
        if ended == [true] { self.reap().map(Some) } else { Ok(None) }
    }
}
