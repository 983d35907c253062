//! The channel between a worker and its Python interpreter: whole messages over a socket, however the other side behaves.

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

/// What every message starts with, to notice when something else writes on the channel.
pub(super) const MAGIC: &[u8; 4] = b"pfpy";

/// The magic, and the length of what follows.
pub(super) const HEADER: usize = MAGIC.len() + 8;

/// A longer message is taken for garbage.
const LONGEST: u64 = 1 << 40;

/// How long a message is waited for without sleeping, while other processes may run: waking up takes as long again. Both
/// sides do so, else the one that sleeps is woken up all the same. Green tasks let others run instead.
const SPIN: Duration = Duration::from_micros(50);

/// How long a buffer is at first; there may be thousands.
const FIRST: usize = 4 * 1024;

/// A buffer that grew larger than this is given back before the next message.
const KEPT: usize = 1 << 20;

/// Why the channel can't be used any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChannelError {
    /// The other side closed it, by ending or otherwise.
    #[error("closed its channel to the worker")]
    Closed,
    /// The other side sent what is no message.
    #[error("sent the worker what is no reply ({0})")]
    Garbage(String),
    /// Whoever waited gave up.
    #[error("did not answer")]
    GivenUp,
    /// The operating system refused.
    #[error("could not be talked to: {0}")]
    Failed(#[from] io::Error),
}

/// Called each time that waiting has taken a while; an error ends the wait.
pub(super) type WaitCheck<'a> = &'a mut dyn FnMut() -> Result<(), ChannelError>;

/// The worker's end.
pub(super) struct Channel {
    stream: Arc<UnixStream>,
    buffer: Vec<u8>,
    /// How much of the buffer is the message that arrives.
    filled: usize,
    /// How long a wait takes before it asks whether to go on; none if it never does.
    check_interval: Option<Duration>,
    /// How many bytes went through it, in both directions.
    carried: u64,
}

impl Channel {
    /// A channel over one end of a pair of sockets. `check_interval` is how long a wait takes before it asks whether to go on.
    pub(super) fn new(stream: Arc<UnixStream>, check_interval: Duration) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Channel { stream, buffer: vec![0; FIRST], filled: 0, check_interval: Some(check_interval), carried: 0 })
    }

    /// From now on somebody else shuts the channel down when there is nothing to wait for any more.
    pub(super) fn wait_without_asking(&mut self) {
        self.check_interval = None;
    }

    /// Has the other side see the end; whether that was possible.
    pub(super) fn shut_down(&self) -> bool {
        self.stream.shutdown(Shutdown::Both).is_ok()
    }

    /// Sends bytes, waiting for the other side to read them.
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

    /// Sends files, with one byte.
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

    /// Waits for one message and returns what follows its header.
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

    /// Like [`Channel::receive`], where other messages may follow at once: reads none of them, and sleeps from the
    /// beginning.
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

    /// How many bytes went through it, in both directions.
    pub fn carried(&self) -> u64 {
        self.carried
    }

    /// Whether the other side is there and has said nothing that nobody asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        (&*self.stream).read(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The length of the message with its header, as soon as that is here.
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

    /// Reads what is there; 0 if that is nothing yet.
    fn read_some(&mut self) -> Result<usize, ChannelError> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(2 * self.filled, 0);
        }
        self.read_up_to(self.buffer.len())
    }

    /// Reads what is there, until so many bytes are here; 0 if there is nothing yet.
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
