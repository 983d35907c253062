//! [`Region`]: a range of a slab in the process that owns the slab.

use std::io;
use std::sync::Arc;

use rustix::mm::{Advice, madvise};

use crate::limits::name_call;
use crate::mapping::{Mapping, require_pages};

/// The only access of the slab's owner to a range of the slab. No two regions overlap.
///
/// The owner does not read or write a region while the other process may write to it.
#[derive(Debug)]
pub struct Region {
    memory: Arc<Mapping>,
    offset: usize,
    length: usize,
}

impl Region {
    /// The region of a whole slab.
    pub(super) fn new(memory: Mapping) -> Region {
        let length = memory.len();
        Region { memory: Arc::new(memory), offset: 0, length }
    }

    /// The offset of the first byte in the slab.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The length in bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether the region has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Splits the region at this offset from its beginning, and returns the second part.
    ///
    /// # Panics
    /// When the offset is larger than the length.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Region {
        assert!(at <= self.length, "a region is split inside");
        let rest = Region { memory: self.memory.clone(), offset: self.offset + at, length: self.length - at };
        self.length = at;
        rest
    }

    /// Appends the next region to this one.
    ///
    /// # Errors
    /// The next region, when it is of another slab or does not begin where this one ends.
    pub fn join(&mut self, next: Region) -> Result<(), Region> {
        if !Arc::ptr_eq(&self.memory, &next.memory) || self.offset + self.length != next.offset {
            return Err(next);
        }
        self.length += next.length;
        Ok(())
    }

    /// Returns the memory of the region to the machine, even while other processes have it mapped. The region stays
    /// usable, and reads as zeros.
    ///
    /// # Errors
    /// When the region does not begin and end with a page.
    pub fn discard(&mut self) -> io::Result<()> {
        require_pages(self.offset, self.length)?;
        let address = self.memory.at(self.offset, self.length);
        // SAFETY: the range is whole pages of this region alone. The region is borrowed mutably, so that there is no
        // reference to its bytes.
        unsafe { madvise(address.as_ptr().cast(), self.length, Advice::LinuxRemove) }
            .map_err(name_call(format_args!("madvise(MADV_REMOVE) of {} bytes", self.length)))
    }
}

impl AsRef<[u8]> for Region {
    fn as_ref(&self) -> &[u8] {
        let address = self.memory.at(self.offset, self.length);
        // SAFETY: the bytes are mapped and initialised, and live as long as the region. No other region has them, and
        // the other process does not write them while the owner uses them (see `slab`).
        unsafe { std::slice::from_raw_parts(address.as_ptr(), self.length) }
    }
}

impl AsMut<[u8]> for Region {
    fn as_mut(&mut self) -> &mut [u8] {
        let address = self.memory.at(self.offset, self.length);
        // SAFETY: as above. The region is borrowed mutably, and the other process does not read its bytes meanwhile.
        unsafe { std::slice::from_raw_parts_mut(address.as_ptr(), self.length) }
    }
}
