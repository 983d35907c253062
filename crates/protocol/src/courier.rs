//! Messages over a [`SeqPacket`], with files: how the scheduler, the guardian and its keepers talk, and how a worker
//! says hello.
//!
//! A message that is too long for a packet goes into a memory file that travels with it, so that there is no limit to
//! the arguments of a command but the kernel's. Its beginning is in the packet nevertheless: where the receiver may have no
//! more files open, that is all it gets.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use pushflow_os::SeqPacket;
use pushflow_os::limits::require_file_length;
use pushflow_os::socket::MAX_MESSAGE;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first byte of a packet that holds its message.
const INLINE: u8 = 0;
/// The first byte of a packet whose message is in its first file.
const IN_FILE: u8 = 1;

/// How much of a message is in the packet where the whole is in a file.
const BEGINNING: usize = 32;

/// What has come from the other side.
#[derive(Debug)]
pub enum Delivery<M> {
    /// A message with its files.
    Whole(M, Vec<OwnedFd>),
    /// The beginning of a message, or all of it; files are missing, since this process may have no more open.
    Cut(Vec<u8>),
}

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
    /// When there are no file descriptors left for a long one, or no file may be so long.
    pub fn new<M: Serialize>(message: &M) -> io::Result<Letter> {
        let packet = postcard::to_extend(message, vec![INLINE]).map_err(io::Error::other)?;
        if packet.len() <= MAX_MESSAGE {
            return Ok(Letter { packet, memory: None });
        }
        require_file_length(packet.len() as u64)?;
        let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
        let mut memory = File::from(nix::sys::memfd::memfd_create(c"pushflow message", flags)?);
        memory.write_all(&packet[1..])?;
        memory.rewind()?;
        Ok(Letter { packet: [&[IN_FILE], &packet[1..=BEGINNING]].concat(), memory: Some(memory) })
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

/// Sends one message with some files, waiting for room.
///
/// # Errors
/// Those of [`SeqPacket::send`].
pub fn send<M: Serialize>(socket: &SeqPacket, message: &M, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    Letter::new(message)?.send(socket, files, true)
}

/// Receives one message with its files; `None` when the other side is gone.
///
/// # Errors
/// Those of [`SeqPacket::receive`]; `InvalidData` for what is no such message; `EMFILE` for one whose files did not all
/// come.
pub fn receive<M: DeserializeOwned>(socket: &SeqPacket, blocking: bool) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    match receive_delivery(socket, blocking)? {
        Some(Delivery::Whole(message, files)) => Ok(Some((message, files))),
        Some(Delivery::Cut(_)) => Err(Errno::EMFILE.into()),
        None => Ok(None),
    }
}

/// Like [`receive`], for who can do something with a message whose files did not all come.
///
/// # Errors
/// Those of [`receive`] but `EMFILE`.
pub fn receive_delivery<M: DeserializeOwned>(socket: &SeqPacket, blocking: bool) -> io::Result<Option<Delivery<M>>> {
    let Some(mut packet) = socket.receive(blocking)? else { return Ok(None) };
    if packet.is_truncated {
        packet.bytes.remove(0);
        return Ok(Some(Delivery::Cut(packet.bytes)));
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
    Ok(Some(Delivery::Whole(message, packet.files)))
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

    /// In a process of its own, which may have no more files.
    #[test]
    fn of_a_message_whose_files_did_not_come_there_is_its_beginning() {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        if !pushflow_isolated_test::is_isolated(
            "courier::tests::of_a_message_whose_files_did_not_come_there_is_its_beginning",
        ) {
            return;
        }
        let (left, right) = SeqPacket::pair().unwrap();
        let (_, writer) = io::pipe().unwrap();
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        for message in ["short".to_owned(), "x".repeat(1_000_000)] {
            send(&left, &message, &[writer.as_fd()]).unwrap();
            setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
            let delivery = receive_delivery::<String>(&right, true).unwrap().unwrap();
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
            let whole = postcard::to_stdvec(&message).unwrap();
            let Delivery::Cut(beginning) = delivery else { panic!("{delivery:?}") };
            assert!(whole.starts_with(&beginning) && beginning.len() >= whole.len().min(BEGINNING), "{beginning:?}");
        }
    }
}
