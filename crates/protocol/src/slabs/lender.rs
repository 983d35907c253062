//! [`Lender`]: what the scheduler lends and grants one worker.

use std::collections::{HashMap, HashSet};
use std::os::fd::AsFd;

use bytes::Bytes;
use pushflow_os::SeqPacket;
use pushflow_os::slab::page_size;
use pushflow_value::{CodecError, Data};

use super::store::{Lease, SlabStore};
use super::{Contents, Parcel, Reference, Shelf, SlabFile, SlabId, WriteTo, open, pack, whole_pages};
use crate::courier::Letter;
use crate::transport::TransportError;

/// What one worker may read and write; all of it is free again when this is dropped, which is when the worker is gone.
#[derive(Debug)]
pub struct Lender {
    store: SlabStore,
    control: SeqPacket,
    /// The slabs that the worker has.
    handed: HashSet<SlabId>,
    /// How many slabs were gone when the worker last heard of that.
    retired: u64,
    /// What the worker reads, and how often it was lent.
    lent: HashMap<Reference, (Bytes, usize)>,
    /// Where the worker may write.
    granted: Vec<Lease>,
}

impl Lender {
    /// For the worker at the other end of this control socket, which has said hello.
    pub fn new(store: SlabStore, control: SeqPacket) -> Lender {
        let retired = store.retired();
        let (handed, lent, granted) = (HashSet::new(), HashMap::new(), Vec::new());
        Lender { store, control, handed, retired, lent, granted }
    }

    /// Writes inputs down and lends their long values.
    ///
    /// # Errors
    /// When a value can't be encoded; then nothing is lent.
    pub fn pack(&mut self, data: &Data) -> Result<Parcel, CodecError> {
        let mut lending = Lending { lender: self, lent: Vec::new() };
        let packed = pack(data, &mut lending);
        let lent = lending.lent;
        if packed.is_err() {
            for reference in lent {
                self.give_back(reference);
            }
        }
        packed
    }

    /// Room for results of so many bytes; `None` if there is none.
    pub fn grant(&mut self, bytes: u64) -> Option<Reference> {
        let lease = self.lease(usize::try_from(bytes).ok()?)?;
        let reference = Reference::new(lease.slab(), lease.offset(), lease.len());
        self.granted.push(lease);
        Some(reference)
    }

    /// What is in a parcel of the worker.
    ///
    /// # Errors
    /// When it names what was neither granted nor lent to it.
    pub fn open(&mut self, parcel: Parcel) -> Result<Contents, TransportError> {
        open(parcel, |reference| self.written(reference))
    }

    /// The worker reads this no more, or does not need this room.
    ///
    /// # Errors
    /// When neither was its own.
    pub fn released(&mut self, reference: Reference) -> Result<(), TransportError> {
        if self.give_back(reference) || self.take_granted(reference).is_some() {
            return Ok(());
        }
        Err(TransportError::Garbage(format!("it releases {reference:?}, which it has not")))
    }

    /// The slabs that are gone since this was asked last, of those that the worker has.
    pub fn gone(&mut self) -> Vec<SlabId> {
        let retired = self.store.retired();
        if std::mem::replace(&mut self.retired, retired) == retired {
            return Vec::new();
        }
        let (kept, gone) = self.handed.drain().partition(|slab| self.store.has(*slab));
        self.handed = kept;
        let gone: HashSet<SlabId> = gone;
        gone.into_iter().collect()
    }

    /// What the worker wrote, or was lent and hands on.
    fn written(&mut self, reference: Reference) -> Result<Bytes, TransportError> {
        if let (Some(lease), Some((_, length))) = (self.take_granted(reference), reference.range()) {
            return Ok(Bytes::from_owner(lease).slice(..length));
        }
        let lent = self.lent.iter().find_map(|(lent, (bytes, _))| slice(*lent, bytes, reference));
        lent.ok_or_else(|| TransportError::Garbage(format!("it names {reference:?}, which it has not")))
    }

    /// Takes the pages of this range out of what is granted.
    fn take_granted(&mut self, reference: Reference) -> Option<Lease> {
        let (offset, length) = reference.range().filter(|(offset, _)| offset.is_multiple_of(page_size()))?;
        let size = whole_pages(length.max(1))?;
        let contains = |lease: &Lease| {
            lease.slab() == reference.slab
                && offset
                    .checked_sub(lease.offset())
                    .is_some_and(|before| lease.len().checked_sub(before).is_some_and(|rest| size <= rest))
        };
        let mut before = self.granted.swap_remove(self.granted.iter().position(contains)?);
        let mut taken = before.split_off(offset - before.offset());
        let after = taken.split_off(size);
        self.granted.extend([before, after].into_iter().filter(|lease| lease.len() > 0));
        Some(taken)
    }

    /// Lends what the worker has the slab of, or can be handed it without waiting.
    fn lend(&mut self, reference: Reference, bytes: Bytes) -> Option<Reference> {
        self.hand(reference.slab)?;
        self.lent.entry(reference).or_insert((bytes, 0)).1 += 1;
        Some(reference)
    }

    /// Whether this was lent.
    fn give_back(&mut self, reference: Reference) -> bool {
        let Some((_, count)) = self.lent.get_mut(&reference) else { return false };
        *count -= 1;
        if *count == 0 {
            self.lent.remove(&reference);
        }
        true
    }

    fn lease(&mut self, bytes: usize) -> Option<Lease> {
        let lease = self.store.lease(bytes)?;
        self.hand(lease.slab()).map(|()| lease)
    }

    /// Hands the worker the file of a slab if it has not got it; `None` when that would have to wait.
    fn hand(&mut self, slab: SlabId) -> Option<()> {
        if !self.handed.contains(&slab) {
            let file = self.store.file(slab)?;
            Letter::new(&SlabFile { slab })
                .and_then(|letter| letter.send(&self.control, &[file.as_fd()], false))
                .ok()?;
            self.handed.insert(slab);
        }
        Some(())
    }
}

/// The part of what was lent that a reference names.
fn slice(lent: Reference, bytes: &Bytes, reference: Reference) -> Option<Bytes> {
    let (begin, _) = lent.range()?;
    let (offset, length) = reference.range()?;
    let offset = offset.checked_sub(begin).filter(|_| lent.slab == reference.slab)?;
    let end = offset.checked_add(length).filter(|end| *end <= bytes.len())?;
    Some(bytes.slice(offset..end))
}

/// Lends the values of one parcel.
struct Lending<'a> {
    lender: &'a mut Lender,
    lent: Vec<Reference>,
}

impl Shelf for Lending<'_> {
    fn find(&mut self, bytes: &Bytes) -> Option<Reference> {
        let (slab, offset) = self.lender.store.locate(bytes)?;
        let reference = self.lender.lend(Reference::new(slab, offset, bytes.len()), bytes.clone())?;
        self.lent.push(reference);
        Some(reference)
    }

    fn put(&mut self, length: usize, write: WriteTo<'_>) -> Result<Option<(Reference, Option<Bytes>)>, CodecError> {
        let Some(mut lease) = self.lender.lease(length) else { return Ok(None) };
        let mut room = &mut lease.region_mut().as_mut()[..length];
        write(&mut room)?;
        let reference = Reference::new(lease.slab(), lease.offset(), length);
        let bytes = Bytes::from_owner(lease).slice(..length);
        let reference = self.lender.lend(reference, bytes.clone());
        self.lent.extend(reference);
        // The next attempt that gets this value is lent the same region.
        Ok(reference.map(|reference| (reference, Some(bytes))))
    }
}
