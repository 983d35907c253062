//! [`Executor`]: the handle by which other threads give work to the thread of the green tasks.

use std::io;
use std::sync::Arc;

use nix::sys::epoll::{Epoll, EpollCreateFlags};

use crate::mailbox::{Job, Mailbox};
use crate::scheduler::Scheduler;
use crate::watchdog::Heartbeat;

/// The bytes of a green task's stack: as many as a thread has by default, so that code that runs on a thread runs on a
/// green task too.
pub const STACK_BYTES: usize = 2 * 1024 * 1024;

/// A thread that runs green tasks. It leaves when it was closed and its tasks have ended. A clone is another handle of
/// the same thread.
#[derive(Clone, Debug)]
pub struct Executor {
    mailbox: Arc<Mailbox>,
}

impl Executor {
    /// Starts the thread. `stack_bytes` is the size of each task's stack; the thread keeps `heartbeat` up to date.
    ///
    /// # Errors
    /// When there are no threads or file descriptors left.
    pub fn start(stack_bytes: usize, heartbeat: Arc<Heartbeat>) -> io::Result<Executor> {
        let mailbox = Arc::new(Mailbox::new(heartbeat)?);
        let files = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        mailbox.add_bell_to(&files)?;
        let executor = Executor { mailbox: mailbox.clone() };
        std::thread::Builder::new().name("pushflow-green".into()).spawn(move || {
            Scheduler::new(mailbox, files, stack_bytes).run();
        })?;
        Ok(executor)
    }

    /// Runs these jobs as green tasks; they begin in this order.
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
