//! [`Reference`]: how a message names a range of a slab.

use pushflow_os::slab::page_size;
use serde::{Deserialize, Serialize};

/// Names a slab of one pool; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SlabId(pub(super) u64);

/// A range of a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reference {
    pub(super) slab: SlabId,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// What comes with the file of a slab over the control socket.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SlabFile {
    pub(super) slab: SlabId,
}

impl Reference {
    pub(super) fn new(slab: SlabId, offset: usize, length: usize) -> Reference {
        Reference { slab, offset: offset as u64, length: length as u64 }
    }

    /// Offset and length, and where it ends; `None` if no memory has such numbers.
    pub(super) fn range(self) -> Option<(usize, usize)> {
        let (offset, length) = (usize::try_from(self.offset).ok()?, usize::try_from(self.length).ok()?);
        offset.checked_add(whole_pages(length)?)?;
        Some((offset, length))
    }
}

/// As many bytes as the pages that hold so many; `None` if no memory has so many.
pub(super) fn whole_pages(bytes: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(page_size())
}
