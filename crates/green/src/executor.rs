//! [`Executor`]: how other threads reach the thread of the green tasks.

use std::io;
use std::sync::{Arc, Mutex};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::arena::Key;
use super::monitor::lock;
use super::scheduler::Scheduler;
use super::watchdog::Heartbeat;

/// As a thread has it, so that what runs there runs here.
pub const STACK_BYTES: usize = 2 * 1024 * 1024;

/// The number by which the kernel names the bell; no task has it.
const BELL: u64 = u64::MAX;

/// What a green task does. It is called with the error where no stack can be made for it, outside of any task then.
pub type Job = Box<dyn FnOnce(io::Result<()>) + Send>;

/// A thread that runs green tasks; it leaves when it was closed and its tasks have ended. Cloning shares.
#[derive(Clone, Debug)]
pub struct Executor {
    mailbox: Arc<Mailbox>,
}

impl Executor {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there are no threads or file descriptors left.
    pub fn start(stack_bytes: usize, heartbeat: Arc<Heartbeat>) -> io::Result<Executor> {
        let mailbox = Arc::new(Mailbox {
            mail: Mutex::default(),
            bell: EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            heartbeat,
        });
        let files = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        files.add(&mailbox.bell, EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        let executor = Executor { mailbox: mailbox.clone() };
        std::thread::Builder::new().name("pushflow-green".into()).spawn(move || {
            Scheduler::new(mailbox, files, stack_bytes).run();
        })?;
        Ok(executor)
    }

    /// Runs these as green tasks; they begin in this order.
    pub fn spawn(&self, jobs: impl IntoIterator<Item = Job>) {
        match Scheduler::of(&self.mailbox) {
            Some(scheduler) => jobs.into_iter().for_each(|job| scheduler.spawn(job)),
            None => self.mailbox.post(|mail| mail.jobs.extend(jobs)),
        }
    }

    /// Lets the thread leave once all tasks have ended.
    pub fn close(&self) {
        self.mailbox.post(|mail| mail.closed = true);
    }
}

/// What other threads give to the executor's.
#[derive(Debug)]
pub struct Mailbox {
    pub mail: Mutex<Mail>,
    bell: EventFd,
    pub heartbeat: Arc<Heartbeat>,
}

/// What has come since the thread last looked.
#[derive(Default)]
pub struct Mail {
    pub jobs: Vec<Job>,
    pub woken: Vec<Key>,
    /// Whether the thread may leave when all tasks have ended.
    pub closed: bool,
    /// Whether the thread waits for its bell.
    pub asleep: bool,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("jobs", &self.jobs.len()).field("woken", &self.woken).finish_non_exhaustive()
    }
}

impl Mailbox {
    /// Queues a task, from whatever thread.
    pub fn wake(self: &Arc<Self>, key: Key) {
        match Scheduler::of(self) {
            Some(scheduler) => scheduler.queue(key),
            None => self.post(|mail| mail.woken.push(key)),
        }
    }

    /// Whether this is the number of the bell; it is silent again then.
    pub fn is_bell(&self, number: u64) -> bool {
        if number == BELL {
            // An error means that it was silent already.
            self.bell.read().ok();
        }
        number == BELL
    }

    fn post(&self, put: impl FnOnce(&mut Mail)) {
        let mut mail = lock(&self.mail);
        put(&mut mail);
        if std::mem::take(&mut mail.asleep)
            && let Err(error) = self.bell.write(1)
        {
            tracing::error!(%error, "the thread of the green tasks can't be woken");
        }
    }
}
