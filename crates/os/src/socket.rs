//! [`SeqPacket`]: a pair of sockets that keep messages whole and carry file descriptors with them.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, setsockopt, socketpair, sockopt,
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
    /// Whether some of its files are missing, since this process may have no more open: the last ones.
    pub is_cut: bool,
}

/// How long the kernel's description of so many files is.
// SAFETY: CMSG_SPACE only computes.
const CONTROL_LENGTH: usize = unsafe { libc::CMSG_SPACE((MAX_FILES * size_of::<RawFd>()) as libc::c_uint) } as usize;

/// Room for what the kernel says of the files that come with a message, aligned as it wants it.
#[repr(C)]
union Control {
    bytes: [u8; CONTROL_LENGTH],
    aligned: libc::cmsghdr,
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
        let mut buffer = vec![0; MAX_MESSAGE];
        let (length, flags, files) = loop {
            match receive_into(self.0.as_fd(), &mut buffer, blocking) {
                Ok(received) => break received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Said once, before what the other side sent before it left without having read everything.
                Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => {}
                Err(error) => return Err(error),
            }
        };
        if flags & libc::MSG_TRUNC != 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of over {MAX_MESSAGE} bytes")));
        }
        if length == 0 {
            return Ok(None);
        }
        buffer.truncate(length);
        Ok(Some(Packet { bytes: buffer, files, is_cut: flags & libc::MSG_CTRUNC != 0 }))
    }
}

/// Receives one message: its length, what the kernel says of it (`MSG_TRUNC`, `MSG_CTRUNC`), and its files, all that came.
///
/// Not by `nix`, which hands out no file of a message of which others are missing, and does not close them either.
fn receive_into(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    blocking: bool,
) -> io::Result<(usize, libc::c_int, Vec<OwnedFd>)> {
    let mut control = Control { bytes: [0; CONTROL_LENGTH] };
    let mut slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: a structure of integers and pointers, of which all zeros is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut slice, 1);
    (message.msg_control, message.msg_controllen) = ((&raw mut control).cast(), CONTROL_LENGTH as _);
    let flags = libc::MSG_CMSG_CLOEXEC | if blocking { 0 } else { libc::MSG_DONTWAIT };
    // SAFETY: the message points to memory of ours, of the lengths that it says, that lives until the call returns.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    Ok((length, message.msg_flags, received_files(&message)))
}

/// The files of a message that was just received, once for each message.
fn received_files(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut files = Vec::new();
    // SAFETY: the kernel has filled in the message, and its control part is still there.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: the macros give only headers that lie wholly in the control part, which is aligned for them.
        let (level, kind, length) = unsafe { ((*header).cmsg_level, (*header).cmsg_type, (*header).cmsg_len as usize) };
        if (level, kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            // SAFETY: CMSG_LEN only computes.
            let empty = unsafe { libc::CMSG_LEN(0) } as usize;
            let count = length.saturating_sub(empty) / size_of::<RawFd>();
            // SAFETY: the data begins behind the header, and the kernel wrote so many descriptors there.
            let numbers = unsafe { libc::CMSG_DATA(header) }.cast::<RawFd>();
            for index in 0..count {
                // SAFETY: as above; it may be unaligned. The kernel made the descriptor for this message, and nobody
                // else owns it.
                files.push(unsafe { OwnedFd::from_raw_fd(numbers.add(index).read_unaligned()) });
            }
        }
        // SAFETY: as for the first one.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
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

    /// In a process of its own, which may have few files.
    #[test]
    fn files_that_there_is_no_room_for_are_missed_and_the_others_are_not_lost() {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        if !pushflow_isolated_test::is_isolated(
            "socket::tests::files_that_there_is_no_room_for_are_missed_and_the_others_are_not_lost",
        ) {
            return;
        }
        let (left, right) = SeqPacket::pair().unwrap();
        let (_reader, writer) = io::pipe().unwrap();
        let open = || crate::files::open_numbers().unwrap().len();
        let before = open();
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        left.send(b"three", &[writer.as_raw_fd(); 3], true).unwrap();
        let first_free = u64::try_from(writer.try_clone().unwrap().as_raw_fd()).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, first_free + 2, hard).unwrap();
        let packet = right.receive(true).unwrap().unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
        assert_eq!((packet.bytes.as_slice(), packet.files.len(), packet.is_cut), (&b"three"[..], 2, true));
        drop(packet);
        assert_eq!(open(), before);
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
    fn what_was_sent_is_received_though_the_other_side_left_something_unread() {
        let (left, right) = SeqPacket::pair().unwrap();
        right.send(b"never read", &[], true).unwrap();
        left.send(b"last", &[], true).unwrap();
        drop(left);
        assert_eq!(right.receive(false).unwrap().unwrap().bytes, b"last");
        assert!(right.receive(false).unwrap().is_none());
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
