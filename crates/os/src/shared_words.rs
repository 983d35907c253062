//! [`SharedWords`]: a page of numbers that two processes read and write without system calls.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;

use rustix::mm::ProtFlags;

use crate::mapping::Mapping;
use crate::memory_file;

/// The number of words, which fill a page of 4096 bytes, the smallest size of pages.
pub const WORDS: usize = 512;
const BYTES: usize = WORDS * size_of::<AtomicU64>();

/// Numbers in memory that two processes share. The other process may write any number there at any time.
#[derive(Debug)]
pub struct SharedWords(Mapping);

impl SharedWords {
    /// Makes words that are all 0, and the file with which another process maps them.
    ///
    /// The size of the file is fixed: if the other process could make it shorter, reading a word would raise SIGBUS.
    ///
    /// # Errors
    /// When the process has no memory or file descriptor left, or may have no file of this length.
    pub fn new() -> io::Result<(SharedWords, OwnedFd)> {
        let file = memory_file::create(c"pushflow words", BYTES)?;
        Ok((SharedWords::map(&file)?, file.into()))
    }

    /// Maps the words of a file that another process has made.
    ///
    /// # Errors
    /// When the file has another size, or the process has no memory left.
    pub fn from_file(file: OwnedFd) -> io::Result<SharedWords> {
        let file = File::from(file);
        if file.metadata()?.len() != BYTES as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file of the shared words has another size"));
        }
        SharedWords::map(&file)
    }

    fn map(file: &File) -> io::Result<SharedWords> {
        Ok(SharedWords(Mapping::of_file(file, BYTES, ProtFlags::READ | ProtFlags::WRITE)?))
    }

    /// The word with this index.
    ///
    /// # Panics
    /// When the index is [`WORDS`] or more.
    pub fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < WORDS, "there are {WORDS} words");
        let address = self.0.at(index * size_of::<AtomicU64>(), size_of::<AtomicU64>());
        // SAFETY: the mapping begins with a page, so that its words are aligned, and lives as long as `self`. Any bits
        // are a valid number. Both processes use atomic operations only.
        unsafe { address.cast::<AtomicU64>().as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_word_that_one_side_writes_is_read_by_the_other() {
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
