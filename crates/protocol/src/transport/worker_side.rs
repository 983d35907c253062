//! A worker's ends of its channels with the scheduler.

use ipc_channel::ipc::IpcBytesSender;

use super::envelope::{MessageBatch, write_envelope};
use super::error::TransportError;
use super::frames::{FrameReader, frames_of, send_frame};
use crate::ToWorker;
use crate::slabs::Reference;
use crate::window::{ACKNOWLEDGE_BYTES, ACKNOWLEDGE_FRAMES};

/// A worker's end for messages to the scheduler. It blocks while the buffer of the socket is full.
pub struct FromWorkerSender {
    pub(super) sender: IpcBytesSender,
}

/// A worker's end for messages from the scheduler.
pub struct ToWorkerReceiver {
    frames: FrameReader,
    /// How many frames were received.
    received: u64,
    unacknowledged_bytes: usize,
    /// How many of these frames were acknowledged.
    acknowledged: u64,
}

impl FromWorkerSender {
    /// Sends over this channel.
    pub(super) fn new(sender: IpcBytesSender) -> FromWorkerSender {
        FromWorkerSender { sender }
    }

    /// Sends messages, with the number of frames to acknowledge and the memory that was released before this call.
    ///
    /// # Errors
    /// When the scheduler has ended.
    pub fn send(&self, messages: &MessageBatch, received: u64, released: &[Reference]) -> Result<(), TransportError> {
        for frame in frames_of(&write_envelope(messages, received, released)?) {
            send_frame(&self.sender, &frame)?;
        }
        Ok(())
    }
}

/// What a worker has received.
pub enum Incoming {
    /// A message.
    Message(ToWorker),
    /// A part of a message, and the scheduler may wait for an acknowledgement before it sends the rest.
    AcknowledgeDue,
}

impl ToWorkerReceiver {
    /// Receives from this channel.
    pub(super) fn new(frames: FrameReader) -> ToWorkerReceiver {
        ToWorkerReceiver { frames, received: 0, unacknowledged_bytes: 0, acknowledged: 0 }
    }

    /// Waits for a message, or until an acknowledgement is due.
    ///
    /// # Errors
    /// When the scheduler has ended.
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

    /// Whether so much was received since the last acknowledgement that the next one is due.
    pub fn acknowledge_due(&self) -> bool {
        self.received - self.acknowledged >= ACKNOWLEDGE_FRAMES || self.unacknowledged_bytes >= ACKNOWLEDGE_BYTES
    }

    /// Acknowledges: returns how many frames were received, which the caller sends to the scheduler.
    pub fn acknowledge(&mut self) -> u64 {
        self.acknowledged = self.received;
        self.unacknowledged_bytes = 0;
        self.received
    }
}
