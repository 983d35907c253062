//! [`Channel`]: whole messages over the socket between a worker and its Python interpreter. It expects any behaviour of
//! the interpreter.

use std::cmp::Ordering;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use pushflow_green::Direction;

/// The first bytes of every message. They reveal when something else writes on the channel.
pub(super) const MAGIC: &[u8; 4] = b"pfpy";

/// The length of the header: the magic, and the length of the rest in 8 bytes.
pub(super) const HEADER: usize = MAGIC.len() + 8;

/// A longer message is taken for garbage.
const LONGEST: u64 = 1 << 40;

/// How long a wait for a message spins before it sleeps, while it lets other processes run; waking up would take as long
/// again. Both sides spin, since one that sleeps would have to be woken all the same. Green tasks let other tasks run
/// instead.
const SPIN: Duration = Duration::from_micros(50);

/// The first length of a buffer; there may be thousands of buffers.
const FIRST: usize = 4 * 1024;

/// A buffer that grew larger than this is freed before the next message.
const KEPT: usize = 1 << 20;

/// Why the channel can't be used any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChannelError {
    /// The interpreter closed the channel, or ended.
    #[error("closed its channel to the worker")]
    Closed,
    /// The interpreter sent bytes that are no message.
    #[error("sent the worker what is no reply ({0})")]
    Garbage(String),
    /// The check of the wait ended it.
    #[error("did not answer")]
    GivenUp,
    /// A system call failed.
    #[error("could not be talked to: {0}")]
    Failed(#[from] io::Error),
}

/// Called at intervals during a wait; an error ends the wait.
pub(super) type WaitCheck<'a> = &'a mut dyn FnMut() -> Result<(), ChannelError>;

/// The worker's end of the channel.
pub(super) struct Channel {
    stream: Arc<UnixStream>,
    buffer: Vec<u8>,
    /// How many bytes of the buffer belong to the message that arrives.
    filled: usize,
    /// The interval at which a wait calls its check; `None` if it never does.
    check_interval: Option<Duration>,
    /// How many bytes were sent and received.
    carried: u64,
}

impl Channel {
    /// A channel over one end of a pair of sockets. Waits call their check at intervals of `check_interval`.
    pub(super) fn new(stream: Arc<UnixStream>, check_interval: Duration) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Channel { stream, buffer: vec![0; FIRST], filled: 0, check_interval: Some(check_interval), carried: 0 })
    }

    /// Waits without checks from now on: another thread shuts the channel down when the interpreter ends.
    pub(super) fn wait_without_asking(&mut self) {
        self.check_interval = None;
    }

    /// Shuts down both directions, which the interpreter sees as the end; returns whether that succeeded.
    pub(super) fn shut_down(&self) -> bool {
        self.stream.shutdown(Shutdown::Both).is_ok()
    }

    /// Sends bytes; waits while the socket is full.
    pub(super) fn send(&mut self, mut bytes: &[u8], check: WaitCheck<'_>) -> Result<(), ChannelError> {
        while !bytes.is_empty() {
            match (&*self.stream).write(bytes) {
                Ok(count) => {
                    bytes = &bytes[count..];
                    self.carried += count as u64;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.wait(Direction::Write, check)?,
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => return Err(ChannelError::Closed),
                    _ => return Err(error.into()),
                },
            }
        }
        Ok(())
    }

    /// Sends files with one byte.
    pub(super) fn send_files(&mut self, files: &[BorrowedFd<'_>], check: WaitCheck<'_>) -> Result<(), ChannelError> {
        let numbers: Vec<_> = files.iter().map(AsRawFd::as_raw_fd).collect();
        let control = [ControlMessage::ScmRights(&numbers)];
        let control = if numbers.is_empty() { &[][..] } else { &control };
        loop {
            let sent = sendmsg::<()>(
                self.stream.as_raw_fd(),
                &[IoSlice::new(&[0])],
                control,
                MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
                None,
            );
            match sent {
                Ok(_) => return Ok(()),
                Err(Errno::EAGAIN) => self.wait(Direction::Write, check)?,
                Err(Errno::EINTR) => {}
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(ChannelError::Closed),
                Err(error) => return Err(ChannelError::Failed(error.into())),
            }
        }
    }

    /// Waits for one message and returns the bytes behind its header.
    pub(super) fn receive(&mut self, check: WaitCheck<'_>) -> Result<&[u8], ChannelError> {
        self.filled = 0;
        if self.buffer.len() > KEPT {
            self.buffer = vec![0; FIRST];
        }
        let start = Instant::now();
        while self.read_some()? == 0 && start.elapsed() < SPIN && !pushflow_green::is_green() {
            thread::yield_now();
        }
        loop {
            if let Some(length) = self.message_length()? {
                match self.filled.cmp(&length) {
                    Ordering::Equal => return Ok(&self.buffer[HEADER..length]),
                    Ordering::Greater => {
                        return Err(ChannelError::Garbage("more bytes than its length says".to_owned()));
                    }
                    Ordering::Less => {}
                }
            }
            if self.read_some()? == 0 {
                self.wait(Direction::Read, check)?;
            }
        }
    }

    /// As [`Channel::receive`], where further messages may follow at once: reads no byte of them, and does not spin.
    pub(super) fn receive_one_of_many(&mut self, check: WaitCheck<'_>) -> Result<&[u8], ChannelError> {
        self.filled = 0;
        loop {
            let wanted = self.message_length()?.unwrap_or(HEADER);
            match self.filled == wanted {
                true if wanted > HEADER => return Ok(&self.buffer[HEADER..wanted]),
                true => return Err(ChannelError::Garbage("a message of no bytes".to_owned())),
                false if self.read_up_to(wanted)? == 0 => self.wait(Direction::Read, check)?,
                false => {}
            }
        }
    }

    /// How many bytes were sent and received.
    pub(super) fn carried(&self) -> u64 {
        self.carried
    }

    /// Whether the interpreter has neither closed the channel nor sent a byte that no request asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        (&*self.stream).read(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The length of the message with its header, once the header has arrived.
    fn message_length(&self) -> Result<Option<usize>, ChannelError> {
        let received = &self.buffer[..self.filled];
        let start = &received[..received.len().min(MAGIC.len())];
        if !MAGIC.starts_with(start) {
            return Err(ChannelError::Garbage(format!("it starts with \"{}\"", start.escape_ascii())));
        }
        let Some(length) = received.get(MAGIC.len()..HEADER) else { return Ok(None) };
        let length = u64::from_le_bytes(length.try_into().expect("the length has 8 bytes"));
        match usize::try_from(length) {
            Ok(small) if length <= LONGEST => Ok(Some(HEADER + small)),
            _ => Err(ChannelError::Garbage(format!("a length of {length} bytes"))),
        }
    }

    /// Reads the bytes that have arrived; 0 if there are none.
    fn read_some(&mut self) -> Result<usize, ChannelError> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(2 * self.filled, 0);
        }
        self.read_up_to(self.buffer.len())
    }

    /// Reads the bytes that have arrived until the buffer holds `end` bytes; 0 if there are none.
    fn read_up_to(&mut self, end: usize) -> Result<usize, ChannelError> {
        if end > self.buffer.len() {
            self.buffer.resize(end, 0);
        }
        match (&*self.stream).read(&mut self.buffer[self.filled..end]) {
            Ok(0) => Err(ChannelError::Closed),
            Ok(count) => {
                self.filled += count;
                self.carried += count as u64;
                Ok(count)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                io::ErrorKind::ConnectionReset => Err(ChannelError::Closed),
                _ => Err(error.into()),
            },
        }
    }

    /// Waits until the socket is ready; a green task lets others run meanwhile.
    fn wait(&self, direction: Direction, check: WaitCheck<'_>) -> Result<(), ChannelError> {
        loop {
            let deadline = self.check_interval.map(|check_interval| Instant::now() + check_interval);
            if pushflow_green::wait_ready(self.stream.as_fd(), direction, deadline)? {
                return Ok(());
            }
            check()?;
        }
    }
}
