//! [`Mailbox`]: the queue by which other threads reach the executor's thread, and the bell that wakes it.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::arena::Key;
use crate::lock::lock;
use crate::watchdog::Heartbeat;

/// The number by which `epoll` names the bell; no task has it.
const BELL: u64 = u64::MAX;

/// The body of a green task. Its argument says whether the task has a stack: where none can be made, the executor calls
/// the body with the error, outside of any task.
pub type Job = Box<dyn FnOnce(io::Result<()>) + Send>;

/// The state that other threads share with the executor's thread.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) mail: Mutex<Mail>,
    /// Rung by a thread that posts mail while the executor's thread sleeps.
    bell: EventFd,
    pub(crate) heartbeat: Arc<Heartbeat>,
}

/// The mail that the executor's thread has not taken yet.
#[derive(Default)]
pub(crate) struct Mail {
    pub(crate) jobs: Vec<Job>,
    pub(crate) woken: Vec<Key>,
    /// Whether the thread may leave when all tasks have ended.
    pub(crate) closed: bool,
    /// Whether the thread waits for its bell.
    pub(crate) asleep: bool,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("jobs", &self.jobs.len()).field("woken", &self.woken).finish_non_exhaustive()
    }
}

impl Mailbox {
    /// An empty mailbox.
    ///
    /// # Errors
    /// When there are no file descriptors left.
    pub(crate) fn new(heartbeat: Arc<Heartbeat>) -> io::Result<Mailbox> {
        let bell = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Mailbox { mail: Mutex::default(), bell, heartbeat })
    }

    /// Adds the bell to the files of an `epoll`.
    pub(crate) fn add_bell_to(&self, files: &Epoll) -> io::Result<()> {
        Ok(files.add(&self.bell, EpollEvent::new(EpollFlags::EPOLLIN, BELL))?)
    }

    /// Whether an event of `epoll` is the bell's; silences the bell if so.
    pub(crate) fn is_bell(&self, number: u64) -> bool {
        if number == BELL {
            // An error means that the bell was silent already.
            self.bell.read().ok();
        }
        number == BELL
    }

    /// Changes the mail, and rings the bell if the executor's thread sleeps.
    pub(crate) fn post(&self, put: impl FnOnce(&mut Mail)) {
        let mut mail = lock(&self.mail);
        put(&mut mail);
        if std::mem::take(&mut mail.asleep)
            && let Err(error) = self.bell.write(1)
        {
            tracing::error!(%error, "the thread of the green tasks can't be woken");
        }
    }
}
