//! [`SlabStore`]: the slabs of a pool, and who has which region of them.
//!
//! Short values share slabs; a longer one has a slab of its own. What is free is kept for the next values, since fresh
//! memory costs ten times as much as memory that was used before, but not without limit ([`Limits`]): of the slabs that
//! are wholly free those go first that are free for the longest time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pushflow_os::slab::{self, Region};

use super::reference::{SlabId, whole_pages};

/// The longest value that shares a slab.
pub(super) const MAX_SHARED_BYTES: usize = 4 << 20;

/// How much memory there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The least bytes of a slab that values share; each is as long as those before it together, so that few short values
    /// do not wait for much memory.
    pub(super) min_length: usize,
    /// The most bytes of a slab that values share.
    pub(super) max_length: usize,
    /// The longest value that shares one.
    pub(super) max_shared: usize,
    /// The most bytes that are kept in slabs of which nothing is used.
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
    /// Whether values share it.
    shared: bool,
    /// Where it is in the memory of this process.
    addresses: Range<usize>,
    /// Free regions by where they begin; no two touch.
    free: BTreeMap<usize, Region>,
    /// When it was freed wholly, counted in such events; `None` while something of it is used.
    free_since: Option<u64>,
}

/// A region of a slab that is used; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    slab: SlabId,
    /// `Some` until it is dropped.
    region: Option<Region>,
    store: Weak<Mutex<SlabTable>>,
}

impl SlabStore {
    /// A store with other limits than usual.
    #[cfg(test)]
    pub(super) fn with_limits(limits: Limits) -> SlabStore {
        let store = SlabStore::default();
        store.lock().limits = limits;
        store
    }

    /// A region of at least so many bytes, whole pages; `None` if there is none, nor memory for another slab.
    pub(super) fn lease(&self, bytes: usize) -> Option<Lease> {
        let size = whole_pages(bytes.max(1))?;
        let found = self.lock().take(size);
        let (slab, region) = match found {
            Some(found) => found,
            None => self.make(size)?,
        };
        Some(Lease { slab, region: Some(region), store: Arc::downgrade(&self.0) })
    }

    /// Makes a slab, a region of this size of which is used. Not under the lock: the memory of a large one takes its time.
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

    /// The slab in which these bytes are, and where.
    pub(super) fn locate(&self, bytes: &[u8]) -> Option<(SlabId, usize)> {
        let address = bytes.as_ptr().addr();
        let state = self.lock();
        let (id, slab) = state.slabs.iter().find(|(_, slab)| slab.addresses.contains(&address))?;
        Some((*id, address - slab.addresses.start))
    }

    /// The file of a slab; `None` when it is gone.
    pub(super) fn file(&self, slab: SlabId) -> Option<Arc<OwnedFd>> {
        self.lock().slabs.get(&slab).map(|slab| slab.file.clone())
    }

    /// Whether there is such a slab.
    pub(super) fn has(&self, slab: SlabId) -> bool {
        self.lock().slabs.contains_key(&slab)
    }

    /// How many slabs are gone.
    pub(super) fn retired(&self) -> u64 {
        self.lock().retired
    }

    /// How many slabs there are, and how many bytes of them are free.
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
    /// Takes a region of this size out of what is free.
    fn take(&mut self, size: usize) -> Option<(SlabId, Region)> {
        let shared = size <= self.limits.max_shared;
        let fits = |slab: &Slab| match shared {
            true => slab.shared && slab.free.values().any(|region| region.len() >= size),
            false => slab.free_since.is_some() && !slab.shared && slab.length >= size && slab.length / 2 <= size,
        };
        let fitting = self.slabs.iter_mut().filter(|(_, slab)| fits(slab));
        // The first of those that are shared, so that the last become free; of the others the one that fits best.
        let (&id, slab) = fitting.min_by_key(|(id, slab)| (slab.length, **id))?;
        Some((id, slab.take(size)?))
    }

    /// How long a slab should be that is made for a region of this size.
    fn next_length(&self, size: usize) -> usize {
        let Limits { min_length, max_length, max_shared, .. } = self.limits;
        if size > max_shared {
            return size;
        }
        let shared: usize = self.slabs.values().filter(|slab| slab.shared).map(|slab| slab.length).sum();
        shared.max(min_length).max(2 * size).min(max_length)
    }

    /// Adds a slab, a region of this size of which is used.
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

    /// A region is no longer used: the slabs that are not kept.
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

    /// The bytes of the slabs that are wholly free.
    fn free_slab_bytes(&self) -> usize {
        self.slabs.values().filter(|slab| slab.free_since.is_some()).map(|slab| slab.length).sum()
    }

    /// Takes out the slab that is free for the longest time; `None` if there is none.
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

    /// The front of the first free region that is large enough.
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

    /// Adds a region to what is free, as one with its free neighbours.
    fn put_back(&mut self, mut region: Region) {
        if let Some(after) = self.free.remove(&(region.offset() + region.len())) {
            join(&mut region, after);
        }
        match self.free.range_mut(..region.offset()).next_back() {
            Some((_, before)) if before.offset() + before.len() == region.offset() => join(before, region),
            _ => drop(self.free.insert(region.offset(), region)),
        }
    }

    /// Gives the memory of what is free back, also where a worker has the slab still mapped.
    fn discard(self) {
        for mut region in self.free.into_values() {
            // Without this it is given back when the last worker has heard that the slab is gone.
            region.discard().ok();
        }
    }
}

fn join(region: &mut Region, next: Region) {
    region.join(next).expect("they are neighbours of one slab");
}

impl Drop for SlabTable {
    fn drop(&mut self) {
        // Values that outlive the pool keep their own memory only.
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

    /// Takes so many bytes off its end.
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
