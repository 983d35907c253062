//! [`SchedulerSide`]: the memory that the scheduler lends and grants one worker.

use std::collections::{HashMap, HashSet};
use std::os::fd::AsFd;

use bytes::Bytes;
use pushflow_model::{CodecError, Data};
use pushflow_os::SeqPacket;
use pushflow_os::slab::page_size;

use super::packed::{EncodedData, PackedData, SlabWriter, WriteTo, open, pack};
use super::reference::{Reference, SlabFile, SlabId, whole_pages};
use super::store::{Lease, SlabStore};
use crate::fd_message::FdMessage;
use crate::transport::TransportError;

/// The memory that one worker may read and write. All of it is free again when this is dropped, after the worker has
/// ended.
#[derive(Debug)]
pub struct SchedulerSide {
    store: SlabStore,
    control: SeqPacket,
    /// The slabs whose files were sent to the worker.
    sent_slabs: HashSet<SlabId>,
    /// How many slabs had been retired when the worker was last sent that.
    retired: u64,
    /// The memory that the worker reads, and how often each range was lent.
    lent: HashMap<Reference, (Bytes, usize)>,
    /// The memory that the worker may write.
    granted: Vec<Lease>,
}

impl SchedulerSide {
    /// For the worker at the other end of this control socket, which has sent its hello.
    pub fn new(store: SlabStore, control: SeqPacket) -> SchedulerSide {
        let retired = store.retired();
        let (sent_slabs, lent, granted) = (HashSet::new(), HashMap::new(), Vec::new());
        SchedulerSide { store, control, sent_slabs, retired, lent, granted }
    }

    /// Encodes inputs and lends their long values.
    ///
    /// # Errors
    /// When a value can't be encoded; then nothing is lent.
    pub fn pack(&mut self, data: &Data) -> Result<PackedData, CodecError> {
        let mut writer = LendingWriter { scheduler: self, lent: Vec::new() };
        let packed = pack(data, &mut writer);
        let lent = writer.lent;
        if packed.is_err() {
            for reference in lent {
                self.return_lent(reference);
            }
        }
        packed
    }

    /// Grants memory for results of so many bytes; `None` if there is none.
    pub fn grant(&mut self, bytes: u64) -> Option<Reference> {
        let lease = self.lease(usize::try_from(bytes).ok()?)?;
        let reference = Reference::new(lease.slab(), lease.offset(), lease.len());
        self.granted.push(lease);
        Some(reference)
    }

    /// Opens packed data of the worker.
    ///
    /// # Errors
    /// When it names memory that was neither granted nor lent to the worker.
    pub fn open(&mut self, packed: PackedData) -> Result<EncodedData, TransportError> {
        open(packed, |reference| self.take_result(reference))
    }

    /// Takes back memory that the worker does not read any more, or does not write.
    ///
    /// # Errors
    /// When the memory was neither lent nor granted to the worker.
    pub fn released(&mut self, reference: Reference) -> Result<(), TransportError> {
        if self.return_lent(reference) || self.take_granted(reference).is_some() {
            return Ok(());
        }
        Err(TransportError::Garbage(format!("it releases {reference:?}, which it has not")))
    }

    /// Takes the slabs that were retired since the last call, of those that the worker has.
    pub fn take_retired(&mut self) -> Vec<SlabId> {
        let retired = self.store.retired();
        if std::mem::replace(&mut self.retired, retired) == retired {
            return Vec::new();
        }
        let (kept, retired) = self.sent_slabs.drain().partition(|slab| self.store.has(*slab));
        self.sent_slabs = kept;
        let retired: HashSet<SlabId> = retired;
        retired.into_iter().collect()
    }

    /// The bytes of a result: the worker wrote them into a grant, or was lent them.
    fn take_result(&mut self, reference: Reference) -> Result<Bytes, TransportError> {
        if let (Some(lease), Some((_, length))) = (self.take_granted(reference), reference.range()) {
            return Ok(Bytes::from_owner(lease).slice(..length));
        }
        let lent = self.lent.iter().find_map(|(lent, (bytes, _))| slice(*lent, bytes, reference));
        lent.ok_or_else(|| TransportError::Garbage(format!("it names {reference:?}, which it has not")))
    }

    /// Takes the pages of this range out of the granted memory.
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

    /// Lends these bytes; `None` if the worker has not got their slab, and the slab can't be sent without waiting.
    fn lend(&mut self, reference: Reference, bytes: Bytes) -> Option<Reference> {
        self.send_slab(reference.slab)?;
        self.lent.entry(reference).or_insert((bytes, 0)).1 += 1;
        Some(reference)
    }

    /// Takes back a lent range once; `false` if it was not lent.
    fn return_lent(&mut self, reference: Reference) -> bool {
        let Some((_, count)) = self.lent.get_mut(&reference) else { return false };
        *count -= 1;
        if *count == 0 {
            self.lent.remove(&reference);
        }
        true
    }

    /// A region in a slab that the worker has; `None` if there is none.
    fn lease(&mut self, bytes: usize) -> Option<Lease> {
        let lease = self.store.lease(bytes)?;
        self.send_slab(lease.slab()).map(|()| lease)
    }

    /// Sends the worker the file of a slab, unless it has the file; `None` if the send would wait.
    fn send_slab(&mut self, slab: SlabId) -> Option<()> {
        if !self.sent_slabs.contains(&slab) {
            let file = self.store.file(slab)?;
            FdMessage::new(&SlabFile { slab })
                .and_then(|message| message.send(&self.control, &[file.as_fd()], false))
                .ok()?;
            self.sent_slabs.insert(slab);
        }
        Some(())
    }
}

/// The part of a lent range that a reference names.
fn slice(lent: Reference, bytes: &Bytes, reference: Reference) -> Option<Bytes> {
    let (begin, _) = lent.range()?;
    let (offset, length) = reference.range()?;
    let offset = offset.checked_sub(begin).filter(|_| lent.slab == reference.slab)?;
    let end = offset.checked_add(length).filter(|end| *end <= bytes.len())?;
    Some(bytes.slice(offset..end))
}

/// Lends the long values of one message.
struct LendingWriter<'a> {
    scheduler: &'a mut SchedulerSide,
    lent: Vec<Reference>,
}

impl SlabWriter for LendingWriter<'_> {
    fn find(&mut self, bytes: &Bytes) -> Option<Reference> {
        let (slab, offset) = self.scheduler.store.locate(bytes)?;
        let reference = self.scheduler.lend(Reference::new(slab, offset, bytes.len()), bytes.clone())?;
        self.lent.push(reference);
        Some(reference)
    }

    fn put(&mut self, length: usize, write: WriteTo<'_>) -> Result<Option<(Reference, Option<Bytes>)>, CodecError> {
        let Some(mut lease) = self.scheduler.lease(length) else { return Ok(None) };
        let mut space = &mut lease.region_mut().as_mut()[..length];
        write(&mut space)?;
        let reference = Reference::new(lease.slab(), lease.offset(), length);
        let bytes = Bytes::from_owner(lease).slice(..length);
        let reference = self.scheduler.lend(reference, bytes.clone());
        self.lent.extend(reference);
        // The next attempt that gets this value is lent the same region.
        Ok(reference.map(|reference| (reference, Some(bytes))))
    }
}
