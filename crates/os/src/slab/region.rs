//! [`Region`]: a range of a slab, for the process that owns the slab.

use std::io;
use std::sync::Arc;

use rustix::mm::{Advice, madvise};

use crate::limits::name_call;
use crate::mapping::{Mapping, require_pages};

/// A range of a slab that belongs to whoever has this.
///
/// While the other process is allowed to write there, its owner does not look at it.
#[derive(Debug)]
pub struct Region {
    memory: Arc<Mapping>,
    offset: usize,
    length: usize,
}

impl Region {
    /// All of a slab.
    pub(super) fn new(memory: Mapping) -> Region {
        let length = memory.len();
        Region { memory: Arc::new(memory), offset: 0, length }
    }

    /// Where in the slab it begins.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Where in the slab these bytes are, if they are in this region.
    pub fn offset_of(&self, bytes: &[u8]) -> Option<usize> {
        let end = self.offset + self.length;
        let offset = self.memory.offset_of(bytes)?;
        ((self.offset..end).contains(&offset) && bytes.len() <= end - offset).then_some(offset)
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Takes so many bytes off its end.
    ///
    /// # Panics
    /// When it has not so many.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Region {
        assert!(at <= self.length, "a region is split inside");
        let rest = Region { memory: self.memory.clone(), offset: self.offset + at, length: self.length - at };
        self.length = at;
        rest
    }

    /// Makes one region of two.
    ///
    /// # Errors
    /// The other region, when it does not begin where this one ends.
    pub fn join(&mut self, next: Region) -> Result<(), Region> {
        if !Arc::ptr_eq(&self.memory, &next.memory) || self.offset + self.length != next.offset {
            return Err(next);
        }
        self.length += next.length;
        Ok(())
    }

    /// Gives the memory below it back to the machine, also while other processes have it mapped. It stays usable, and
    /// reads as zeros.
    ///
    /// # Errors
    /// When it does not begin and end with a page.
    pub fn discard(&mut self) -> io::Result<()> {
        require_pages(self.offset, self.length)?;
        let address = self.memory.at(self.offset, self.length);
        // SAFETY: the range is whole pages, all of this region, and nobody looks at it while it is borrowed here.
        unsafe { madvise(address.as_ptr().cast(), self.length, Advice::LinuxRemove) }
            .map_err(name_call(format_args!("madvise(MADV_REMOVE) of {} bytes", self.length)))
    }
}

impl AsRef<[u8]> for Region {
    fn as_ref(&self) -> &[u8] {
        let address = self.memory.at(self.offset, self.length);
        // SAFETY: mapped and initialised by the kernel; no other region has these bytes, and the other process writes
        // only to what nobody looks at.
        unsafe { std::slice::from_raw_parts(address.as_ptr(), self.length) }
    }
}

impl AsMut<[u8]> for Region {
    fn as_mut(&mut self) -> &mut [u8] {
        let address = self.memory.at(self.offset, self.length);
        // SAFETY: as above, and the other process reads only what was handed over.
        unsafe { std::slice::from_raw_parts_mut(address.as_ptr(), self.length) }
    }
}
