//! [`WorkerSide`]: what a worker does with the slabs of its scheduler: it reads what is lent, and writes where it was granted
//! room.
//!
//! # Room
//! ```text
//!            ask                  answered
//!   idle ──────────▶ asked ──────────────────▶ idle, with room or without
//! ```
//! One question is under way at a time. A result that finds room is written there. If there is none for it, the room that
//! is left is released, and more is asked for and waited for; if a question is under way already, for its answer. The
//! wait ends with the answer, and with the channel. When a result has left too little room for another one like it, more
//! is asked for at once, and nobody waits.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use pushflow_os::SeqPacket;
use pushflow_os::slab::{View, ViewPart};
use pushflow_value::{Apart, CodecError, Data};

use super::room::{Place, Room as OwnRoom};
use super::store::SHARED_MOST;
use super::written::{Named, WrittenTable};
use super::{Parcel, Reference, Shelf, SlabFile, SlabId, WriteTo, open, pack, whole_pages};
use crate::courier;
use crate::transport::TransportError;

/// For how many results like the last one room is asked for.
const RESULTS_AHEAD: usize = 8;

/// Data that has arrived, still encoded.
#[derive(Debug, Default)]
pub struct Contents {
    pub(super) rest: Bytes,
    pub(super) apart: Vec<Apart>,
}

impl Contents {
    /// The data, which shares the memory in which it arrived.
    ///
    /// # Errors
    /// When the bytes are no encoded data.
    pub fn into_data(self) -> Result<Data, CodecError> {
        Data::decode_joined(&self.rest, self.apart)
    }
}

/// The slabs of the scheduler, as a worker has them.
#[derive(Debug)]
pub struct WorkerSide {
    control: SeqPacket,
    slabs: Mutex<HashMap<SlabId, View>>,
    released: Arc<Mutex<Vec<Reference>>>,
    /// What was written for this worker by its interpreter, and is still held here.
    written: WrittenTable,
    room: Mutex<Room>,
    answered: Condvar,
}

/// Where the next results are written.
#[derive(Debug, Default)]
struct Room {
    granted: Option<Reference>,
    asked: bool,
    closed: bool,
}

/// A value that is read where it lies; the scheduler hears when it is dropped.
struct Loan {
    part: ViewPart,
    reference: Reference,
    released: Arc<Mutex<Vec<Reference>>>,
}

impl WorkerSide {
    /// For the worker with this control socket, once it has said hello on it.
    pub fn new(control: SeqPacket) -> WorkerSide {
        let released = Arc::<Mutex<Vec<Reference>>>::default();
        let written = WrittenTable::new(released.clone());
        let (slabs, room) = (Mutex::default(), Mutex::default());
        WorkerSide { control, slabs, released, written, room, answered: Condvar::new() }
    }

    // ----- reading -----

    /// What is in a parcel of the scheduler. Each of its long values is released when its last copy is dropped.
    ///
    /// # Errors
    /// When it names what is in no slab.
    pub fn open(&self, parcel: Parcel) -> Result<Contents, TransportError> {
        open(parcel, |reference| self.borrow(reference))
    }

    /// What was released since this was asked last; to be told to the scheduler.
    pub fn released(&self) -> Vec<Reference> {
        std::mem::take(&mut lock(&self.released))
    }

    /// Whether there is something to tell.
    pub fn has_released(&self) -> bool {
        !lock(&self.released).is_empty()
    }

    /// These slabs are gone; nothing of them is read or written any more.
    pub fn forget(&self, slabs: &[SlabId]) {
        let mut known = lock(&self.slabs);
        for slab in slabs {
            known.remove(slab);
        }
    }

    fn borrow(&self, reference: Reference) -> Result<Bytes, TransportError> {
        let part = self.view(reference.slab).zip(reference.range());
        let part = part.and_then(|(view, (offset, length))| view.part(offset, length));
        let part = part.ok_or_else(|| TransportError::Garbage(format!("{reference:?} is in no slab")))?;
        Ok(Bytes::from_owner(Loan { part, reference, released: self.released.clone() }))
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

    /// Writes a result down, its long values into slabs. `ask` asks the scheduler for room for so many bytes.
    ///
    /// The data must not be dropped before the message with the parcel is on its way: it may name what the data holds.
    ///
    /// # Errors
    /// When a value can't be encoded.
    pub fn pack(&self, data: &Data, ask: impl FnMut(u64)) -> Result<Parcel, CodecError> {
        let mut writing = Writing { worker: self, ask, written: Vec::new() };
        let packed = pack(data, &mut writing);
        if packed.is_err() {
            lock(&self.released).extend(writing.written);
        }
        packed
    }

    /// Room for so many bytes that somebody else is to write, the interpreter that works for this worker; `None` if there is
    /// none. `ask` asks the scheduler. What was written there can be in a result, and is released if it never is.
    pub fn room(&self, length: usize, mut ask: impl FnMut(u64)) -> Option<OwnRoom> {
        let reference = self.room_for(length, &mut ask)?;
        let view = self.view(reference.slab).zip(reference.range());
        let found = view.and_then(|(view, (offset, length))| Some((view.part(offset, length)?, view, offset)));
        let Some((part, view, offset)) = found else {
            lock(&self.released).push(reference);
            return None;
        };
        let place = Place::new(view.file().clone(), offset);
        Some(OwnRoom::of_worker(place, length, self.written.add(reference, part)))
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
    pub fn answer(&self, granted: Option<Reference>) {
        let mut room = lock(&self.room);
        room.asked = false;
        let granted = granted.filter(|granted| granted.range().is_some());
        let unused = std::mem::replace(&mut room.granted, granted);
        lock(&self.released).extend(unused);
        self.answered.notify_all();
    }

    /// The channel has ended: there will be no answer.
    pub fn close(&self) {
        lock(&self.room).closed = true;
        self.answered.notify_all();
    }

    /// Room for so many bytes; `None` if there is none.
    fn room_for(&self, length: usize, ask: &mut impl FnMut(u64)) -> Option<Reference> {
        let size = whole_pages(length)?;
        let mut asked_for_this = false;
        let mut room = lock(&self.room);
        let found = loop {
            if let Some(found) = room.carve(length, size) {
                break found;
            }
            if room.closed || (asked_for_this && !room.asked) {
                return None;
            }
            if !room.asked {
                lock(&self.released).extend(room.granted.take());
                room = self.ask(room, size, ask);
                asked_for_this = true;
            }
            let wait = |room: &mut Room| room.asked && !room.closed;
            room = self.answered.wait_while(room, wait).unwrap_or_else(PoisonError::into_inner);
        };
        let next_fits = room.granted.is_some_and(|left| left.length >= size as u64);
        if wanted(size) > size && !next_fits && !room.asked {
            drop(self.ask(room, size, ask));
        }
        Some(found)
    }

    /// Asks for room for results like this one, without the lock.
    fn ask<'a>(
        &'a self,
        mut room: MutexGuard<'a, Room>,
        size: usize,
        ask: &mut impl FnMut(u64),
    ) -> MutexGuard<'a, Room> {
        room.asked = true;
        drop(room);
        ask(wanted(size) as u64);
        lock(&self.room)
    }
}

/// How much room to ask for when a result takes so much: more for small ones, so that few of them wait.
fn wanted(size: usize) -> usize {
    size.max(size.saturating_mul(RESULTS_AHEAD).min(SHARED_MOST))
}

impl Room {
    /// Takes a piece off the front, for so many bytes.
    fn carve(&mut self, length: usize, size: usize) -> Option<Reference> {
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

/// Writes the values of one parcel.
struct Writing<'a, F> {
    worker: &'a WorkerSide,
    ask: F,
    written: Vec<Reference>,
}

impl<F: FnMut(u64)> Shelf for Writing<'_, F> {
    fn find(&mut self, bytes: &Bytes) -> Option<Reference> {
        let reference = self.worker.locate(bytes)?.0;
        match self.worker.written.name(reference) {
            Named::NotWritten => {}
            Named::Now => self.written.push(reference),
            Named::Not => return None,
        }
        Some(reference)
    }

    fn put(&mut self, length: usize, write: WriteTo<'_>) -> Result<Option<(Reference, Option<Bytes>)>, CodecError> {
        let Some(reference) = self.worker.room_for(length, &mut self.ask) else { return Ok(None) };
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

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        self.part.as_ref()
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        lock(&self.released).push(self.reference);
    }
}
