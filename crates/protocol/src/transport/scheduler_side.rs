//! The scheduler's ends of its channels with one worker.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipc_channel::ipc::IpcBytesSender;
use pushflow_model::{CodecError, Data};
use pushflow_os::SharedWords;

use super::envelope::Envelope;
use super::error::TransportError;
use super::frames::{FrameReader, frames_of, send_frame};
use crate::slabs::{PackedData, Reference, SchedulerSide};
use crate::unsent::read_unreceived;
use crate::window::SendWindow;
use crate::{FromWorker, ToWorker};

/// The scheduler's end for messages to a worker. It never blocks.
pub struct ToWorkerSender {
    sender: IpcBytesSender,
    window: SendWindow,
    /// Frames that do not fit the window yet.
    waiting: VecDeque<Vec<u8>>,
    slabs: Arc<Mutex<SchedulerSide>>,
}

/// The scheduler's end for messages from a worker.
pub struct FromWorkerReceiver {
    frames: FrameReader,
    /// How many messages were received and settled.
    received: u64,
    slabs: Arc<Mutex<SchedulerSide>>,
}

/// Messages that a worker has sent together.
pub struct Received {
    /// The messages. [`FromWorkerReceiver::open`] opens their packed data.
    pub messages: Vec<FromWorker>,
    /// How many frames the worker acknowledges.
    pub frames: u64,
    /// How many messages there were; a caller may take them out of `messages`.
    count: u64,
    released: Vec<Reference>,
}

impl ToWorkerSender {
    /// Sends over this channel.
    pub(super) fn new(sender: IpcBytesSender, slabs: Arc<Mutex<SchedulerSide>>) -> ToWorkerSender {
        ToWorkerSender { sender, window: SendWindow::default(), waiting: VecDeque::new(), slabs }
    }

    /// Sends a message. Frames that do not fit the window wait until the worker has acknowledged more.
    ///
    /// # Errors
    /// [`TransportError::Unwritable`] when this message can't be encoded; then nothing of it is sent. After any other
    /// error no message reaches the worker any more.
    pub fn send(&mut self, message: &ToWorker) -> Result<(), TransportError> {
        let retired = lock(&self.slabs).take_retired();
        if !retired.is_empty() {
            self.put(&ToWorker::UnmapSlabs { slabs: retired })?;
        }
        self.put(message)?;
        self.flush()
    }

    /// Encodes inputs, their long values into memory that the worker can read. Never waits.
    ///
    /// # Errors
    /// When a value can't be encoded.
    pub fn pack(&self, data: &Data) -> Result<PackedData, CodecError> {
        lock(&self.slabs).pack(data)
    }

    /// Answers a worker's request for memory, with a grant of so many bytes or with none.
    ///
    /// # Errors
    /// When the worker has ended.
    pub fn grant(&mut self, bytes: u64) -> Result<(), TransportError> {
        let region = lock(&self.slabs).grant(bytes);
        self.send(&ToWorker::Granted { region })
    }

    fn put(&mut self, message: &ToWorker) -> Result<(), TransportError> {
        let message = postcard::to_stdvec(message).map_err(TransportError::Unwritable)?;
        self.waiting.extend(frames_of(&message));
        Ok(())
    }

    /// The worker acknowledges this many frames. Sends frames that waited for that.
    ///
    /// # Errors
    /// When the worker has ended.
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
    /// Receives from this channel.
    pub(super) fn new(frames: FrameReader, slabs: Arc<Mutex<SchedulerSide>>) -> FromWorkerReceiver {
        FromWorkerReceiver { frames, received: 0, slabs }
    }

    /// Waits for the next messages. They are to be [`settled`](Self::settle) when their packed data is open.
    ///
    /// # Errors
    /// When the worker has ended, or has sent something that is no message.
    pub fn receive(&mut self) -> Result<Received, TransportError> {
        // A valid packet may still make ipc-channel panic, by the files that come with it, for example.
        let received = catch_unwind(AssertUnwindSafe(|| self.frames.message::<Envelope>()));
        let envelope = received.map_err(|_| TransportError::Garbage("ipc-channel panicked".into()))??;
        let Envelope { received: frames, messages, released } = envelope;
        Ok(Received { count: messages.len() as u64, messages, frames, released })
    }

    /// The replies that the worker has not sent, when its channel has ended. They are in its
    /// [`UnsentReplies`](crate::UnsentReplies).
    pub fn unsent_replies(&self, shared: &SharedWords) -> Vec<FromWorker> {
        read_unreceived(shared, self.received)
    }

    /// Opens packed data of the worker.
    ///
    /// # Errors
    /// When it names memory that the worker was neither lent nor granted.
    pub fn open(&self, packed: PackedData) -> Result<Data, TransportError> {
        let data = lock(&self.slabs).open(packed)?;
        data.into_data().map_err(|error| TransportError::Garbage(error.to_string()))
    }

    /// Counts these messages as received, and takes back the memory that the worker has released with them.
    ///
    /// # Errors
    /// When the worker was neither lent nor granted that memory.
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
