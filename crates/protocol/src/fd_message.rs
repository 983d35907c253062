//! [`FdMessage`]: messages with file descriptors over a [`SeqPacket`] (`SOCK_SEQPACKET` with `SCM_RIGHTS`).
//!
//! The guardian talks in this way to its clients, keepers and zygote; a worker sends its `Hello` in this way, and the
//! scheduler sends the files of slabs.
//!
//! A message that is longer than a packet goes into a memory file that travels with the packet. So the arguments of a
//! command have no limit but the kernel's. The packet holds the beginning of the message nevertheless: a receiver that
//! may not open more files gets only this beginning.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use pushflow_os::SeqPacket;
use pushflow_os::limits::require_file_length;
use pushflow_os::socket::MAX_MESSAGE;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first byte of a packet that holds the message.
const INLINE: u8 = 0;
/// The first byte of a packet whose first file holds the message.
const IN_FILE: u8 = 1;

/// How many bytes of a message are in the packet if the message is in a file.
const BEGINNING: usize = 32;

/// A message that was received.
#[derive(Debug)]
pub enum Received<M> {
    /// A message with its files.
    Whole(M, Vec<OwnedFd>),
    /// The beginning of an encoded message, or all of it. Files are missing, since this process may not open more.
    Beginning(Vec<u8>),
}

/// An encoded message. It can be sent again after a send that has failed.
#[derive(Debug)]
pub struct FdMessage {
    packet: Vec<u8>,
    memory: Option<File>,
}

impl FdMessage {
    /// Encodes a message.
    ///
    /// # Errors
    /// When a long message finds no free file descriptor, or is longer than a file may be.
    pub fn new<M: Serialize>(message: &M) -> io::Result<FdMessage> {
        let packet = postcard::to_extend(message, vec![INLINE]).map_err(io::Error::other)?;
        if packet.len() <= MAX_MESSAGE {
            return Ok(FdMessage { packet, memory: None });
        }
        require_file_length(packet.len() as u64)?;
        let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
        let mut memory = File::from(nix::sys::memfd::memfd_create(c"pushflow message", flags)?);
        memory.write_all(&packet[1..])?;
        memory.rewind()?;
        Ok(FdMessage { packet: [&[IN_FILE], &packet[1..=BEGINNING]].concat(), memory: Some(memory) })
    }

    /// Sends the message with some files.
    ///
    /// # Errors
    /// Those of [`SeqPacket::send`].
    pub fn send(&self, socket: &SeqPacket, files: &[BorrowedFd<'_>], blocking: bool) -> io::Result<()> {
        let all: Vec<BorrowedFd<'_>> = self.memory.iter().map(AsFd::as_fd).chain(files.iter().copied()).collect();
        socket.send(&self.packet, &all, blocking)
    }
}

/// Sends one message with some files. Waits until the socket takes it.
///
/// # Errors
/// Those of [`SeqPacket::send`].
pub fn send<M: Serialize>(socket: &SeqPacket, message: &M, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    FdMessage::new(message)?.send(socket, files, true)
}

/// Receives one message with its files. Returns `None` at the end of the socket.
///
/// # Errors
/// Those of [`SeqPacket::receive`]; `InvalidData` for bytes that are no such message; `EMFILE` if files are missing
/// because this process may not open more.
pub fn receive<M: DeserializeOwned>(socket: &SeqPacket, blocking: bool) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    match receive_or_beginning(socket, blocking)? {
        Some(Received::Whole(message, files)) => Ok(Some((message, files))),
        Some(Received::Beginning(_)) => Err(Errno::EMFILE.into()),
        None => Ok(None),
    }
}

/// Like [`receive`], but returns the beginning of a message whose files are missing.
///
/// # Errors
/// Those of [`receive`] except `EMFILE`.
pub fn receive_or_beginning<M: DeserializeOwned>(
    socket: &SeqPacket,
    blocking: bool,
) -> io::Result<Option<Received<M>>> {
    let Some(mut packet) = socket.receive(blocking)? else { return Ok(None) };
    if packet.is_truncated {
        packet.bytes.remove(0);
        return Ok(Some(Received::Beginning(packet.bytes)));
    }
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
    Ok(Some(Received::Whole(message, packet.files)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_longer_than_a_packet_arrives_whole_and_its_files_with_it() {
        let (left, right) = SeqPacket::pair().unwrap();
        let (_, writer) = io::pipe().unwrap();
        let long = vec!["x".repeat(1000); 1000];
        send(&left, &long, &[writer.as_fd()]).unwrap();
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

    /// In a process of its own, since it lowers the limit of open files.
    #[test]
    fn of_a_message_whose_files_did_not_come_there_is_its_beginning() {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        if !pushflow_isolated_test::is_isolated(
            "fd_message::tests::of_a_message_whose_files_did_not_come_there_is_its_beginning",
        ) {
            return;
        }
        let (left, right) = SeqPacket::pair().unwrap();
        let (_, writer) = io::pipe().unwrap();
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        for message in ["short".to_owned(), "x".repeat(1_000_000)] {
            send(&left, &message, &[writer.as_fd()]).unwrap();
            setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
            let received = receive_or_beginning::<String>(&right, true).unwrap().unwrap();
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
            let whole = postcard::to_stdvec(&message).unwrap();
            let Received::Beginning(beginning) = received else { panic!("{received:?}") };
            assert!(whole.starts_with(&beginning) && beginning.len() >= whole.len().min(BEGINNING), "{beginning:?}");
        }
    }
}
