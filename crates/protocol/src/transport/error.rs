//! [`TransportError`]: why a message could not be sent or received.

use std::io;

use ipc_channel::IpcError;

/// Why a message could not be sent or received.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The other side has ended, or has closed the channel.
    #[error("the channel is closed")]
    Closed,
    /// The other side sent something that is no message.
    #[error("what came over the channel is no message ({0})")]
    Garbage(String),
    /// A message can't be encoded.
    #[error("the message can't be written down ({0})")]
    Unwritable(postcard::Error),
    /// A system call failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

pub(super) fn receive_error(error: IpcError) -> TransportError {
    match error {
        IpcError::Disconnected => TransportError::Closed,
        IpcError::Io(error) if error.kind() == io::ErrorKind::ConnectionReset => TransportError::Closed,
        IpcError::Io(error) => TransportError::Io(error),
        IpcError::SerializationError(error) => TransportError::Garbage(error.to_string()),
    }
}

pub(super) fn send_error(error: io::Error) -> TransportError {
    match error.kind() {
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::NotConnected => TransportError::Closed,
        _ => TransportError::Io(error),
    }
}
