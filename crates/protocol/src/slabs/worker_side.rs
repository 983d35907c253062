//! [`WorkerSide`]: what a worker does with the slabs of its scheduler: it reads what is lent, and writes where it was granted
//! state.
//!
//! # GrantState
//! ```text
//!            ask                  answered
//!   idle ──────────▶ requested ──────────────────▶ idle, with room or without
//! ```
//! One question is under way at a time. A result that finds room is written there. If there is none for it, the room that
//! is left is released, and more is requested for and waited for; if a question is under way already, for its answer. The
//! wait ends with the answer, and with the channel. When a result has left too little room for another one like it, more
//! is requested for at once, and nobody waits.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use pushflow_os::SeqPacket;
use pushflow_os::slab::{View, ViewPart};
use pushflow_value::{CodecError, Data};

use super::grant::{Grant, Place};
use super::packed::{EncodedData, PackedData, SlabWriter, WriteTo, open, pack};
use super::reference::{Reference, SlabFile, SlabId, whole_pages};
use super::store::MAX_SHARED_BYTES;
use super::written::{Naming, WrittenTable};

use crate::courier;
use crate::transport::TransportError;

/// For how many results like the last one room is requested for.
const RESULTS_AHEAD: usize = 8;

/// The slabs of the scheduler, as a worker has them.
#[derive(Debug)]
pub struct WorkerSide {
    control: SeqPacket,
    slabs: Mutex<HashMap<SlabId, View>>,
    released: Arc<Mutex<Vec<Reference>>>,
    /// What was written for this worker by its interpreter, and is still held here.
    written: WrittenTable,
    grant: Mutex<GrantState>,
    changed: Condvar,
}

/// Where the next results are written.
#[derive(Debug, Default)]
struct GrantState {
    granted: Option<Reference>,
    requested: bool,
    closed: bool,
}

/// A value that is read where it lies; the scheduler hears when it is dropped.
struct LentBytes {
    part: ViewPart,
    reference: Reference,
    released: Arc<Mutex<Vec<Reference>>>,
}

impl WorkerSide {
    /// For the worker with this control socket, once it has said hello on it.
    pub fn new(control: SeqPacket) -> WorkerSide {
        let released = Arc::<Mutex<Vec<Reference>>>::default();
        let written = WrittenTable::new(released.clone());
        let (slabs, grant) = (Mutex::default(), Mutex::default());
        WorkerSide { control, slabs, released, written, grant, changed: Condvar::new() }
    }

    // ----- reading -----

    /// What is in the packed data of the scheduler. Each of its long values is released when its last copy is dropped.
    ///
    /// # Errors
    /// When it names what is in no slab.
    pub fn open(&self, packed: PackedData) -> Result<EncodedData, TransportError> {
        open(packed, |reference| self.read(reference))
    }

    /// What was released since this was requested last; to be told to the scheduler.
    pub fn released(&self) -> Vec<Reference> {
        std::mem::take(&mut lock(&self.released))
    }

    /// Whether there is something to tell.
    pub fn has_released(&self) -> bool {
        !lock(&self.released).is_empty()
    }

    /// These slabs are gone; nothing of them is read or written any more.
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

    /// The slab of this name. Its file was sent before its name, so that nobody waits for it.
    fn view(&self, slab: SlabId) -> Option<View> {
        let mut known = lock(&self.slabs);
        while !known.contains_key(&slab) {
            let (SlabFile { slab: received }, mut files) = courier::receive(&self.control, false).ok()??;
            known.insert(received, View::open(files.pop()?).ok()?);
        }
        known.get(&slab).cloned()
    }

    // ----- writing -----

    /// Writes a result down, its long values into slabs. `request` asks the scheduler for room for so many bytes.
    ///
    /// The data must not be dropped before the message with the packed data is on its way: it may name what the data holds.
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

    /// GrantState for so many bytes that somebody else is to write, the interpreter that works for this worker; `None` if there is
    /// none. `request` asks the scheduler. What was written there can be in a result, and is released if it never is.
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

    /// Where these bytes are in a slab, if they are there.
    pub fn place(&self, bytes: &Bytes) -> Option<Place> {
        let (reference, view) = self.locate(bytes)?;
        Some(Place::new(view.file().clone(), reference.range()?.0))
    }

    fn locate(&self, bytes: &Bytes) -> Option<(Reference, View)> {
        let known = lock(&self.slabs);
        let (slab, view, offset) = known.iter().find_map(|(slab, view)| Some((*slab, view, view.offset_of(bytes)?)))?;
        Some((Reference::new(slab, offset, bytes.len()), view.clone()))
    }

    /// The scheduler's answer: the room that it grants, if any.
    pub fn granted(&self, granted: Option<Reference>) {
        let mut state = lock(&self.grant);
        state.requested = false;
        let granted = granted.filter(|granted| granted.range().is_some());
        let unused = std::mem::replace(&mut state.granted, granted);
        lock(&self.released).extend(unused);
        self.changed.notify_all();
    }

    /// The channel has ended: there will be no answer.
    pub fn close(&self) {
        lock(&self.grant).closed = true;
        self.changed.notify_all();
    }

    /// GrantState for so many bytes; `None` if there is none.
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

    /// Asks for room for results like this one, without the lock.
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

/// How much room to ask for when a result takes so much: more for small ones, so that few of them wait.
fn request_size(size: usize) -> usize {
    size.max(size.saturating_mul(RESULTS_AHEAD).min(MAX_SHARED_BYTES))
}

impl GrantState {
    /// Takes a piece off the front, for so many bytes.
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

/// Writes the values of one message.
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
