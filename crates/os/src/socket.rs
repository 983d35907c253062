//! [`SeqPacket`]: a pair of sockets that keep messages whole and carry file descriptors with them.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::cmsg_space;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, setsockopt,
    socketpair, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// The longest message that can be received, in bytes; the kernel's own limit for a send is somewhat above.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// The most files that can come with one message.
pub const MAX_FILES: usize = 8;

/// One end of a `SOCK_SEQPACKET` pair (`unix(7)`): messages stay whole, and the death of the other side is an end of
/// file. The files of both ends are closed on `exec`.
#[derive(Debug)]
pub struct SeqPacket(OwnedFd);

/// One message with the files that came with it.
#[derive(Debug)]
pub struct Packet {
    /// The message; never empty.
    pub bytes: Vec<u8>,
    /// The files, owned by the receiver now.
    pub files: Vec<OwnedFd>,
}

impl SeqPacket {
    /// Two ends, connected.
    ///
    /// # Errors
    /// When there are no file descriptors left.
    pub fn pair() -> io::Result<(SeqPacket, SeqPacket)> {
        let (left, right) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        Ok((SeqPacket(left), SeqPacket(right)))
    }

    /// The end that this process was started with.
    pub fn from_fd(fd: OwnedFd) -> SeqPacket {
        SeqPacket(fd)
    }

    /// The descriptor, to be handed to another process.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// Bounds how long a send may wait for the other side to read.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_send_timeout(&self, timeout: Duration) -> io::Result<()> {
        let millis = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        Ok(setsockopt(&self.0, sockopt::SendTimeout, &TimeVal::milliseconds(millis))?)
    }

    /// Sends one message with some files.
    ///
    /// # Errors
    /// `EPIPE` when the other side is gone, `EMSGSIZE` when the message is too long, `EAGAIN` when it can't be sent
    /// now (not blocking, or a send timeout passed).
    pub fn send(&self, bytes: &[u8], files: &[RawFd], blocking: bool) -> io::Result<()> {
        let mut flags = MsgFlags::MSG_NOSIGNAL;
        if !blocking {
            flags |= MsgFlags::MSG_DONTWAIT;
        }
        let rights = [ControlMessage::ScmRights(files)];
        let control = if files.is_empty() { &rights[..0] } else { &rights[..] };
        loop {
            match sendmsg::<()>(self.0.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None) {
                Ok(_) => return Ok(()),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Receives one message; `None` when the other side is gone and everything it sent was received.
    ///
    /// # Errors
    /// `EAGAIN` when there is nothing now and `blocking` is false; a message longer than [`MAX_MESSAGE`].
    pub fn receive(&self, blocking: bool) -> io::Result<Option<Packet>> {
        let mut flags = MsgFlags::MSG_CMSG_CLOEXEC;
        if !blocking {
            flags |= MsgFlags::MSG_DONTWAIT;
        }
        let mut buffer = vec![0; MAX_MESSAGE];
        let mut control = cmsg_space!([RawFd; MAX_FILES]);
        let (length, truncated, files) = loop {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            match recvmsg::<()>(self.0.as_raw_fd(), &mut slices, Some(&mut control), flags) {
                Ok(message) => {
                    let files = received_files(message.cmsgs()?);
                    break (message.bytes, message.flags.contains(MsgFlags::MSG_TRUNC), files);
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::ECONNRESET) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        };
        if truncated {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of over {MAX_MESSAGE} bytes")));
        }
        if length == 0 {
            return Ok(None);
        }
        buffer.truncate(length);
        Ok(Some(Packet { bytes: buffer, files }))
    }
}

fn received_files(messages: impl Iterator<Item = ControlMessageOwned>) -> Vec<OwnedFd> {
    let mut files = Vec::new();
    for message in messages {
        if let ControlMessageOwned::ScmRights(numbers) = message {
            // SAFETY: the kernel made these descriptors for this message; nobody else owns them.
            files.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
        }
    }
    files
}

impl AsFd for SeqPacket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_file_travels_with_its_message() {
        let (left, right) = SeqPacket::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        left.send(b"a pipe", &[writer.as_raw_fd()], true).unwrap();
        drop(writer);
        let mut packet = right.receive(true).unwrap().unwrap();
        assert_eq!(packet.bytes, b"a pipe");
        std::fs::File::from(packet.files.remove(0)).write_all(b"through").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn the_end_of_the_other_side_is_seen_after_its_last_message() {
        let (left, right) = SeqPacket::pair().unwrap();
        left.send(b"last", &[], true).unwrap();
        drop(left);
        assert_eq!(right.receive(true).unwrap().unwrap().bytes, b"last");
        assert!(right.receive(true).unwrap().is_none());
        assert_eq!(right.send(b"x", &[], true).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_send_that_nobody_reads_times_out() {
        let (left, _right) = SeqPacket::pair().unwrap();
        left.set_send_timeout(Duration::from_millis(20)).unwrap();
        let error = loop {
            if let Err(error) = left.send(&[1; 1000], &[], true) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_not_cut() {
        let (left, right) = SeqPacket::pair().unwrap();
        left.send(&vec![1; MAX_MESSAGE + 1], &[], true).unwrap();
        assert_eq!(right.receive(true).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
