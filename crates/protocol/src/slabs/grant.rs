//! [`Grant`] and [`GrantSource`]: shared memory for a Python interpreter, which works for the scheduler or for a
//! worker.
//!
//! The interpreter gets the file of a slab each time that it is to read or write there, and closes the file
//! afterwards. It writes into a [`Grant`]. The process for which it works reads the bytes only after the interpreter
//! has replied that it has written them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use bytes::Bytes;
use nix::errno::Errno;
use nix::sys::uio::pwrite;

use super::store::{Lease, SlabStore};
use super::written::WrittenRange;

/// Grants shared memory for the long bytes in values.
pub trait GrantSource: Send + Sync {
    /// Grants memory of so many bytes; `None` if there is none.
    fn grant(&self, length: usize) -> Option<Grant>;
    /// Where these bytes are in shared memory; `None` if they are elsewhere.
    fn place(&self, bytes: &Bytes) -> Option<Place>;
}

/// The file and the offset of bytes in shared memory, for a process that maps the file.
#[derive(Clone, Debug)]
pub struct Place {
    file: Arc<OwnedFd>,
    offset: usize,
}

/// Memory for so many bytes, which are to be written.
#[derive(Debug)]
pub struct Grant {
    place: Place,
    length: usize,
    owner: Owner,
}

#[derive(Debug)]
enum Owner {
    Store(Lease),
    Worker(WrittenRange),
}

impl Place {
    pub(super) fn new(file: Arc<OwnedFd>, offset: usize) -> Place {
        Place { file, offset }
    }

    /// The file.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The offset in the file, in bytes.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Whether the other place is in the same file.
    pub fn shares_file(&self, other: &Place) -> bool {
        Arc::ptr_eq(&self.file, &other.file)
    }
}

impl Grant {
    pub(super) fn of_worker(place: Place, length: usize, written: WrittenRange) -> Grant {
        Grant { place, length, owner: Owner::Worker(written) }
    }

    /// Where the memory is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Writes all bytes of the grant in this process.
    ///
    /// # Errors
    /// When the operating system refuses the write.
    ///
    /// # Panics
    /// When the number of bytes is not that of the grant.
    pub fn fill(&mut self, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(bytes.len(), self.length, "a grant is filled wholly");
        let mut done = 0;
        while done < bytes.len() {
            let at = libc_offset(self.place.offset + done)?;
            match pwrite(self.place.file(), &bytes[done..], at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The bytes that were written. No process may write there any more.
    pub fn into_bytes(self) -> Bytes {
        match self.owner {
            Owner::Store(lease) => Bytes::from_owner(lease).slice(..self.length),
            Owner::Worker(written) => Bytes::from_owner(written),
        }
    }
}

fn libc_offset(offset: usize) -> io::Result<i64> {
    i64::try_from(offset).map_err(io::Error::other)
}

impl GrantSource for SlabStore {
    fn grant(&self, length: usize) -> Option<Grant> {
        let lease = self.lease(length)?;
        let place = Place::new(self.file(lease.slab())?, lease.offset());
        Some(Grant { place, length, owner: Owner::Store(lease) })
    }

    fn place(&self, bytes: &Bytes) -> Option<Place> {
        let (slab, offset) = self.locate(bytes)?;
        Some(Place::new(self.file(slab)?, offset))
    }
}
