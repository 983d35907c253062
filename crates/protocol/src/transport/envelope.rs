//! [`MessageBatch`]: the messages that a worker sends together, and what it sends with them.

use serde::Deserialize;

use super::error::TransportError;
use crate::FromWorker;
use crate::slabs::Reference;

/// Messages of a worker, with the number of frames that it acknowledges, and the memory that it has released; see
/// [`write_envelope`].
#[derive(Deserialize)]
pub(super) struct Envelope {
    pub(super) received: u64,
    pub(super) messages: Vec<FromWorker>,
    /// To be handled after the messages, which may name memory that is released here.
    pub(super) released: Vec<Reference>,
}

/// Messages of a worker, encoded one after the other.
#[derive(Debug, Default)]
pub struct MessageBatch {
    count: usize,
    bytes: Vec<u8>,
}

impl MessageBatch {
    /// Adds a message, and returns it in its encoded form.
    ///
    /// # Errors
    /// [`TransportError::Unwritable`] when the message can't be encoded.
    pub fn push(&mut self, message: &FromWorker) -> Result<&[u8], TransportError> {
        let before = self.bytes.len();
        self.bytes =
            postcard::to_extend(message, std::mem::take(&mut self.bytes)).map_err(TransportError::Unwritable)?;
        self.count += 1;
        Ok(&self.bytes[before..])
    }

    /// The number of messages.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// Encodes an [`Envelope`] around messages that are encoded already. In postcard's wire format the fields of a
/// structure follow each other, and the elements of a list follow their number.
pub(super) fn write_envelope(
    messages: &MessageBatch,
    received: u64,
    released: &[Reference],
) -> Result<Vec<u8>, TransportError> {
    let envelope = Vec::with_capacity(messages.bytes.len() + 32);
    let mut envelope =
        postcard::to_extend(&(received, messages.count), envelope).map_err(TransportError::Unwritable)?;
    envelope.extend_from_slice(&messages.bytes);
    postcard::to_extend(&released, envelope).map_err(TransportError::Unwritable)
}
