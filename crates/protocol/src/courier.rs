//! Messages over a [`SeqPacket`], with files: how the scheduler, the guardian and its keepers talk, and how a worker
//! says hello.
//!
//! A message that is too long for a packet goes into a memory file that travels with it, so that there is no limit to
//! the arguments of a command but the kernel's.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use pushflow_os::SeqPacket;
use pushflow_os::socket::MAX_MESSAGE;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first byte of a packet that holds its message.
const INLINE: u8 = 0;
/// The first byte of a packet whose message is in its first file.
const IN_FILE: u8 = 1;

/// A message ready to be sent, so that one that can't be sent now can be sent later.
#[derive(Debug)]
pub struct Letter {
    packet: Vec<u8>,
    memory: Option<File>,
}

impl Letter {
    /// Writes a message down.
    ///
    /// # Errors
    /// When there are no file descriptors left for a long one.
    pub fn new<M: Serialize>(message: &M) -> io::Result<Letter> {
        let packet = postcard::to_extend(message, vec![INLINE]).map_err(io::Error::other)?;
        if packet.len() <= MAX_MESSAGE {
            return Ok(Letter { packet, memory: None });
        }
        let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
        let mut memory = File::from(nix::sys::memfd::memfd_create(c"pushflow message", flags)?);
        memory.write_all(&packet[1..])?;
        memory.rewind()?;
        Ok(Letter { packet: vec![IN_FILE], memory: Some(memory) })
    }

    /// Sends the message with some files.
    ///
    /// # Errors
    /// Those of [`SeqPacket::send`].
    pub fn send(&self, socket: &SeqPacket, files: &[RawFd], blocking: bool) -> io::Result<()> {
        let all: Vec<RawFd> = self.memory.iter().map(AsRawFd::as_raw_fd).chain(files.iter().copied()).collect();
        socket.send(&self.packet, &all, blocking)
    }
}

/// Sends one message with some files, waiting for room.
///
/// # Errors
/// Those of [`SeqPacket::send`].
pub fn send<M: Serialize>(socket: &SeqPacket, message: &M, files: &[RawFd]) -> io::Result<()> {
    Letter::new(message)?.send(socket, files, true)
}

/// Receives one message with its files; `None` when the other side is gone.
///
/// # Errors
/// Those of [`SeqPacket::receive`]; `InvalidData` for what is no such message.
pub fn receive<M: DeserializeOwned>(socket: &SeqPacket, blocking: bool) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    let Some(mut packet) = socket.receive(blocking)? else { return Ok(None) };
    let message = match packet.bytes[0] {
        INLINE => postcard::from_bytes(&packet.bytes[1..]),
        IN_FILE if !packet.files.is_empty() => {
            let mut long = Vec::new();
            File::from(packet.files.remove(0)).read_to_end(&mut long)?;
            postcard::from_bytes(&long)
        }
        _ => Err(postcard::Error::DeserializeBadEncoding),
    };
    let message = message.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some((message, packet.files)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_longer_than_a_packet_arrives_whole_and_its_files_with_it() {
        let (left, right) = SeqPacket::pair().unwrap();
        let (_, writer) = io::pipe().unwrap();
        let long = vec!["x".repeat(1000); 1000];
        send(&left, &long, &[writer.as_raw_fd()]).unwrap();
        let (received, files) = receive::<Vec<String>>(&right, true).unwrap().unwrap();
        assert_eq!(received, long);
        assert_eq!(files.len(), 1);
    }

    #[test]
    fn garbage_is_an_error_not_a_message() {
        let (left, right) = SeqPacket::pair().unwrap();
        for garbage in [&[INLINE, 0xff, 0xff][..], &[IN_FILE], &[7]] {
            left.send(garbage, &[], true).unwrap();
            assert_eq!(receive::<String>(&right, true).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
