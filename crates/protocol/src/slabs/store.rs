//! [`SlabStore`]: the slabs of a pool, and which of their regions are used.
//!
//! Short values share slabs. A longer value has a slab of its own.
//!
//! # States of a slab
//! ```text
//!           its last region is freed                 too many bytes or slabs
//!   in use ─────────────────────────▶ wholly free ──────────────────────────▶ retired
//!     ▲                                    │
//!     └────────────────────────────────────┘
//!              a region is leased
//! ```
//! A slab that is wholly free is kept for the next values, since fresh memory costs ten times as much as memory that
//! was used before. [`Limits`] says how much is kept. The slab that has been wholly free for the longest time is
//! retired first.
//!
//! All changes are made under one lock, except that a new slab is allocated without it: the memory of a long slab
//! takes its time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pushflow_os::slab::{self, Region};

use super::reference::{SlabId, whole_pages};

/// The most bytes of a value that shares a slab.
pub(super) const MAX_SHARED_BYTES: usize = 4 << 20;

/// How much memory a store may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The least bytes of a shared slab. A new shared slab is as long as all other shared slabs together, but not
    /// shorter than this or twice the value that needs it, and not longer than `max_length`. So a pool with few short
    /// values does not wait for much memory.
    pub(super) min_length: usize,
    /// The most bytes of a shared slab.
    pub(super) max_length: usize,
    /// The most bytes of a value that shares a slab.
    pub(super) max_shared: usize,
    /// The most bytes in slabs that are wholly free.
    pub(super) max_free: usize,
    /// The most slabs, each of which has one open file.
    pub(super) max_slabs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            min_length: MAX_SHARED_BYTES / 4,
            max_length: 4 * MAX_SHARED_BYTES,
            max_shared: MAX_SHARED_BYTES,
            max_free: 256 << 20,
            max_slabs: 128,
        }
    }
}

/// The slabs of a pool. Cloning shares.
#[derive(Clone, Debug, Default)]
pub struct SlabStore(Arc<Mutex<SlabTable>>);

#[derive(Debug, Default)]
struct SlabTable {
    limits: Limits,
    slabs: BTreeMap<SlabId, Slab>,
    made: u64,
    freed: u64,
    retired: u64,
}

#[derive(Debug)]
struct Slab {
    file: Arc<OwnedFd>,
    length: usize,
    /// Whether short values share this slab.
    shared: bool,
    /// The addresses of the slab in this process.
    addresses: Range<usize>,
    /// The free regions by their offset; no two are adjacent.
    free: BTreeMap<usize, Region>,
    /// The value of `freed` when this slab became wholly free; `None` while a region of it is used.
    free_since: Option<u64>,
}

/// A used region of a slab, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    slab: SlabId,
    /// `Some` until it is dropped.
    region: Option<Region>,
    store: Weak<Mutex<SlabTable>>,
}

impl SlabStore {
    /// A store with these limits.
    #[cfg(test)]
    pub(super) fn with_limits(limits: Limits) -> SlabStore {
        let store = SlabStore::default();
        store.lock().limits = limits;
        store
    }

    /// Leases a region of so many bytes, rounded up to whole pages; `None` if no slab has one, and there is no memory
    /// for another slab.
    pub(super) fn lease(&self, bytes: usize) -> Option<Lease> {
        let size = whole_pages(bytes.max(1))?;
        let found = self.lock().take(size);
        let (slab, region) = match found {
            Some(found) => found,
            None => self.make(size)?,
        };
        Some(Lease { slab, region: Some(region), store: Arc::downgrade(&self.0) })
    }

    /// Makes a slab, and leases a region of this size of it. Allocates without the lock.
    fn make(&self, size: usize) -> Option<(SlabId, Region)> {
        let (length, replaced) = {
            let mut state = self.lock();
            let full = state.slabs.len() >= state.limits.max_slabs;
            (state.next_length(size), if full { Some(state.retire_oldest()?) } else { None })
        };
        replaced.into_iter().for_each(Slab::discard);
        let (region, file) = slab::create(length).ok()?;
        Some(self.lock().add(region, file, size))
    }

    /// The slab in which these bytes are, and their offset there.
    pub(super) fn locate(&self, bytes: &[u8]) -> Option<(SlabId, usize)> {
        let address = bytes.as_ptr().addr();
        let state = self.lock();
        let (id, slab) = state.slabs.iter().find(|(_, slab)| slab.addresses.contains(&address))?;
        Some((*id, address - slab.addresses.start))
    }

    /// The file of a slab; `None` if the slab was retired.
    pub(super) fn file(&self, slab: SlabId) -> Option<Arc<OwnedFd>> {
        self.lock().slabs.get(&slab).map(|slab| slab.file.clone())
    }

    /// Whether this slab exists and was not retired.
    pub(super) fn has(&self, slab: SlabId) -> bool {
        self.lock().slabs.contains_key(&slab)
    }

    /// How many slabs were retired so far.
    pub(super) fn retired(&self) -> u64 {
        self.lock().retired
    }

    /// The number of slabs, and how many bytes of them are free.
    #[cfg(test)]
    pub(super) fn usage(&self) -> (usize, usize) {
        let state = self.lock();
        let free = state.slabs.values().flat_map(|slab| slab.free.values()).map(Region::len).sum();
        (state.slabs.len(), free)
    }

    /// How many bytes are used.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        let all: usize = self.lock().slabs.values().map(|slab| slab.length).sum();
        all - self.usage().1
    }

    fn lock(&self) -> MutexGuard<'_, SlabTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SlabTable {
    /// Takes a region of this size out of a free region.
    fn take(&mut self, size: usize) -> Option<(SlabId, Region)> {
        let shared = size <= self.limits.max_shared;
        let fits = |slab: &Slab| match shared {
            true => slab.shared && slab.free.values().any(|region| region.len() >= size),
            false => slab.free_since.is_some() && !slab.shared && slab.length >= size && slab.length / 2 <= size,
        };
        let fitting = self.slabs.iter_mut().filter(|(_, slab)| fits(slab));
        // Of the shared slabs the shortest and oldest, so that the others become wholly free. Of the others the
        // shortest.
        let (&id, slab) = fitting.min_by_key(|(id, slab)| (slab.length, **id))?;
        Some((id, slab.take(size)?))
    }

    /// The length of a new slab for a region of this size.
    fn next_length(&self, size: usize) -> usize {
        let Limits { min_length, max_length, max_shared, .. } = self.limits;
        if size > max_shared {
            return size;
        }
        let shared: usize = self.slabs.values().filter(|slab| slab.shared).map(|slab| slab.length).sum();
        shared.max(min_length).max(2 * size).min(max_length)
    }

    /// Adds a slab, and takes a region of this size out of it.
    fn add(&mut self, region: Region, file: OwnedFd, size: usize) -> (SlabId, Region) {
        self.made += 1;
        let (length, mut used) = (region.len(), region);
        let begin = used.as_ref().as_ptr().addr();
        let rest = used.split_off(size);
        let free = if rest.is_empty() { BTreeMap::new() } else { BTreeMap::from([(rest.offset(), rest)]) };
        let id = SlabId(self.made);
        let shared = size <= self.limits.max_shared;
        self.slabs.insert(
            id,
            Slab { file: file.into(), length, shared, addresses: begin..begin + length, free, free_since: None },
        );
        (id, used)
    }

    /// Frees a region. Returns the slabs that were retired, which the caller discards.
    fn free(&mut self, id: SlabId, region: Region) -> Vec<Slab> {
        let Some(slab) = self.slabs.get_mut(&id) else { return Vec::new() };
        slab.put_back(region);
        if !slab.is_free() {
            return Vec::new();
        }
        self.freed += 1;
        slab.free_since = Some(self.freed);
        let mut retired = Vec::new();
        while self.free_slab_bytes() > self.limits.max_free {
            retired.extend(self.retire_oldest());
        }
        retired
    }

    /// How many bytes the slabs have that are wholly free.
    fn free_slab_bytes(&self) -> usize {
        self.slabs.values().filter(|slab| slab.free_since.is_some()).map(|slab| slab.length).sum()
    }

    /// Retires the slab that has been wholly free for the longest time; `None` if none is wholly free.
    fn retire_oldest(&mut self) -> Option<Slab> {
        let free = self.slabs.iter().filter_map(|(id, slab)| Some((slab.free_since?, *id)));
        let (_, id) = free.min()?;
        self.retired += 1;
        self.slabs.remove(&id)
    }
}

impl Slab {
    fn is_free(&self) -> bool {
        self.free.values().next().is_some_and(|region| region.len() == self.length)
    }

    /// Takes the front of the first free region that is long enough.
    fn take(&mut self, size: usize) -> Option<Region> {
        let (&offset, _) = self.free.iter().find(|(_, region)| region.len() >= size)?;
        let mut region = self.free.remove(&offset)?;
        let rest = region.split_off(size);
        if !rest.is_empty() {
            self.free.insert(rest.offset(), rest);
        }
        self.free_since = None;
        Some(region)
    }

    /// Adds a free region, joined with its free neighbours.
    fn put_back(&mut self, mut region: Region) {
        if let Some(after) = self.free.remove(&(region.offset() + region.len())) {
            join(&mut region, after);
        }
        match self.free.range_mut(..region.offset()).next_back() {
            Some((_, before)) if before.offset() + before.len() == region.offset() => join(before, region),
            _ => drop(self.free.insert(region.offset(), region)),
        }
    }

    /// Gives the free memory back to the kernel, also while a worker still has the slab mapped.
    fn discard(self) {
        for mut region in self.free.into_values() {
            // If this fails, the memory is given back when the last worker has unmapped the slab.
            region.discard().ok();
        }
    }
}

fn join(region: &mut Region, next: Region) {
    region.join(next).expect("they are neighbours of one slab");
}

impl Drop for SlabTable {
    fn drop(&mut self) {
        // Values that outlive the pool keep only their own memory.
        std::mem::take(&mut self.slabs).into_values().for_each(Slab::discard);
    }
}

impl Lease {
    pub(super) fn slab(&self) -> SlabId {
        self.slab
    }

    pub(super) fn offset(&self) -> usize {
        self.region().offset()
    }

    pub(super) fn len(&self) -> usize {
        self.region().len()
    }

    /// Splits the lease at this offset, and returns the part behind it.
    pub(super) fn split_off(&mut self, at: usize) -> Lease {
        let region = self.region.as_mut().map(|region| region.split_off(at));
        Lease { slab: self.slab, region, store: self.store.clone() }
    }

    pub(super) fn region_mut(&mut self) -> &mut Region {
        self.region.as_mut().expect("it is there until the lease is dropped")
    }

    fn region(&self) -> &Region {
        self.region.as_ref().expect("it is there until the lease is dropped")
    }
}

impl AsRef<[u8]> for Lease {
    fn as_ref(&self) -> &[u8] {
        self.region().as_ref()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (Some(region), Some(store)) = (self.region.take(), self.store.upgrade()) else { return };
        let retired = SlabStore(store).lock().free(self.slab, region);
        retired.into_iter().for_each(Slab::discard);
    }
}

#[cfg(test)]
mod tests;
