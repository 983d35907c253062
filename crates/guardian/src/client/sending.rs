//! [`RequestSender`]: sends messages to the guardian, and waits where too many files are in flight.
//!
//! The kernel limits how many files a user may have in messages that nobody has received yet (`ETOOMANYREFS`), whoever
//! is to receive them. A message that meets this limit is sent again for a while. The wait is limited for all messages
//! together, not for each, since the sender may be the thread that does all other work of a pool. Senders do not wait
//! for each other.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use pushflow_os::SeqPacket;
use pushflow_protocol::fd_message::FdMessage;

use crate::messages::ToGuardian;

/// How long messages are sent again, from the first message that met the limit on.
const IN_FLIGHT_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between two attempts to send a message.
const IN_FLIGHT_INTERVAL: Duration = Duration::from_millis(1);

/// Errors of `sendmsg` for a limit of this process or of its user. After them the guardian can still be reached.
const LIMITS: [Errno; 5] = [Errno::EMFILE, Errno::ENFILE, Errno::ETOOMANYREFS, Errno::ENOMEM, Errno::ENOBUFS];

/// Why a message was not sent.
#[derive(Debug)]
pub(super) enum SendError {
    /// A limit of this process or of its user prevented it. Other messages may be sent.
    Limit(Errno),
    /// The guardian can't be reached.
    Broken(io::Error),
}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> io::Error {
        match error {
            SendError::Limit(errno) => errno.into(),
            SendError::Broken(error) => error,
        }
    }
}

/// Since when too many files have been in flight; `None` after a message with files that was sent.
#[derive(Debug, Default)]
pub(super) struct RequestSender(Mutex<Option<Instant>>);

impl RequestSender {
    /// Sends a message with some files. Sends it again while too many files are in flight, at most for
    /// [`IN_FLIGHT_TIMEOUT`].
    pub(super) fn send(&self, socket: &SeqPacket, message: &ToGuardian, files: &[OwnedFd]) -> Result<(), SendError> {
        let files: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        // An error here is one of this process.
        let packed = FdMessage::new(message).map_err(|error| SendError::Limit(errno_of(&error)))?;
        loop {
            match packed.send(socket, &files, true) {
                Ok(()) => {
                    if !files.is_empty() {
                        *self.full_since() = None;
                    }
                    return Ok(());
                }
                Err(error) => match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
                    Errno::ETOOMANYREFS if self.waits() => std::thread::sleep(IN_FLIGHT_INTERVAL),
                    errno if LIMITS.contains(&errno) => return Err(SendError::Limit(errno)),
                    _ => return Err(SendError::Broken(error)),
                },
            }
        }
    }

    /// Whether a message that met the limit is to be sent again. The first call starts the time.
    fn waits(&self) -> bool {
        let now = Instant::now();
        now < *self.full_since().get_or_insert(now) + IN_FLIGHT_TIMEOUT
    }

    fn full_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error number. An error without a number is a message that is longer than a file may be (`RLIMIT_FSIZE`).
fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EFBIG, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    use super::super::tests::long_request;
    use super::*;
    use crate::messages::ProcessId;

    /// In a process of its own without privileges, since the limit does not apply to privileged processes.
    #[test]
    fn files_that_there_is_no_room_for_on_the_way_are_sent_as_soon_as_there_is() {
        const CHILD: &str = "PUSHFLOW_TEST_FEW_FILES";
        if std::env::var_os(CHILD).is_none() {
            let test =
                "client::sending::tests::files_that_there_is_no_room_for_on_the_way_are_sent_as_soon_as_there_is";
            let mut child = std::process::Command::new("setpriv");
            let is_root =
                std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
            let dropped = ["--reuid=65534", "--regid=65534", "--clear-groups"];
            child.args(dropped.iter().take(if is_root { 3 } else { 0 })).arg("--no-new-privs");
            child.arg(std::env::current_exe().unwrap()).args(["--exact", test]).env(CHILD, "");
            let child = child.output().unwrap();
            // Without privileges the process may not be allowed to read the folder of this program.
            assert!(child.status.success() || [Some(126), Some(127)].contains(&child.status.code()), "{child:?}");
            return;
        }
        let (ours, theirs) = SeqPacket::pair().unwrap();
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();
        let file = ours.as_fd();
        let files = || [(); 8].map(|()| ours.as_fd().try_clone_to_owned().unwrap());
        let full = loop {
            if let Err(error) = ours.send(b"x", &[file; 8], false) {
                break error;
            }
        };
        assert_eq!(full.raw_os_error(), Some(Errno::ETOOMANYREFS as i32));
        let sending = RequestSender::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while sending.full_since().is_none() {
                    std::thread::yield_now();
                }
                while theirs.receive(false).is_ok() {}
            });
            sending.send(&ours, &ToGuardian::Watch, &files()).unwrap();
        });
        assert!(sending.full_since().is_none(), "there is room again");
    }

    #[test]
    fn what_there_is_no_room_for_is_waited_for_altogether_and_not_each_time() {
        let began = |ago| RequestSender(Mutex::new(Instant::now().checked_sub(ago)));
        assert!(began(Duration::ZERO).waits() && RequestSender::default().waits());
        assert!(!began(IN_FLIGHT_TIMEOUT).waits());
    }

    /// In a process of its own, since it lowers the limit of the length of files.
    #[test]
    fn a_message_for_whose_length_there_is_a_limit_says_nothing_of_the_guardian() {
        if !pushflow_isolated_test::is_isolated(
            "client::sending::tests::a_message_for_whose_length_there_is_a_limit_says_nothing_of_the_guardian",
        ) {
            return;
        }
        let (ours, _theirs) = SeqPacket::pair().unwrap();
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, 16, hard).unwrap();
        let start = ToGuardian::Start { process: ProcessId(1), request: long_request() };
        let sent = RequestSender::default().send(&ours, &start, &[]);
        assert!(matches!(sent, Err(SendError::Limit(Errno::EFBIG))), "{sent:?}");
    }
}
