//! [`GuardianClient`]: the side of a scheduler or a worker of the socket to its guardian.
//!
//! A scheduler starts a guardian when its first pool needs one ([`GuardianClient::shared`]). All pools share it, except
//! that there is one guardian for each worker program and one for the start method `fork`. A worker starts no guardian:
//! it is started with a socket to the guardian of its scheduler.
//!
//! A receiver thread reads the messages of the guardian and calls the [`Listener`] of the process that each message is
//! about. The guardian ends all processes and exits when the scheduler's end of the socket is closed: by the drop of
//! the last reference to the [`GuardianClient`], or by the end of the scheduler, however it ends.

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
/// How long the drop of a [`GuardianClient`] waits for the exit of the guardian.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// The socket to a guardian, and the listeners of the processes that this process asked it for.
pub struct GuardianClient {
    /// The program that the guardian runs, which is also the program of its workers.
    pub program: PathBuf,
    /// The run directory of the guardian: the folder for the scheduler's sockets.
    pub run_directory: OsString,
    pid: Pid,
    origin: Origin,
    socket: Arc<SeqPacket>,
    sending: RequestSender,
    listeners: Arc<Listeners>,
    /// The number of the next process.
    next: AtomicU64,
    receiver: Option<JoinHandle<()>>,
}

/// Who has started a guardian.
enum Origin {
    /// This process.
    Started {
        /// The guardian.
        process: PidFd,
        /// Whether the guardian is a fork of the zygote.
        is_fork: bool,
    },
    /// The scheduler. The guardian has started this process, a worker.
    Inherited,
}

impl GuardianClient {
    /// A client of the guardian at the other end of `socket`, which has answered `Ready`; starts the receiver thread.
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
                    // A worker without a guardian is being killed. It must not report meanwhile that a task has failed.
                    nix::sys::signal::raise(Signal::SIGKILL).ok();
                }
                listeners.notify_lost();
            }
        })?;
        let (sending, next, receiver) = (RequestSender::default(), AtomicU64::new(1), Some(receiver));
        Ok(GuardianClient { program, run_directory, pid, origin, socket, sending, listeners, next, receiver })
    }

    fn is_fork(&self) -> bool {
        matches!(self.origin, Origin::Started { is_fork: true, .. })
    }

    /// The pid of the guardian.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Whether the guardian has ended or can't be reached.
    fn is_lost(&self) -> bool {
        self.listeners.is_lost()
    }

    /// Asks the guardian to start a process.
    ///
    /// `files` are the files for [`StartRequest::numbers`], then those that [`StartRequest::drains`] counts. The
    /// receiver thread calls the listener for each event of the process. Where the request can't be sent, this thread
    /// calls it.
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

    /// Sends a signal to the process group that a process leads, unless the process has been reaped.
    pub fn signal(&self, process: ProcessId, signal: Signal) {
        self.send_short(&ToGuardian::Signal { process, signal: signal as i32 });
    }

    /// Kills a process, all of its descendants, and all processes that it had asked the guardian for.
    pub fn end(&self, process: ProcessId) {
        self.send_short(&ToGuardian::End { process });
    }

    /// Sends a short message without files. No limit of this process can prevent it, so each error is one of the
    /// socket.
    fn send_short(&self, message: &ToGuardian) {
        if let Err(error) = self.sending.send(&self.socket, message, &[]) {
            self.disconnect(error.into());
        }
    }

    /// Closes the socket after a failed send, so that the receiver thread reports the guardian as lost. The guardian
    /// always reads: a failed send means that it has ended or was stopped.
    fn disconnect(&self, error: io::Error) {
        tracing::error!(%error, guardian = self.pid(), "the guardian can't be reached");
        shutdown(self.socket.as_fd().as_raw_fd(), Shutdown::Both).ok();
    }
}

impl Drop for GuardianClient {
    fn drop(&mut self) {
        let shut_down = |how| shutdown(self.socket.as_fd().as_raw_fd(), how).ok();
        if let Origin::Started { process, .. } = &self.origin {
            // The guardian sees the end of its input. The receiver thread still reads its last messages.
            shut_down(Shutdown::Write);
            // The guardian may have been stopped by a signal. No one would continue it after the end of this process.
            process.signal(Signal::SIGCONT).ok();
            if !wait_readable(process.as_fd(), END_TIMEOUT) {
                tracing::error!(guardian = self.pid(), "the guardian is still ending processes");
                reap_later(self.pid, self.run_directory.clone());
            } else {
                reap_and_clean_up(self.pid, &self.run_directory);
            }
        }
        shut_down(Shutdown::Both);
        if let Some(receiver) = self.receiver.take() {
            // A listener may have held the last reference. Then this is the receiver thread.
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

    /// A request that is longer than a packet.
    pub(super) fn long_request() -> StartRequest {
        StartRequest { arguments: vec!["x".repeat(100_000).into()], ..StartRequest::of("/bin/true") }
    }

    /// In a process of its own, since it lowers the limit of open files. Its guardian only reads.
    #[test]
    fn a_launch_that_can_not_be_sent_for_a_limit_fails_alone() {
        if !pushflow_isolated_test::is_isolated("client::tests::a_launch_that_can_not_be_sent_for_a_limit_fails_alone")
        {
            return;
        }
        let (socket, theirs) = SeqPacket::pair().unwrap();
        let origin = Origin::Started { process: PidFd::open(Pid::this()).unwrap(), is_fork: false };
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
        // The drop would wait for the exit of the guardian, which is this process.
        std::mem::forget(guardian);
    }
}
