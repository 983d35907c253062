//! [`SeqPacket`]: a socket for whole messages, which carry file descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::cmsg_space;
use rustix::io::retry_on_intr;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair, sockopt,
};

/// The length in bytes of the longest message that can be received. The kernel lets somewhat longer ones be sent.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// The largest number of files that can be received with one message.
const MAX_FILES: usize = 8;

/// One end of a `SOCK_SEQPACKET` pair (`unix(7)`). Messages stay whole, and when the process at the other end ends, the
/// socket is at its end of file. Both ends are closed on `exec`.
#[derive(Debug)]
pub struct SeqPacket(OwnedFd);

/// A message that was received, with its files.
#[derive(Debug)]
pub struct Packet {
    /// The message; never empty.
    pub bytes: Vec<u8>,
    /// The files, which this process owns now. They are closed on `exec`.
    pub files: Vec<OwnedFd>,
    /// Whether the last files of the message are missing, since this process has no file descriptors left for them, or
    /// they were more than eight.
    pub is_truncated: bool,
}

impl SeqPacket {
    /// Makes two connected ends.
    ///
    /// # Errors
    /// When the process has no file descriptors left.
    pub fn pair() -> io::Result<(SeqPacket, SeqPacket)> {
        let (left, right) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((SeqPacket(left), SeqPacket(right)))
    }

    /// Takes an end that this process has inherited or received.
    pub fn from_fd(fd: OwnedFd) -> SeqPacket {
        SeqPacket(fd)
    }

    /// Returns the descriptor, for handing it to another process.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// Sets how long a send may wait for the other end to read.
    ///
    /// # Errors
    /// `EINVAL` for a timeout of zero.
    pub fn set_send_timeout(&self, timeout: Duration) -> io::Result<()> {
        Ok(sockopt::set_socket_timeout(&self.0, sockopt::Timeout::Send, Some(timeout))?)
    }

    /// Sends one message with some files.
    ///
    /// # Errors
    /// `EPIPE` when the other end is closed, `EMSGSIZE` when the message is too long, `EAGAIN` when there is no room
    /// and `blocking` is false or the send timeout has passed, `ETOOMANYREFS` when this user has too many files in
    /// messages that no process has received.
    pub fn send(&self, bytes: &[u8], files: &[BorrowedFd<'_>], blocking: bool) -> io::Result<()> {
        let mut flags = SendFlags::NOSIGNAL;
        flags.set(SendFlags::DONTWAIT, !blocking);
        let rights = SendAncillaryMessage::ScmRights(files);
        let mut space = vec![MaybeUninit::uninit(); if files.is_empty() { 0 } else { rights.size() }];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() {
            assert!(control.push(rights), "the buffer was made for these files");
        }
        retry_on_intr(|| sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, flags))?;
        Ok(())
    }

    /// Receives one message; `None` when the other end is closed and all its messages were received.
    ///
    /// # Errors
    /// `EAGAIN` when there is no message now and `blocking` is false; `InvalidData` for a message longer than
    /// [`MAX_MESSAGE`].
    pub fn receive(&self, blocking: bool) -> io::Result<Option<Packet>> {
        let mut buffer = vec![0; MAX_MESSAGE];
        let (length, flags, mut files) = loop {
            match receive_into(&self.0, &mut buffer, blocking) {
                Ok(received) => break received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The other end was closed with unread messages. The kernel says so once. The messages that were sent
                // from there follow.
                Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => {}
                Err(error) => return Err(error),
            }
        };
        if flags.contains(ReturnFlags::TRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of over {MAX_MESSAGE} bytes")));
        }
        if length == 0 {
            return Ok(None);
        }
        buffer.truncate(length);
        // `cmsg_space` adds bytes for alignment, in which the kernel may put a file or two beyond the limit.
        let is_truncated = flags.contains(ReturnFlags::CTRUNC) || files.len() > MAX_FILES;
        files.truncate(MAX_FILES);
        Ok(Some(Packet { bytes: buffer, files, is_truncated }))
    }
}

/// Receives one message: its length, the flags that the kernel returns (`MSG_TRUNC`, `MSG_CTRUNC`), and all files that
/// came.
///
/// The `recvmsg` of `nix` does not serve: if a file of a message is missing, it neither returns nor closes the others.
fn receive_into(socket: &OwnedFd, buffer: &mut [u8], blocking: bool) -> io::Result<(usize, ReturnFlags, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_FILES))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    flags.set(RecvFlags::DONTWAIT, !blocking);
    let received = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, flags)?;
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    Ok((received.bytes, received.flags, rights.flatten().collect()))
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
    use std::os::fd::AsRawFd;

    #[test]
    fn a_file_travels_with_its_message() {
        let (left, right) = SeqPacket::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        left.send(b"a pipe", &[writer.as_fd()], true).unwrap();
        drop(writer);
        let mut packet = right.receive(true).unwrap().unwrap();
        assert_eq!(packet.bytes, b"a pipe");
        std::fs::File::from(packet.files.remove(0)).write_all(b"through").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    /// In a process of its own, since it lowers the limit of open files.
    #[test]
    fn files_without_a_free_descriptor_are_missing_and_the_others_are_received() {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        if !pushflow_isolated_test::is_isolated(
            "socket::tests::files_without_a_free_descriptor_are_missing_and_the_others_are_received",
        ) {
            return;
        }
        let (left, right) = SeqPacket::pair().unwrap();
        let (_reader, writer) = io::pipe().unwrap();
        let open = || crate::files::open_numbers().unwrap().len();
        let before = open();
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        left.send(b"three", &[writer.as_fd(); 3], true).unwrap();
        let first_free = u64::try_from(writer.try_clone().unwrap().as_raw_fd()).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, first_free + 2, hard).unwrap();
        let packet = right.receive(true).unwrap().unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
        assert_eq!((packet.bytes.as_slice(), packet.files.len(), packet.is_truncated), (&b"three"[..], 2, true));
        drop(packet);
        assert_eq!(open(), before);
    }

    #[test]
    fn of_more_files_than_can_be_received_the_last_are_missing() {
        let (left, right) = SeqPacket::pair().unwrap();
        let (_reader, writer) = io::pipe().unwrap();
        for (sent, is_truncated) in [(MAX_FILES, false), (MAX_FILES + 1, true), (MAX_FILES + 5, true)] {
            left.send(b"many", &vec![writer.as_fd(); sent], true).unwrap();
            let packet = right.receive(true).unwrap().unwrap();
            assert_eq!((packet.files.len(), packet.is_truncated), (MAX_FILES, is_truncated));
        }
    }

    #[test]
    fn the_end_of_file_comes_after_the_last_message() {
        let (left, right) = SeqPacket::pair().unwrap();
        left.send(b"last", &[], true).unwrap();
        drop(left);
        assert_eq!(right.receive(true).unwrap().unwrap().bytes, b"last");
        assert!(right.receive(true).unwrap().is_none());
        assert_eq!(right.send(b"x", &[], true).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_message_is_received_though_its_sender_left_another_one_unread() {
        let (left, right) = SeqPacket::pair().unwrap();
        right.send(b"never read", &[], true).unwrap();
        left.send(b"last", &[], true).unwrap();
        drop(left);
        assert_eq!(right.receive(false).unwrap().unwrap().bytes, b"last");
        assert!(right.receive(false).unwrap().is_none());
    }

    #[test]
    fn a_send_to_an_end_that_does_not_read_times_out() {
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
    fn a_message_that_is_too_long_is_refused_and_not_truncated() {
        let (left, right) = SeqPacket::pair().unwrap();
        left.send(&vec![1; MAX_MESSAGE + 1], &[], true).unwrap();
        assert_eq!(right.receive(true).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
