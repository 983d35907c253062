//! [`WorkerSide`]: the scheduler's slabs in a worker, which reads what it is lent, and writes where it was granted
//! memory.
//!
//! # Requests for memory
//! ```text
//!          request                  answer
//!   idle ───────────▶ requested ─────────────▶ idle, with a new grant or without
//! ```
//! At most one request is open at a time.
//!
//! 1. A result that fits the rest of the grant is written there.
//! 2. If it does not fit, and a request is open, the worker waits for the answer, and tries again.
//! 3. If it does not fit, and no request is open, the worker releases the rest of the grant, requests memory, and
//!    waits for the answer. If the result does not fit the answer either, it travels in the message.
//! 4. If a short result leaves too little of the grant for another one like it, the worker requests more at once, and
//!    does not wait.
//!
//! A wait also ends when the channel ends.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use pushflow_model::{CodecError, Data};
use pushflow_os::SeqPacket;
use pushflow_os::slab::{View, ViewPart};

use super::grant::{Grant, Place};
use super::packed::{EncodedData, PackedData, SlabWriter, WriteTo, open, pack};
use super::reference::{Reference, SlabFile, SlabId, whole_pages};
use super::store::MAX_SHARED_BYTES;
use super::written::{Naming, WrittenTable};
use crate::fd_message;
use crate::transport::TransportError;

/// For how many results like the last one the worker requests memory.
const RESULTS_AHEAD: usize = 8;

/// The slabs of the scheduler in a worker.
#[derive(Debug)]
pub struct WorkerSide {
    control: SeqPacket,
    slabs: Mutex<HashMap<SlabId, View>>,
    /// The memory that was released and not yet sent to the scheduler.
    released: Arc<Mutex<Vec<Reference>>>,
    /// The ranges that the interpreter of this worker has written, and that the worker still holds.
    written: WrittenTable,
    grant: Mutex<GrantState>,
    changed: Condvar,
}

/// The memory for the next results.
#[derive(Debug, Default)]
struct GrantState {
    /// The rest of the last grant.
    granted: Option<Reference>,
    /// Whether a request is open.
    requested: bool,
    /// Whether the channel has ended.
    closed: bool,
}

/// Bytes that were lent to this worker. The worker releases them when this is dropped.
struct LentBytes {
    part: ViewPart,
    reference: Reference,
    released: Arc<Mutex<Vec<Reference>>>,
}

impl WorkerSide {
    /// For the worker with this control socket, after it has sent its hello.
    pub fn new(control: SeqPacket) -> WorkerSide {
        let released = Arc::<Mutex<Vec<Reference>>>::default();
        let written = WrittenTable::new(released.clone());
        let (slabs, grant) = (Mutex::default(), Mutex::default());
        WorkerSide { control, slabs, released, written, grant, changed: Condvar::new() }
    }

    // ----- reading -----

    /// Opens packed data of the scheduler. Each long value is released when its last copy is dropped.
    ///
    /// # Errors
    /// When it names a range that is in no slab of this worker.
    pub fn open(&self, packed: PackedData) -> Result<EncodedData, TransportError> {
        open(packed, |reference| self.read(reference))
    }

    /// Takes the memory that was released since the last call, which the caller sends to the scheduler.
    pub fn released(&self) -> Vec<Reference> {
        std::mem::take(&mut lock(&self.released))
    }

    /// Whether memory was released since the last call of [`WorkerSide::released`].
    pub fn has_released(&self) -> bool {
        !lock(&self.released).is_empty()
    }

    /// Unmaps slabs that the scheduler has retired. Nothing in them is lent or granted to this worker any more.
    pub fn unmap(&self, slabs: &[SlabId]) {
        let mut known = lock(&self.slabs);
        for slab in slabs {
            known.remove(slab);
        }
    }

    fn read(&self, reference: Reference) -> Result<Bytes, TransportError> {
        let part = self.view(reference.slab).zip(reference.range());
        let part = part.and_then(|(view, (offset, length))| view.part(offset, length));
        let part = part.ok_or_else(|| TransportError::Garbage(format!("{reference:?} is in no slab")))?;
        Ok(Bytes::from_owner(LentBytes { part, reference, released: self.released.clone() }))
    }

    /// The slab of this name. The scheduler sends the file of a slab before the name, so that this never waits.
    fn view(&self, slab: SlabId) -> Option<View> {
        let mut known = lock(&self.slabs);
        while !known.contains_key(&slab) {
            let (SlabFile { slab: received }, mut files) = fd_message::receive(&self.control, false).ok()??;
            known.insert(received, View::open(files.pop()?).ok()?);
        }
        known.get(&slab).cloned()
    }

    // ----- writing -----

    /// Encodes a result, its long values into slabs. `request` requests memory of so many bytes from the scheduler.
    ///
    /// The data must not be dropped before the message with the packed data was sent: the message may name memory that
    /// the data holds.
    ///
    /// # Errors
    /// When a value can't be encoded.
    pub fn pack(&self, data: &Data, request: impl FnMut(u64)) -> Result<PackedData, CodecError> {
        let mut writer = GrantWriter { worker: self, request, written: Vec::new() };
        let packed = pack(data, &mut writer);
        if packed.is_err() {
            lock(&self.released).extend(writer.written);
        }
        packed
    }

    /// Memory of so many bytes for the interpreter of this worker to write; `None` if there is none. `request` requests
    /// memory from the scheduler. The bytes written there may be in a result; if they never are, they are released.
    pub fn grant(&self, length: usize, mut request: impl FnMut(u64)) -> Option<Grant> {
        let reference = self.take_region(length, &mut request)?;
        let view = self.view(reference.slab).zip(reference.range());
        let found = view.and_then(|(view, (offset, length))| Some((view.part(offset, length)?, view, offset)));
        let Some((part, view, offset)) = found else {
            lock(&self.released).push(reference);
            return None;
        };
        let place = Place::new(view.file().clone(), offset);
        Some(Grant::of_worker(place, length, self.written.add(reference, part)))
    }

    /// Where these bytes are in a slab; `None` if they are in none.
    pub fn place(&self, bytes: &Bytes) -> Option<Place> {
        let (reference, view) = self.locate(bytes)?;
        Some(Place::new(view.file().clone(), reference.range()?.0))
    }

    fn locate(&self, bytes: &Bytes) -> Option<(Reference, View)> {
        let known = lock(&self.slabs);
        let (slab, view, offset) = known.iter().find_map(|(slab, view)| Some((*slab, view, view.offset_of(bytes)?)))?;
        Some((Reference::new(slab, offset, bytes.len()), view.clone()))
    }

    /// Takes the scheduler's answer to the open request: the memory that it grants, if any.
    pub fn granted(&self, granted: Option<Reference>) {
        let mut state = lock(&self.grant);
        state.requested = false;
        let granted = granted.filter(|granted| granted.range().is_some());
        let unused = std::mem::replace(&mut state.granted, granted);
        lock(&self.released).extend(unused);
        self.changed.notify_all();
    }

    /// The channel has ended: the open request gets no answer.
    pub fn close(&self) {
        lock(&self.grant).closed = true;
        self.changed.notify_all();
    }

    /// Takes memory of so many bytes out of the grant, as the top of this file says; `None` if there is none.
    fn take_region(&self, length: usize, request: &mut impl FnMut(u64)) -> Option<Reference> {
        let size = whole_pages(length)?;
        let mut requested_for_this = false;
        let mut state = lock(&self.grant);
        let found = loop {
            if let Some(found) = state.take_front(length, size) {
                break found;
            }
            if state.closed || (requested_for_this && !state.requested) {
                return None;
            }
            if !state.requested {
                lock(&self.released).extend(state.granted.take());
                state = self.request(state, size, request);
                requested_for_this = true;
            }
            let wait = |state: &mut GrantState| state.requested && !state.closed;
            state = self.changed.wait_while(state, wait).unwrap_or_else(PoisonError::into_inner);
        };
        let next_fits = state.granted.is_some_and(|left| left.length >= size as u64);
        if request_size(size) > size && !next_fits && !state.requested {
            drop(self.request(state, size, request));
        }
        Some(found)
    }

    /// Requests memory for results like this one. Gives the lock up meanwhile.
    fn request<'a>(
        &'a self,
        mut state: MutexGuard<'a, GrantState>,
        size: usize,
        request: &mut impl FnMut(u64),
    ) -> MutexGuard<'a, GrantState> {
        state.requested = true;
        drop(state);
        request(request_size(size) as u64);
        lock(&self.grant)
    }
}

/// How many bytes to request for a result of this size: more than one result needs if results are short, so that few of
/// them wait.
fn request_size(size: usize) -> usize {
    size.max(size.saturating_mul(RESULTS_AHEAD).min(MAX_SHARED_BYTES))
}

impl GrantState {
    /// Takes `size` bytes, whole pages, off the front of the grant, for a result of `length` bytes.
    fn take_front(&mut self, length: usize, size: usize) -> Option<Reference> {
        let granted = self.granted?;
        let left = granted.length.checked_sub(size as u64)?;
        let rest = Reference { offset: granted.offset + size as u64, length: left, ..granted };
        self.granted = (left > 0).then_some(rest);
        Some(Reference { length: length as u64, ..granted })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes the long values of one message into the grant.
struct GrantWriter<'a, F> {
    worker: &'a WorkerSide,
    request: F,
    written: Vec<Reference>,
}

impl<F: FnMut(u64)> SlabWriter for GrantWriter<'_, F> {
    fn find(&mut self, bytes: &Bytes) -> Option<Reference> {
        let reference = self.worker.locate(bytes)?.0;
        match self.worker.written.name(reference) {
            Naming::NotWritten => {}
            Naming::Accepted => self.written.push(reference),
            Naming::Refused => return None,
        }
        Some(reference)
    }

    fn put(&mut self, length: usize, write: WriteTo<'_>) -> Result<Option<(Reference, Option<Bytes>)>, CodecError> {
        let Some(reference) = self.worker.take_region(length, &mut self.request) else { return Ok(None) };
        self.written.push(reference);
        let writer = self.worker.view(reference.slab).zip(reference.range().zip(whole_pages(length)));
        let writer = writer.and_then(|(view, ((offset, _), size))| view.writer(offset, size).ok());
        let Some(mut writer) = writer else {
            lock(&self.worker.released).extend(self.written.pop());
            return Ok(None);
        };
        write(&mut writer)?;
        Ok(Some((reference, None)))
    }
}

impl AsRef<[u8]> for LentBytes {
    fn as_ref(&self) -> &[u8] {
        self.part.as_ref()
    }
}

impl Drop for LentBytes {
    fn drop(&mut self) {
        lock(&self.released).push(self.reference);
    }
}
