//! [`Sending`]: how messages are sent to the guardian, whose files may have to wait for room.
//!
//! Files on their way count for a limit of the user until they are taken, whoever is to take them. So when there is no room
//! a message is tried again for a while: altogether, not each of them, since whoever sends may be the thread that does all
//! else for a pool. Nobody else waits meanwhile.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use pushflow_os::SeqPacket;
use pushflow_protocol::courier::Letter;

use crate::messages::ToGuardian;

/// How long files wait for room on their way.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is looked whether there is room.
const ROOM_INTERVAL: Duration = Duration::from_millis(1);

/// Limits of this process or of its user, which say nothing of the guardian.
const LIMITS: [Errno; 5] = [Errno::EMFILE, Errno::ENFILE, Errno::ETOOMANYREFS, Errno::ENOMEM, Errno::ENOBUFS];

/// Why a message was not sent.
#[derive(Debug)]
pub(super) enum Unsent {
    /// A limit of this process kept it from that; others may be sent.
    Limit(Errno),
    /// The guardian can't be reached.
    Broken(io::Error),
}

impl From<Unsent> for io::Error {
    fn from(unsent: Unsent) -> io::Error {
        match unsent {
            Unsent::Limit(errno) => errno.into(),
            Unsent::Broken(error) => error,
        }
    }
}

/// Since when there has been no room for files.
#[derive(Debug, Default)]
pub(super) struct Sending(Mutex<Option<Instant>>);

impl Sending {
    /// Sends a message with some files, and waits for room.
    pub(super) fn send(&self, socket: &SeqPacket, message: &ToGuardian, files: &[OwnedFd]) -> Result<(), Unsent> {
        let files: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        // Nothing of this is about the guardian.
        let letter = Letter::new(message).map_err(|error| Unsent::Limit(errno_of(&error)))?;
        loop {
            match letter.send(socket, &files, true) {
                Ok(()) => {
                    if !files.is_empty() {
                        *self.full_since() = None;
                    }
                    return Ok(());
                }
                Err(error) => match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
                    Errno::ETOOMANYREFS if self.waits() => std::thread::sleep(ROOM_INTERVAL),
                    errno if LIMITS.contains(&errno) => return Err(Unsent::Limit(errno)),
                    _ => return Err(Unsent::Broken(error)),
                },
            }
        }
    }

    /// Whether room is still waited for.
    fn waits(&self) -> bool {
        let now = Instant::now();
        now < *self.full_since().get_or_insert(now) + ROOM_TIMEOUT
    }

    fn full_since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Errors without a number are those of files that may not be so long.
fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EFBIG, Errno::from_raw)
}

#[cfg(test)]
mod tests {

    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    use crate::messages::ProcessId;

    use super::super::tests::long_launch;
    use super::*;

    /// Only where this process is not privileged; else in a process of its own that is not.
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
            // Whoever is not privileged may not look into the folder that this program is in.
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
        let sending = Sending::default();
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
        let began = |ago| Sending(Mutex::new(Instant::now().checked_sub(ago)));
        assert!(began(Duration::ZERO).waits() && Sending::default().waits());
        assert!(!began(ROOM_TIMEOUT).waits());
    }

    /// In a process of its own, in which no file may be long.
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
        let start = ToGuardian::Start { process: ProcessId(1), launch: long_launch() };
        let sent = Sending::default().send(&ours, &start, &[]);
        assert!(matches!(sent, Err(Unsent::Limit(Errno::EFBIG))), "{sent:?}");
    }
}
