//! [`SharedWords`]: a page of numbers that two processes can both read and write, without a system call.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;

use rustix::mm::ProtFlags;

use crate::mapping::Mapping;
use crate::memory_file;

/// How many words there are: a page of the least size that there is.
pub const WORDS: usize = 512;
const BYTES: usize = WORDS * size_of::<AtomicU64>();

/// Numbers in memory that two processes share; what the other side writes there is its own affair, and may be
/// anything.
#[derive(Debug)]
pub struct SharedWords(Mapping);

impl SharedWords {
    /// Words that are all 0, and the file by which another process can map them.
    ///
    /// The file can't be made shorter by the other side, which would make every look at the words a SIGBUS.
    ///
    /// # Errors
    /// When there is no memory or file descriptor left, or no file may be so long.
    pub fn new() -> io::Result<(SharedWords, OwnedFd)> {
        let file = memory_file::create(c"pushflow words", BYTES)?;
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
        Ok(SharedWords(Mapping::of_file(file, BYTES, ProtFlags::READ | ProtFlags::WRITE)?))
    }

    /// One of the words.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < WORDS, "there are {WORDS} words");
        let address = self.0.at(index * size_of::<AtomicU64>(), size_of::<AtomicU64>());
        // SAFETY: the mapping holds WORDS words, aligned since it begins with a page, and lives as long as `self`. Any bits
        // are a word, and both processes use atomic operations only.
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
