//! The output of tasks that nobody observes: it goes where this process prints.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::attempt::{PoolEvent, Stream};

/// Prints the output among the events, and returns the other events.
///
/// The caller holds no lock: a reader of this process's output that is too slow must not hold up the users of the pool.
pub(crate) fn print_output(events: Vec<PoolEvent>) -> Vec<PoolEvent> {
    let mut others = Vec::with_capacity(events.len());
    for event in events {
        match event {
            PoolEvent::Output { stream, bytes, .. } => print_unlocked(stream, &bytes),
            other => others.push(other),
        }
    }
    others
}

/// Writes past the standard library's lock and buffer: the program may hold that lock while it waits for the pool. That
/// nobody reads the output is no error of the task. The call waits while the reader of the output is too slow.
pub fn print_unlocked(stream: Stream, bytes: &[u8]) {
    match stream {
        Stream::Stdout => write_all(io::stdout(), bytes),
        Stream::Stderr => write_all(io::stderr(), bytes),
    }
}

fn write_all(file: impl AsFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match nix::unistd::write(&file, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let mut polled = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                poll(&mut polled, PollTimeout::NONE).ok();
            }
            Err(_) => return,
        }
    }
}
