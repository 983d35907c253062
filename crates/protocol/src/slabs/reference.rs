//! [`Reference`]: how a message names a range of a slab.

use pushflow_os::slab::page_size;
use serde::{Deserialize, Serialize};

/// Names a slab of one pool. No two slabs of a pool ever have the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SlabId(pub(super) u64);

/// Names a range of a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reference {
    pub(super) slab: SlabId,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// The message over the control socket that carries the file of a slab.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SlabFile {
    pub(super) slab: SlabId,
}

impl Reference {
    pub(super) fn new(slab: SlabId, offset: usize, length: usize) -> Reference {
        Reference { slab, offset: offset as u64, length: length as u64 }
    }

    /// Offset and length in bytes; `None` if no memory is so long.
    pub(super) fn range(self) -> Option<(usize, usize)> {
        let (offset, length) = (usize::try_from(self.offset).ok()?, usize::try_from(self.length).ok()?);
        offset.checked_add(whole_pages(length)?)?;
        Some((offset, length))
    }
}

/// Rounds up to whole pages; `None` if no memory is so long.
pub(super) fn whole_pages(bytes: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(page_size())
}
