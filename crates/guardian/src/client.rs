//! [`Guardian`]: the scheduler's side of the guardian that starts and buries every process.
//!
//! There is one per scheduler process and worker program, started when the first pool needs it and shared by all; with the
//! start method `fork` it is itself a copy of this program. A worker starts none: it has a socket to the guardian of its
//! scheduler. A thread receives what the guardian says and hands it to whoever asked for the process. A guardian leaves
//! when its scheduler's socket ends: when the last user here drops it, or with the scheduler, however that ends.

mod inherited;
mod sending;
mod start;
pub(crate) mod zygote;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{Shutdown, shutdown};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use pushflow_model::{Exit, StartMethod};
use pushflow_os::{PidFd, SeqPacket};
use pushflow_protocol::courier;

pub use self::inherited::inherit;
use self::sending::{Sending, Unsent};
pub use self::start::GuardianError;
use crate::lookup;
use crate::messages::{FromGuardian, Launch, ProcessId, StartFailure, ToGuardian};

/// How long a send may wait for a guardian that does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for the guardian's end when it is no longer needed.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// What happened to a process.
#[derive(Clone, Debug, PartialEq)]
pub enum ProcessEvent {
    /// It runs.
    Started { pid: u32 },
    /// It could not be started.
    NotStarted { reason: StartFailure },
    /// A signal stopped it, or what it had asked for: the pid of that process.
    Stopped { pid: u32, signal: i32 },
    /// What was stopped goes on.
    Continued { pid: u32 },
    /// It has ended.
    Exited { exit: Exit, peak_memory_kib: u64 },
    /// It sent the guardian what is no message, and is being ended.
    Garbled,
    /// Processes of another user are left below it.
    Unkillable { pids: Vec<u32> },
    /// Nothing of it is left: the last event.
    Gone,
    /// The guardian has ended, so nothing more will be heard: the last event.
    GuardianLost,
}

/// Who is told what happens to a process.
pub type Listener = Box<dyn FnMut(ProcessEvent) + Send>;

/// The connection to the guardian.
pub struct Guardian {
    /// The program that it runs and that workers are to run.
    pub program: PathBuf,
    /// The folder for this scheduler's sockets.
    pub run_directory: OsString,
    pid: Pid,
    origin: Origin,
    socket: Arc<SeqPacket>,
    sending: Sending,
    shared: Arc<Shared>,
    next: AtomicU64,
    receiver: Option<JoinHandle<()>>,
}

/// Where a guardian comes from.
enum Origin {
    /// This process has started it.
    Started {
        process: PidFd,
        /// Whether it is a copy of this program as it was at `init()`.
        is_copy: bool,
    },
    /// This process is a worker that it has started.
    Inherited,
}

#[derive(Default)]
struct Shared {
    lost: AtomicBool,
    listeners: Mutex<HashMap<ProcessId, Listener>>,
}

/// One for each worker program that pools of this process use, and one for the start method `fork`.
static SHARED: Mutex<Vec<Weak<Guardian>>> = Mutex::new(Vec::new());

impl Guardian {
    /// The guardian of this process for this worker program and start method; started if there is none.
    pub fn shared(worker: Option<&Path>, method: StartMethod) -> Result<Arc<Guardian>, GuardianError> {
        if let Some(inherited) = inherited::guardian(worker)? {
            return Ok(inherited);
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let is_copy = method == StartMethod::Fork;
        let is_right = |guardian: &Guardian| {
            let named = |worker| std::path::absolute(worker).is_ok_and(|path| path == guardian.program);
            guardian.is_copy() == is_copy && worker.is_none_or(named) && !guardian.is_lost()
        };
        if let Some(guardian) = shared.iter().filter_map(Weak::upgrade).find(|guardian| is_right(guardian)) {
            return Ok(guardian);
        }
        let guardian = match is_copy {
            true => Guardian::fork(worker)?,
            false => Guardian::start_best(&lookup::candidates(worker)?)?,
        };
        let guardian = Arc::new(guardian);
        shared.retain(|guardian| guardian.strong_count() > 0);
        shared.push(Arc::downgrade(&guardian));
        Ok(guardian)
    }

    /// The connection to a guardian that watches at the other end of the socket.
    fn connect(
        program: PathBuf,
        run_directory: OsString,
        pid: Pid,
        socket: SeqPacket,
        origin: Origin,
    ) -> io::Result<Guardian> {
        let (socket, shared) = (Arc::new(socket), Arc::<Shared>::default());
        let receiver = std::thread::Builder::new().name("pushflow-guardian".into()).spawn({
            let (socket, shared) = (socket.clone(), shared.clone());
            let is_worker = matches!(origin, Origin::Inherited);
            move || {
                receive(&socket, &shared);
                if is_worker {
                    // Whoever lost the guardian is being ended, and must not say meanwhile that a task has failed.
                    nix::sys::signal::raise(Signal::SIGKILL).ok();
                }
                shared.lose();
            }
        })?;
        let (sending, next, receiver) = (Sending::default(), AtomicU64::new(1), Some(receiver));
        Ok(Guardian { program, run_directory, pid, origin, socket, sending, shared, next, receiver })
    }

    fn is_copy(&self) -> bool {
        matches!(self.origin, Origin::Started { is_copy: true, .. })
    }

    /// The guardian's pid.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Whether the guardian has ended.
    pub fn is_lost(&self) -> bool {
        self.shared.lost.load(Ordering::Acquire)
    }

    /// Starts a process; what happens to it is told to the listener, on the guardian's thread, or on this one that it can't
    /// be asked for.
    ///
    /// `files` are those of the launch's numbers, then its drains.
    pub fn launch(&self, launch: Launch, files: &[OwnedFd], listener: Listener) -> ProcessId {
        let process = ProcessId(self.next.fetch_add(1, Ordering::Relaxed));
        self.shared.lock().insert(process, listener);
        match self.sending.send(&self.socket, &ToGuardian::Start { process, launch }, files) {
            Ok(()) => {}
            Err(Unsent::Limit(errno)) => {
                self.shared.tell(process, ProcessEvent::NotStarted { reason: StartFailure::Errno(errno as i32) });
                self.shared.tell(process, ProcessEvent::Gone);
            }
            Err(Unsent::Broken(error)) => self.lose(error),
        }
        if self.is_lost() {
            self.shared.lose();
        }
        process
    }

    /// Sends a signal to the group of a process, if it is still there.
    pub fn signal(&self, process: ProcessId, signal: Signal) {
        self.send_surely(&ToGuardian::Signal { process, signal: signal as i32 });
    }

    /// Kills a process and everything below it.
    pub fn end(&self, process: ProcessId) {
        self.send_surely(&ToGuardian::End { process });
    }

    /// Sends what has no files and is short, so that there is no limit that it could reach.
    fn send_surely(&self, message: &ToGuardian) {
        if let Err(unsent) = self.sending.send(&self.socket, message, &[]) {
            self.lose(unsent.into());
        }
    }

    /// A guardian that can't be sent to, though it always reads, is lost.
    fn lose(&self, error: io::Error) {
        tracing::error!(%error, guardian = self.pid(), "the guardian can't be reached");
        shutdown(self.socket.as_fd().as_raw_fd(), Shutdown::Both).ok();
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        let shut_down = |how| shutdown(self.socket.as_fd().as_raw_fd(), how).ok();
        if let Origin::Started { process, .. } = &self.origin {
            // Its poll sees the end; our receiving thread hears its last words.
            shut_down(Shutdown::Write);
            // Somebody may have stopped it; nobody would let it go on once this process has ended.
            process.signal(Signal::SIGCONT).ok();
            if !wait_readable(process.as_fd(), END_TIMEOUT) {
                tracing::error!(guardian = self.pid(), "the guardian is still burying processes");
                bury_later(self.pid, self.run_directory.clone());
            } else {
                bury(self.pid, &self.run_directory);
            }
        }
        shut_down(Shutdown::Both);
        if let Some(receiver) = self.receiver.take() {
            // Dropped on that very thread when a listener held the last reference.
            if receiver.thread().id() != std::thread::current().id() {
                receiver.join().ok();
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ProcessId, Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the listener of a process, and forgets it with its last event: whether there was one.
    fn tell(&self, process: ProcessId, event: ProcessEvent) -> bool {
        let last = event == ProcessEvent::Gone;
        let mut listeners = self.lock();
        let listener = listeners.get_mut(&process);
        let is_heard = listener.is_some();
        listener.into_iter().for_each(|listener| listener(event.clone()));
        if last {
            let forgotten = listeners.remove(&process);
            drop(listeners);
            drop(forgotten);
        }
        is_heard
    }

    /// Somebody hears of what can't be ended: who asked for it, or whoever reads what this program logs.
    fn tell_unkillable(&self, process: Option<ProcessId>, pids: Vec<u32>) {
        let is_heard = |process| self.tell(process, ProcessEvent::Unkillable { pids: pids.clone() });
        if !process.is_some_and(is_heard) {
            tracing::error!(?pids, "a task left processes of another user, which can't be ended");
        }
    }

    /// The guardian has ended: tells everybody.
    fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        let listeners = std::mem::take(&mut *self.lock());
        for mut listener in listeners.into_values() {
            listener(ProcessEvent::GuardianLost);
        }
    }
}

/// Reaps a guardian that has ended or is about to, and removes its folder if it was killed, or nobody can know: then nobody
/// else does.
fn bury(pid: Pid, run_directory: &OsStr) {
    if reap(pid) != Some(0) {
        std::fs::remove_dir_all(run_directory).ok();
    }
}

/// Does so whenever it ends, so that it is no zombie for as long as this program runs.
fn bury_later(pid: Pid, run_directory: OsString) {
    let thread = std::thread::Builder::new().name("pushflow-burial".into());
    // Without a thread it is a zombie until the end of this program.
    thread.spawn(move || bury(pid, &run_directory)).ok();
}

/// Waits for the end of a guardian, which is a child that a plain wait does not see if it is a copy of the snapshot: its
/// exit code, if it had one and is known. It is not where this process ignores SIGCHLD.
fn reap(pid: Pid) -> Option<i32> {
    loop {
        match waitpid(pid, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Exited(_, code)) => return Some(code),
            Err(Errno::EINTR) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

/// Hears the guardian until it has ended.
fn receive(socket: &SeqPacket, shared: &Shared) {
    let hear = |process, event| {
        shared.tell(process, event);
    };
    while let Ok(Some((message, _))) = courier::receive(socket, true) {
        match message {
            FromGuardian::Ready { .. } | FromGuardian::Unable { .. } => {}
            FromGuardian::Unkillable { process, pids } => shared.tell_unkillable(process, pids),
            FromGuardian::Started { process, pid } => hear(process, ProcessEvent::Started { pid }),
            FromGuardian::NotStarted { process, reason } => hear(process, ProcessEvent::NotStarted { reason }),
            FromGuardian::Stopped { process, pid, signal } => hear(process, ProcessEvent::Stopped { pid, signal }),
            FromGuardian::Continued { process, pid } => hear(process, ProcessEvent::Continued { pid }),
            FromGuardian::Exited { process, exit, peak_memory_kib } => {
                hear(process, ProcessEvent::Exited { exit, peak_memory_kib });
            }
            FromGuardian::Garbled { process } => hear(process, ProcessEvent::Garbled),
            FromGuardian::Gone { process } => hear(process, ProcessEvent::Gone),
        }
    }
}

/// Waits until a file is readable or at its end; `false` when the time is over.
pub(crate) fn wait_readable(file: std::os::fd::BorrowedFd<'_>, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(file, PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(_) if left.is_zero() => return false,
            Ok(ready) if ready > 0 => return true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    /// A message that needs a file of its own.
    pub(super) fn long_launch() -> Launch {
        Launch { arguments: vec!["x".repeat(100_000).into()], ..Launch::of("/bin/true") }
    }

    #[test]
    #[expect(clippy::zombie_processes, reason = "that it is waited for is what is tested")]
    fn a_guardian_that_ends_late_is_reaped_nevertheless() {
        let mut late = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(late.id()).unwrap());
        bury_later(pid, "/no/such/folder".into());
        drop(late.stdin.take());
        let process = Path::new("/proc").join(pid.to_string());
        let deadline = Instant::now() + Duration::from_secs(30);
        while process.exists() {
            assert!(Instant::now() < deadline, "it is a zombie");
            std::thread::yield_now();
        }
    }

    /// In a process of its own, which may have no more files for a moment, and whose guardian only listens.
    #[test]
    fn a_launch_that_can_not_be_sent_for_a_limit_fails_alone() {
        if !pushflow_isolated_test::is_isolated("client::tests::a_launch_that_can_not_be_sent_for_a_limit_fails_alone")
        {
            return;
        }
        let (socket, theirs) = SeqPacket::pair().unwrap();
        let origin = Origin::Started { process: PidFd::open(Pid::this()).unwrap(), is_copy: false };
        let guardian = Guardian::connect("/worker".into(), "/tmp".into(), Pid::this(), socket, origin).unwrap();
        let events = Arc::<Mutex<Vec<ProcessEvent>>>::default();
        let launch = || {
            let events = events.clone();
            guardian.launch(long_launch(), &[], Box::new(move |event| events.lock().unwrap().push(event)))
        };
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
        launch();
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
        let reason = StartFailure::Errno(Errno::EMFILE as i32);
        assert_eq!(*events.lock().unwrap(), [ProcessEvent::NotStarted { reason }, ProcessEvent::Gone]);
        let second = launch();
        match courier::receive(&theirs, true).unwrap() {
            Some((ToGuardian::Start { process, .. }, _)) => assert_eq!(process, second),
            other => panic!("{other:?}"),
        }
        // It is no guardian that would end.
        std::mem::forget(guardian);
    }
}
