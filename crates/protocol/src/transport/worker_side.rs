//! A worker's ends of its channels with the scheduler.

use ipc_channel::ipc::IpcBytesSender;

use super::envelope::{MessageBatch, write_envelope};
use super::error::TransportError;
use super::frames::{FrameReader, frames_of, send_frame};
use crate::ToWorker;
use crate::slabs::Reference;
use crate::window::{ACKNOWLEDGE_BYTES, ACKNOWLEDGE_FRAMES};

/// A worker's end towards the scheduler; waits for room.
pub struct FromWorkerSender {
    pub(super) sender: IpcBytesSender,
}

/// A worker's end from the scheduler.
pub struct ToWorkerReceiver {
    frames: FrameReader,
    received: u64,
    unacknowledged_bytes: usize,
    acknowledged: u64,
}

impl FromWorkerSender {
    /// Over this channel.
    pub(super) fn new(sender: IpcBytesSender) -> FromWorkerSender {
        FromWorkerSender { sender }
    }

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

/// What came from the scheduler.
pub enum Incoming {
    /// A message.
    Message(ToWorker),
    /// A part of one, and the scheduler waits to hear that there is room for more.
    AcknowledgeDue,
}

impl ToWorkerReceiver {
    /// From this channel.
    pub(super) fn new(frames: FrameReader) -> ToWorkerReceiver {
        ToWorkerReceiver { frames, received: 0, unacknowledged_bytes: 0, acknowledged: 0 }
    }

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
