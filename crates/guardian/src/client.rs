//! [`GuardianClient`]: the scheduler's side of the guardian that starts and buries every process.
//!
//! There is one per scheduler process and worker program, started when the first pool needs it and shared by all; with the
//! start method `fork` it is itself a copy of this program. A worker starts none: it has a socket to the guardian of its
//! scheduler. A thread receives what the guardian says and hands it to whoever asked for the process. A guardian leaves
//! when its scheduler's socket ends: when the last user here drops it, or with the scheduler, however that ends.

mod error;
mod inherited;
mod listeners;
mod sending;
mod shared;
mod start;
mod wait;
pub(crate) mod zygote_handle;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::socket::{Shutdown, shutdown};
use nix::unistd::Pid;
use pushflow_os::{PidFd, SeqPacket};

pub use self::error::GuardianError;
pub(crate) use self::inherited::inherit;
pub use self::listeners::{Listener, ProcessEvent};
use self::listeners::{Listeners, receive};
use self::sending::{RequestSender, SendError};
use self::wait::{reap_and_clean_up, reap_later, wait_readable};
use crate::messages::{ProcessId, StartFailure, StartRequest, ToGuardian};

/// How long a send may wait for a guardian that does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for the guardian's end when it is no longer needed.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// The connection to the guardian.
pub struct GuardianClient {
    /// The program that it runs and that workers are to run.
    pub program: PathBuf,
    /// The folder for this scheduler's sockets.
    pub run_directory: OsString,
    pid: Pid,
    origin: Origin,
    socket: Arc<SeqPacket>,
    sending: RequestSender,
    listeners: Arc<Listeners>,
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

impl GuardianClient {
    /// The connection to a guardian that watches at the other end of the socket.
    fn connect(
        program: PathBuf,
        run_directory: OsString,
        pid: Pid,
        socket: SeqPacket,
        origin: Origin,
    ) -> io::Result<GuardianClient> {
        let (socket, listeners) = (Arc::new(socket), Arc::<Listeners>::default());
        let receiver = std::thread::Builder::new().name("pushflow-guardian".into()).spawn({
            let (socket, listeners) = (socket.clone(), listeners.clone());
            let is_worker = matches!(origin, Origin::Inherited);
            move || {
                receive(&socket, &listeners);
                if is_worker {
                    // Whoever lost the guardian is being ended, and must not say meanwhile that a task has failed.
                    nix::sys::signal::raise(Signal::SIGKILL).ok();
                }
                listeners.notify_lost();
            }
        })?;
        let (sending, next, receiver) = (RequestSender::default(), AtomicU64::new(1), Some(receiver));
        Ok(GuardianClient { program, run_directory, pid, origin, socket, sending, listeners, next, receiver })
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
        self.listeners.is_lost()
    }

    /// Starts a process; what happens to it is told to the listener, on the guardian's thread, or on this one that it can't
    /// be asked for.
    ///
    /// `files` are those of the launch's numbers, then its drains.
    pub fn launch(&self, request: StartRequest, files: &[OwnedFd], listener: Listener) -> ProcessId {
        let process = ProcessId(self.next.fetch_add(1, Ordering::Relaxed));
        self.listeners.add(process, listener);
        match self.sending.send(&self.socket, &ToGuardian::Start { process, request }, files) {
            Ok(()) => {}
            Err(SendError::Limit(errno)) => {
                self.listeners.notify(process, ProcessEvent::NotStarted { reason: StartFailure::Errno(errno as i32) });
                self.listeners.notify(process, ProcessEvent::Gone);
            }
            Err(SendError::Broken(error)) => self.disconnect(error),
        }
        if self.is_lost() {
            self.listeners.notify_lost();
        }
        process
    }

    /// Sends a signal to the group of a process, if it is still there.
    pub fn signal(&self, process: ProcessId, signal: Signal) {
        self.send_short(&ToGuardian::Signal { process, signal: signal as i32 });
    }

    /// Kills a process and everything below it.
    pub fn end(&self, process: ProcessId) {
        self.send_short(&ToGuardian::End { process });
    }

    /// Sends what has no files and is short, so that there is no limit that it could reach.
    fn send_short(&self, message: &ToGuardian) {
        if let Err(error) = self.sending.send(&self.socket, message, &[]) {
            self.disconnect(error.into());
        }
    }

    /// A guardian that can't be sent to, though it always reads, is lost.
    fn disconnect(&self, error: io::Error) {
        tracing::error!(%error, guardian = self.pid(), "the guardian can't be reached");
        shutdown(self.socket.as_fd().as_raw_fd(), Shutdown::Both).ok();
    }
}

impl Drop for GuardianClient {
    fn drop(&mut self) {
        let shut_down = |how| shutdown(self.socket.as_fd().as_raw_fd(), how).ok();
        if let Origin::Started { process, .. } = &self.origin {
            // Its poll sees the end; our receiving thread hears its last words.
            shut_down(Shutdown::Write);
            // Somebody may have stopped it; nobody would let it go on once this process has ended.
            process.signal(Signal::SIGCONT).ok();
            if !wait_readable(process.as_fd(), END_TIMEOUT) {
                tracing::error!(guardian = self.pid(), "the guardian is still burying processes");
                reap_later(self.pid, self.run_directory.clone());
            } else {
                reap_and_clean_up(self.pid, &self.run_directory);
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use nix::errno::Errno;
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    use pushflow_protocol::fd_message;

    use super::*;

    /// A message that needs a file of its own.
    pub(super) fn long_request() -> StartRequest {
        StartRequest { arguments: vec!["x".repeat(100_000).into()], ..StartRequest::of("/bin/true") }
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
        let guardian = GuardianClient::connect("/worker".into(), "/tmp".into(), Pid::this(), socket, origin).unwrap();
        let events = Arc::<Mutex<Vec<ProcessEvent>>>::default();
        let launch = || {
            let events = events.clone();
            guardian.launch(long_request(), &[], Box::new(move |event| events.lock().unwrap().push(event)))
        };
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
        launch();
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
        let reason = StartFailure::Errno(Errno::EMFILE as i32);
        assert_eq!(*events.lock().unwrap(), [ProcessEvent::NotStarted { reason }, ProcessEvent::Gone]);
        let second = launch();
        match fd_message::receive(&theirs, true).unwrap() {
            Some((ToGuardian::Start { process, .. }, _)) => assert_eq!(process, second),
            other => panic!("{other:?}"),
        }
        // It is no guardian that would end.
        std::mem::forget(guardian);
    }
}
