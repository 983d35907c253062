//! [`SharedWords`]: a page of numbers that two processes can both read and write, without a system call.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::files::require_file_length;

/// How many words there are: a page of the least size that there is.
pub const WORDS: usize = 512;
const BYTES: usize = WORDS * size_of::<AtomicU64>();

/// Numbers in memory that two processes share; what the other side writes there is its own affair, and may be
/// anything.
#[derive(Debug)]
pub struct SharedWords(NonNull<AtomicU64>);

// SAFETY: the memory is only ever touched through atomics, and it is unmapped only when the last owner drops this.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Words that are all 0, and the file by which another process can map them.
    ///
    /// The file can't be made shorter by the other side, which would make every look at the words a SIGBUS.
    ///
    /// # Errors
    /// When there is no memory or file descriptor left, or no file may be so long.
    pub fn new() -> io::Result<(SharedWords, OwnedFd)> {
        require_file_length(BYTES as u64)?;
        let file = memfd_create(c"pushflow words", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        let file = File::from(file);
        file.set_len(BYTES as u64)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        Ok((SharedWords::map(&file)?, file.into()))
    }

    /// The words of a file that another process made.
    ///
    /// # Errors
    /// When the file is no such file.
    pub fn from_file(file: OwnedFd) -> io::Result<SharedWords> {
        let file = File::from(file);
        if file.metadata()?.len() != BYTES as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file of the shared words has another size"));
        }
        SharedWords::map(&file)
    }

    fn map(file: &File) -> io::Result<SharedWords> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours; the file is BYTES long.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_fd().as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(address.cast()).map(SharedWords).ok_or_else(|| io::Error::other("mmap returned nothing"))
    }

    /// One of the words.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < WORDS, "there are {WORDS} words");
        // SAFETY: the mapping holds WORDS aligned words, zeroed by the kernel, and lives as long as `self`.
        unsafe { self.0.add(index).as_ref() }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: mapped with this length, and unmapped once.
        unsafe { libc::munmap(self.0.as_ptr().cast(), BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn what_one_side_writes_the_other_reads() {
        let (ours, file) = SharedWords::new().unwrap();
        let theirs = SharedWords::from_file(file).unwrap();
        theirs.word(3).store(42, Ordering::Release);
        assert_eq!(ours.word(3).load(Ordering::Acquire), 42);
    }

    #[test]
    fn the_other_side_cannot_make_the_file_shorter() {
        let (_ours, file) = SharedWords::new().unwrap();
        assert!(File::from(file).set_len(0).is_err());
    }

    #[test]
    fn a_file_of_another_size_is_refused() {
        let file = File::open("/dev/null").unwrap();
        assert!(SharedWords::from_file(file.into()).is_err());
    }
}
