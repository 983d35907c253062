//! [`PacketValidator`]: validates the packets of a worker before ipc-channel reads them.
//!
//! ipc-channel trusts what it reads. A packet begins with its own length and the length of its message. If the first
//! number is wrong, ipc-channel waits for ever for the rest of the packet, and takes the packets that follow for that
//! rest. If the second number is wrong, ipc-channel panics. A task can write into the worker's sockets. So the
//! scheduler validates every packet while it is still in the queue of the socket. A worker cuts each message into
//! frames of one packet, so both numbers follow from the length of the packet.

use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::error::TransportError;

/// One of the two numbers at the start of a packet, as a process of this machine writes it.
const NUMBER: usize = size_of::<usize>();

/// Validates the packets of one receiver.
pub(super) struct PacketValidator {
    socket: RawFd,
}

impl PacketValidator {
    /// For the packets of this socket.
    pub(super) fn at(socket: RawFd) -> PacketValidator {
        PacketValidator { socket }
    }

    /// Waits for a packet, validates it, and leaves it in the queue.
    ///
    /// # Errors
    /// When the worker has ended, or the packet is none of ipc-channel's.
    pub(super) fn wait(&self) -> Result<(), TransportError> {
        let mut start = [0; 2 * NUMBER];
        let length = loop {
            // With MSG_TRUNC the result is the length of the whole packet.
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
