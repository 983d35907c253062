//! [`DirectLauncher`]: processes started by this process itself.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{self, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use pushflow_protocol::Exit;

use super::launch::{Child, Launch, LaunchError, Launcher, classify_launch_error, resolve_program};

/// The longest pause between two looks at a process that is waited for with a limit.
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// Starts processes as children of this process, without ever forking it.
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
        if launch.own_group {
            command.process_group(0);
        }
        let child =
            command.spawn().map_err(|error| classify_launch_error(error, &program, launch.directory.as_deref()))?;
        Ok(Arc::new(DirectChild { pid: child.id(), leads_group: launch.own_group, state: Mutex::new((child, None)) }))
    }
}

fn inherited_unless(file: Option<OwnedFd>) -> Stdio {
    file.map_or_else(Stdio::inherit, Stdio::from)
}

/// A child of this process.
struct DirectChild {
    pid: u32,
    leads_group: bool,
    /// The process, and its end once it was reaped. Locked while it is signalled and while it is reaped, so that no signal
    /// reaches another process that got its id; not locked while it is waited for.
    state: Mutex<(process::Child, Option<Exit>)>,
}

impl DirectChild {
    fn state(&self) -> MutexGuard<'_, (process::Child, Option<Exit>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.pid).expect("a process id fits pid_t, from which it came"))
    }

    /// Whether the process has ended, without reaping it; waits for that unless `flags` say otherwise.
    fn has_ended(&self, flags: WaitPidFlag) -> io::Result<bool> {
        loop {
            match waitid(Id::Pid(self.id()), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | flags) {
                Ok(WaitStatus::StillAlive) => return Ok(false),
                // It was killed by a real-time signal, which `nix` has no name for.
                Ok(_) | Err(Errno::EINVAL) => return Ok(true),
                Err(Errno::EINTR) => {}
                // Another thread reaped it meanwhile.
                Err(Errno::ECHILD) if self.state().1.is_some() => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn has_ended_within(&self, limit: Duration) -> io::Result<bool> {
        let start = Instant::now();
        let mut pause = Duration::from_micros(500);
        while !self.has_ended(WaitPidFlag::WNOHANG)? {
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(true)
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
        let sent = if self.leads_group { killpg(self.id(), signal) } else { kill(self.id(), signal) };
        sent.map_err(io::Error::from)
    }

    fn wait(&self, limit: Option<Duration>) -> io::Result<Option<Exit>> {
        if let Some(exit) = self.state().1 {
            return Ok(Some(exit));
        }
        let ended = match limit {
            None => self.has_ended(WaitPidFlag::empty())?,
            Some(limit) => self.has_ended_within(limit)?,
        };
        if ended { self.reap().map(Some) } else { Ok(None) }
    }
}
