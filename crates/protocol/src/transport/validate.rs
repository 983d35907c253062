//! [`PacketValidator`]: a look at what came from a worker, before ipc-channel reads it.
//!
//! ipc-channel trusts what it reads. A packet begins with its own length and that of its message: where the first is
//! wrong, ipc-channel waits for the rest, for ever, and takes what comes next for it; where the second is wrong, it
//! panics. A task can write into the worker's sockets, so every packet is looked at while it is still in the queue. Each
//! message of a worker is cut into frames of one packet, so that both numbers follow from the packet's length.

use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::error::TransportError;

/// One of the two numbers at the start of a packet, as a process of this machine writes it.
const NUMBER: usize = size_of::<usize>();

/// Looks at the packets of one receiver.
pub(super) struct PacketValidator {
    socket: RawFd,
}

impl PacketValidator {
    /// At what comes over this socket.
    pub(super) fn at(socket: RawFd) -> PacketValidator {
        PacketValidator { socket }
    }

    /// Waits for a packet and leaves it where it is.
    ///
    /// # Errors
    /// When the worker is gone, or this is no packet of ipc-channel's.
    pub(super) fn wait(&self) -> Result<(), TransportError> {
        let mut start = [0; 2 * NUMBER];
        let length = loop {
            // With MSG_TRUNC the length is that of the whole packet.
            match recv(self.socket, &mut start, MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC) {
                Ok(0) | Err(Errno::ECONNRESET) => return Err(TransportError::Closed),
                Ok(length) => break length,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(TransportError::Io(error.into())),
            }
        };
        let (packet, message) = start.split_at(NUMBER);
        let is = |bytes: &[u8], number: Option<usize>| number.is_some_and(|number| *bytes == number.to_ne_bytes());
        if is(packet, Some(length)) && is(message, length.checked_sub(2 * NUMBER)) {
            return Ok(());
        }
        Err(TransportError::Garbage(format!("a packet of {length} bytes that is no frame")))
    }
}
