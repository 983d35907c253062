//! [`Watched`]: the files for which a task waits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::epoll::EpollEvent;

use super::Scheduler;
use crate::arena::Key;
use crate::files::Direction;

impl Scheduler {
    /// Wakes the task when one of the files is ready, until the returned value is dropped.
    ///
    /// # Errors
    /// When `epoll` can't watch one of the files.
    pub(crate) fn watch<'a>(
        &'a self,
        key: Key,
        files: &[BorrowedFd<'a>],
        direction: Direction,
    ) -> io::Result<Watched<'a>> {
        let mut watched = Watched { scheduler: self, files: Vec::with_capacity(files.len()) };
        let event = EpollEvent::new(direction.epoll_flags(), key.to_number());
        for file in files {
            match self.files.add(file, event) {
                Ok(()) => watched.files.push(WatchedFile::Borrowed(*file)),
                Err(Errno::EEXIST) => {
                    // Another task waits for the same descriptor: `epoll` watches a duplicate of it too.
                    let copy = file.try_clone_to_owned()?;
                    self.files.add(&copy, event)?;
                    watched.files.push(WatchedFile::Copy(copy));
                }
                Err(error) => return Err(error.into()),
            }
            self.state.borrow_mut().watched += 1;
        }
        Ok(watched)
    }
}

/// Files that wake a task while this value lives.
#[must_use = "the files wake the task only while this lives"]
pub(crate) struct Watched<'a> {
    scheduler: &'a Scheduler,
    files: Vec<WatchedFile<'a>>,
}

enum WatchedFile<'a> {
    Borrowed(BorrowedFd<'a>),
    Copy(OwnedFd),
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        for file in &self.files {
            let file = match file {
                WatchedFile::Borrowed(file) => *file,
                WatchedFile::Copy(file) => file.as_fd(),
            };
            if let Err(error) = self.scheduler.files.delete(file) {
                tracing::error!(%error, "a file is watched for ever");
            }
        }
        self.scheduler.state.borrow_mut().watched -= self.files.len();
    }
}
