//! The scheduler's ends of its channels with one worker.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipc_channel::ipc::IpcBytesSender;
use pushflow_os::SharedWords;
use pushflow_value::{CodecError, Data};

use super::envelope::Envelope;
use super::error::TransportError;
use super::frames::{FrameReader, frames_of, send_frame};
use crate::slabs::{PackedData, Reference, SchedulerSide};
use crate::unsent::read_unreceived;
use crate::window::SendWindow;
use crate::{FromWorker, ToWorker};

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

impl ToWorkerSender {
    /// Over this channel.
    pub(super) fn new(sender: IpcBytesSender, slabs: Arc<Mutex<SchedulerSide>>) -> ToWorkerSender {
        ToWorkerSender { sender, window: SendWindow::default(), waiting: VecDeque::new(), slabs }
    }

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
    /// From this channel.
    pub(super) fn new(frames: FrameReader, slabs: Arc<Mutex<SchedulerSide>>) -> FromWorkerReceiver {
        FromWorkerReceiver { frames, received: 0, slabs }
    }

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

fn lock(slabs: &Mutex<SchedulerSide>) -> MutexGuard<'_, SchedulerSide> {
    slabs.lock().unwrap_or_else(PoisonError::into_inner)
}
