//! The channels between the scheduler and one worker: ipc-channel, with what it does badly kept in here.
//!
//! Three frames may be on their way to a worker before it says that it received them, so that sending never blocks the
//! scheduler (`window.rs`). A message longer than a frame is cut into several; the first byte of each says whether there
//! is more. A worker may block when it sends: the scheduler has one thread for each worker that does nothing but receive.
//! Handles travel in the first message only. Long values do not travel in messages at all, where that is possible (see
//! [`crate::slabs`]). What a worker sends that is no message, also what makes ipc-channel wait for ever or panic
//! (`validate.rs`), is the loss of that worker and of nothing else.

mod spin;
mod validate;

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipc_channel::IpcError;
use ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender, bytes_channel};
use pushflow_os::SharedWords;
use pushflow_value::{CodecError, Data};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::spin::SpinWait;
use self::validate::PacketValidator;
use crate::slabs::{PackedData, Reference, SchedulerSide};
use crate::unsent::read_unreceived;
use crate::window::{ACKNOWLEDGE_BYTES, ACKNOWLEDGE_FRAMES, FRAME_BYTES, SendWindow};
use crate::{FromWorker, ToWorker, WorkerSettings};

/// The first byte of a frame that ends its message.
const LAST: u8 = 0;
/// The first byte of a frame that is followed by more of its message.
const MORE: u8 = 1;

/// Why the other side can't be heard any more.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// It is gone, or has closed the channel.
    #[error("the channel is closed")]
    Closed,
    /// It sent what is no message.
    #[error("what came over the channel is no message ({0})")]
    Garbage(String),
    /// A message can't be written down.
    #[error("the message can't be written down ({0})")]
    Unwritable(postcard::Error),
    /// The kernel refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What the scheduler hands a worker in the first message, the only one with handles.
#[derive(Serialize, Deserialize)]
struct Bootstrap {
    receiver: IpcBytesReceiver,
    sender: IpcBytesSender,
    settings: WorkerSettings,
}

/// Messages of a worker, with how many frames it has received so far, and what it has released; see [`write_envelope`].
#[derive(Deserialize)]
struct Envelope {
    received: u64,
    messages: Vec<FromWorker>,
    /// Not before the messages, which may name what is released here.
    released: Vec<Reference>,
}

/// The scheduler's end towards a worker: never blocks.
pub struct ToWorkerSender {
    sender: IpcBytesSender,
    window: SendWindow,
    waiting: VecDeque<Vec<u8>>,
    slabs: Arc<Mutex<SchedulerSide>>,
}

/// The scheduler's end from a worker.
pub struct FromWorkerReceiver {
    frames: FrameReader,
    /// How many messages were heard and settled.
    received: u64,
    slabs: Arc<Mutex<SchedulerSide>>,
}

/// What came from a worker.
pub struct Received {
    /// Its messages; [`FromWorkerReceiver::open`] opens their packed data.
    pub messages: Vec<FromWorker>,
    /// How many frames it has received.
    pub frames: u64,
    /// How many messages there were.
    count: u64,
    released: Vec<Reference>,
}

/// Connects to a worker's one-shot server and hands over its ends; `slabs` holds what it is lent and granted.
///
/// # Errors
/// When the worker is gone.
pub fn connect(
    server: String,
    settings: WorkerSettings,
    slabs: SchedulerSide,
) -> Result<(ToWorkerSender, FromWorkerReceiver), TransportError> {
    let (sender, worker_receiver) = bytes_channel()?;
    let (worker_sender, receiver) = bytes_channel()?;
    let bootstrap = Bootstrap { receiver: worker_receiver, sender: worker_sender, settings };
    let socket = socket_of(&receiver)?;
    let (validator, spin) = (Some(PacketValidator::at(socket)), SpinWait::at(socket));
    // The bootstrap's own copies of the worker's ends go when it is dropped here: with a copy alive in this process the
    // worker's death would go unseen.
    IpcSender::connect(server)?.send(bootstrap).map_err(receive_error)?;
    let slabs = Arc::new(Mutex::new(slabs));
    Ok((
        ToWorkerSender { sender, window: SendWindow::default(), waiting: VecDeque::new(), slabs: slabs.clone() },
        FromWorkerReceiver {
            frames: FrameReader { receiver, spin, validator, message: Vec::new() },
            received: 0,
            slabs,
        },
    ))
}

impl ToWorkerSender {
    /// Sends a message, or keeps what does not fit the window until the worker has received more.
    ///
    /// # Errors
    /// [`TransportError::Unwritable`] when this message can't be written down, and nothing of it is sent. Any other is the end:
    /// the worker is gone, or what waits to be sent would never reach it.
    pub fn send(&mut self, message: &ToWorker) -> Result<(), TransportError> {
        let gone = lock(&self.slabs).take_retired();
        if !gone.is_empty() {
            self.put(&ToWorker::UnmapSlabs { slabs: gone })?;
        }
        self.put(message)?;
        self.flush()
    }

    /// Writes inputs down, their long values into memory that the worker can read. Never waits.
    ///
    /// # Errors
    /// When a value can't be encoded.
    pub fn pack(&self, data: &Data) -> Result<PackedData, CodecError> {
        lock(&self.slabs).pack(data)
    }

    /// Answers the worker's question for room.
    ///
    /// # Errors
    /// When the worker is gone.
    pub fn grant(&mut self, bytes: u64) -> Result<(), TransportError> {
        let region = lock(&self.slabs).grant(bytes);
        self.send(&ToWorker::Granted { region })
    }

    fn put(&mut self, message: &ToWorker) -> Result<(), TransportError> {
        let message = postcard::to_stdvec(message).map_err(TransportError::Unwritable)?;
        self.waiting.extend(frames_of(&message));
        Ok(())
    }

    /// The worker has received this many frames: sends what waited for that.
    ///
    /// # Errors
    /// When the worker is gone.
    pub fn acknowledged(&mut self, frames: u64) -> Result<(), TransportError> {
        self.window.acknowledged(frames);
        self.flush()
    }

    fn flush(&mut self) -> Result<(), TransportError> {
        while self.waiting.front().is_some_and(|frame| self.window.has_room(frame.len())) {
            let Some(frame) = self.waiting.pop_front() else { break };
            send_frame(&self.sender, &frame)?;
            self.window.sent(frame.len());
        }
        Ok(())
    }
}

impl FromWorkerReceiver {
    /// Waits for the next messages. When their packed data are open, what was released is to be [`settled`](Self::settle).
    ///
    /// # Errors
    /// When the worker is gone, or sent what is no message.
    pub fn receive(&mut self) -> Result<Received, TransportError> {
        // What the validator has let through may still make ipc-channel panic: files that came with it, say.
        let received = catch_unwind(AssertUnwindSafe(|| self.frames.message::<Envelope>()));
        let envelope = received.map_err(|_| TransportError::Garbage("ipc-channel panicked".into()))??;
        let Envelope { received: frames, messages, released } = envelope;
        Ok(Received { count: messages.len() as u64, messages, frames, released })
    }

    /// What the worker said and did not send, when nothing more comes: what waits in its [`UnsentReplies`](crate::UnsentReplies).
    pub fn unsent_replies(&self, shared: &SharedWords) -> Vec<FromWorker> {
        read_unreceived(shared, self.received)
    }

    /// What is in the packed data of the worker.
    ///
    /// # Errors
    /// When it names memory that the worker was not given.
    pub fn open(&self, packed: PackedData) -> Result<Data, TransportError> {
        let data = lock(&self.slabs).open(packed)?;
        data.into_data().map_err(|error| TransportError::Garbage(error.to_string()))
    }

    /// Takes back what the worker released with these messages.
    ///
    /// # Errors
    /// When it is memory that the worker was not given.
    pub fn settle(&mut self, batch: Received) -> Result<(), TransportError> {
        let mut slabs = lock(&self.slabs);
        batch.released.into_iter().try_for_each(|reference| slabs.released(reference))?;
        self.received += batch.count;
        Ok(())
    }
}

/// A worker's place to be connected to.
pub struct WorkerServer {
    server: IpcOneShotServer<Bootstrap>,
    name: String,
}

/// Messages of a worker, written down one after the other as they are sent.
#[derive(Debug, Default)]
pub struct MessageBatch {
    count: usize,
    bytes: Vec<u8>,
}

impl MessageBatch {
    /// Adds a message: how it is written down.
    ///
    /// # Errors
    /// When it can't be.
    pub fn push(&mut self, message: &FromWorker) -> Result<&[u8], TransportError> {
        let before = self.bytes.len();
        self.bytes =
            postcard::to_extend(message, std::mem::take(&mut self.bytes)).map_err(TransportError::Unwritable)?;
        self.count += 1;
        Ok(&self.bytes[before..])
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// A worker's end towards the scheduler; waits for room.
pub struct FromWorkerSender {
    sender: IpcBytesSender,
}

/// A worker's end from the scheduler.
pub struct ToWorkerReceiver {
    frames: FrameReader,
    received: u64,
    unacknowledged_bytes: usize,
    acknowledged: u64,
}

impl WorkerServer {
    /// Opens a server in the folder that `TMPDIR` names.
    ///
    /// # Errors
    /// When the folder can't be written to, or its path is too long for a socket (107 bytes).
    pub fn open() -> io::Result<WorkerServer> {
        let (server, name) = IpcOneShotServer::new()?;
        Ok(WorkerServer { server, name })
    }

    /// What to connect to.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for the scheduler to connect.
    ///
    /// # Errors
    /// When what connects says something else.
    pub fn accept(self) -> Result<(FromWorkerSender, ToWorkerReceiver, WorkerSettings), TransportError> {
        let (_, bootstrap) = self.server.accept().map_err(receive_error)?;
        let spin = SpinWait::at(socket_of(&bootstrap.receiver)?);
        let frames = FrameReader { receiver: bootstrap.receiver, spin, validator: None, message: Vec::new() };
        let receiver = ToWorkerReceiver { frames, received: 0, unacknowledged_bytes: 0, acknowledged: 0 };
        Ok((FromWorkerSender { sender: bootstrap.sender }, receiver, bootstrap.settings))
    }
}

impl FromWorkerSender {
    /// Sends messages with the number of frames received so far, and what was released before this is called.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub fn send(&self, messages: &MessageBatch, received: u64, released: &[Reference]) -> Result<(), TransportError> {
        for frame in frames_of(&write_envelope(messages, received, released)?) {
            send_frame(&self.sender, &frame)?;
        }
        Ok(())
    }
}

/// An [`Envelope`] whose messages are written down already: the fields of a structure follow each other, and the elements of
/// a list follow their number (postcard's wire format).
fn write_envelope(messages: &MessageBatch, received: u64, released: &[Reference]) -> Result<Vec<u8>, TransportError> {
    let envelope = Vec::with_capacity(messages.bytes.len() + 32);
    let mut envelope =
        postcard::to_extend(&(received, messages.count), envelope).map_err(TransportError::Unwritable)?;
    envelope.extend_from_slice(&messages.bytes);
    postcard::to_extend(&released, envelope).map_err(TransportError::Unwritable)
}

/// What came from the scheduler.
pub enum Incoming {
    /// A message.
    Message(ToWorker),
    /// A part of one, and the scheduler waits to hear that there is room for more.
    AcknowledgeDue,
}

impl ToWorkerReceiver {
    /// Waits for a message, or for the moment at which one should be acknowledged.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub fn receive(&mut self) -> Result<Incoming, TransportError> {
        loop {
            let (size, last) = self.frames.frame()?;
            self.received += 1;
            self.unacknowledged_bytes += size;
            if last {
                return self.frames.take().map(Incoming::Message);
            }
            if self.acknowledge_due() {
                return Ok(Incoming::AcknowledgeDue);
            }
        }
    }

    /// Whether so much was received since the last acknowledgement that the scheduler should hear of it.
    pub fn acknowledge_due(&self) -> bool {
        self.received - self.acknowledged >= ACKNOWLEDGE_FRAMES || self.unacknowledged_bytes >= ACKNOWLEDGE_BYTES
    }

    /// How many frames were received; what is told to the scheduler with this counts as acknowledged.
    pub fn acknowledge(&mut self) -> u64 {
        self.acknowledged = self.received;
        self.unacknowledged_bytes = 0;
        self.received
    }
}

/// Puts frames together to messages.
struct FrameReader {
    receiver: IpcBytesReceiver,
    spin: SpinWait,
    /// At what comes from a worker; the scheduler is trusted.
    validator: Option<PacketValidator>,
    message: Vec<u8>,
}

impl FrameReader {
    /// Waits for a frame: its size, and whether it ends a message.
    fn frame(&mut self) -> Result<(usize, bool), TransportError> {
        self.spin.wait();
        self.validator.iter().try_for_each(PacketValidator::wait)?;
        let frame = loop {
            match self.receiver.recv() {
                Ok(frame) => break frame,
                Err(IpcError::Io(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(receive_error(error)),
            }
        };
        self.spin.received();
        match frame.split_first() {
            Some((&mark @ (LAST | MORE), part)) => {
                self.message.extend_from_slice(part);
                Ok((frame.len(), mark == LAST))
            }
            _ => Err(TransportError::Garbage(format!("a frame of {} bytes", frame.len()))),
        }
    }

    /// The message that the last frame ended.
    fn take<M: DeserializeOwned>(&mut self) -> Result<M, TransportError> {
        let message = std::mem::take(&mut self.message);
        postcard::from_bytes(&message).map_err(|error| TransportError::Garbage(error.to_string()))
    }

    fn message<M: DeserializeOwned>(&mut self) -> Result<M, TransportError> {
        while !self.frame()?.1 {}
        self.take()
    }
}

/// The number of a receiver's socket, as long as that lives.
///
/// ipc-channel does not give it away, but for what `Debug` prints. Its version is pinned, and a receiver whose number
/// can't be found is not used.
fn socket_of(receiver: &IpcBytesReceiver) -> io::Result<RawFd> {
    let text = format!("{receiver:?}");
    number_in(&text).ok_or_else(|| io::Error::other(format!("{text} names no socket")))
}

/// The first number in what `Debug` prints of an end of a channel, which is that of its socket.
fn number_in(text: &str) -> Option<RawFd> {
    text.split(|letter: char| !letter.is_ascii_digit()).find(|digits| !digits.is_empty())?.parse().ok()
}

fn lock(slabs: &Mutex<SchedulerSide>) -> MutexGuard<'_, SchedulerSide> {
    slabs.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A message as frames.
fn frames_of(message: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let count = message.len().div_ceil(FRAME_BYTES - 1);
    message.chunks(FRAME_BYTES - 1).enumerate().map(move |(index, part)| {
        let mut frame = Vec::with_capacity(part.len() + 1);
        frame.push(if index + 1 == count { LAST } else { MORE });
        frame.extend_from_slice(part);
        frame
    })
}

fn receive_error(error: IpcError) -> TransportError {
    match error {
        IpcError::Disconnected => TransportError::Closed,
        IpcError::Io(error) if error.kind() == io::ErrorKind::ConnectionReset => TransportError::Closed,
        IpcError::Io(error) => TransportError::Io(error),
        IpcError::SerializationError(error) => TransportError::Garbage(error.to_string()),
    }
}

/// Sends one frame, however often a signal ends the wait for that.
fn send_frame(sender: &IpcBytesSender, frame: &[u8]) -> Result<(), TransportError> {
    loop {
        match sender.send(frame) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => return sent.map_err(send_error),
        }
    }
}

fn send_error(error: io::Error) -> TransportError {
    match error.kind() {
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::NotConnected => TransportError::Closed,
        _ => TransportError::Io(error),
    }
}

#[cfg(test)]
mod tests;
