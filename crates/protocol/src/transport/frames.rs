//! [`frames_of`] and [`FrameReader`]: cut messages into frames, and put them together again.

use std::io;
use std::os::fd::RawFd;

use ipc_channel::IpcError;
use ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender};
use serde::de::DeserializeOwned;

use super::error::{TransportError, receive_error, send_error};
use super::spin::SpinWait;
use super::validate::PacketValidator;
use crate::window::FRAME_BYTES;

/// The first byte of a frame that ends its message.
pub(super) const LAST: u8 = 0;
/// The first byte of a frame that is followed by more of its message.
pub(super) const MORE: u8 = 1;

/// Reads frames from a channel and puts messages together.
pub(super) struct FrameReader {
    receiver: IpcBytesReceiver,
    spin: SpinWait,
    /// Validates the packets of a worker; the scheduler is trusted.
    validator: Option<PacketValidator>,
    /// The message so far.
    message: Vec<u8>,
}

impl FrameReader {
    /// Reads the frames of a worker.
    pub(super) fn of_worker(receiver: IpcBytesReceiver) -> io::Result<FrameReader> {
        let socket = socket_of(&receiver)?;
        let (spin, validator) = (SpinWait::at(socket), Some(PacketValidator::at(socket)));
        Ok(FrameReader { receiver, spin, validator, message: Vec::new() })
    }

    /// Reads the frames of the scheduler.
    pub(super) fn of_scheduler(receiver: IpcBytesReceiver) -> io::Result<FrameReader> {
        let spin = SpinWait::at(socket_of(&receiver)?);
        Ok(FrameReader { receiver, spin, validator: None, message: Vec::new() })
    }

    /// Waits for a frame. Returns its size in bytes, and whether it ends a message.
    pub(super) fn frame(&mut self) -> Result<(usize, bool), TransportError> {
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

    /// Takes the message that the last frame has ended.
    pub(super) fn take<M: DeserializeOwned>(&mut self) -> Result<M, TransportError> {
        let message = std::mem::take(&mut self.message);
        postcard::from_bytes(&message).map_err(|error| TransportError::Garbage(error.to_string()))
    }

    /// Waits for a whole message.
    pub(super) fn message<M: DeserializeOwned>(&mut self) -> Result<M, TransportError> {
        while !self.frame()?.1 {}
        self.take()
    }
}

/// The file descriptor of a receiver's socket, which is valid as long as the receiver.
///
/// ipc-channel shows it only in what `Debug` prints. The version of ipc-channel is pinned. A receiver whose descriptor
/// can't be found is not used.
fn socket_of(receiver: &IpcBytesReceiver) -> io::Result<RawFd> {
    let text = format!("{receiver:?}");
    number_in(&text).ok_or_else(|| io::Error::other(format!("{text} names no socket")))
}

/// The first number in what `Debug` prints of an end of a channel: the file descriptor of its socket.
pub(super) fn number_in(text: &str) -> Option<RawFd> {
    text.split(|letter: char| !letter.is_ascii_digit()).find(|digits| !digits.is_empty())?.parse().ok()
}

/// Cuts a message into frames.
pub(super) fn frames_of(message: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let count = message.len().div_ceil(FRAME_BYTES - 1);
    message.chunks(FRAME_BYTES - 1).enumerate().map(move |(index, part)| {
        let mut frame = Vec::with_capacity(part.len() + 1);
        frame.push(if index + 1 == count { LAST } else { MORE });
        frame.extend_from_slice(part);
        frame
    })
}

/// Sends one frame, however often a signal interrupts the system call.
pub(super) fn send_frame(sender: &IpcBytesSender, frame: &[u8]) -> Result<(), TransportError> {
    loop {
        match sender.send(frame) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => return sent.map_err(send_error),
        }
    }
}
