//! Long values between the scheduler and its workers: written once into memory that both have mapped, and named in the
//! message.
//!
//! # The way of a value
//! A message holds a [`PackedData`]: the encoded data without its long values, and for each of these a [`Reference`] into a
//! slab. The slabs belong to the scheduler ([`SlabStore`]), which hands each to a worker once, over its control socket,
//! before the first message that names it.
//!
//! - *Inputs.* The scheduler writes a value into a region of a slab, or finds that it lies in one already, since another
//!   worker's result is handed on as it is. The region is *lent* to the worker: it stays until the worker says that it
//!   released it, which it does when the last copy of the value there is dropped. Releases travel with the worker's
//!   next message; before it waits for work it tells those that are left. A task that keeps a value beyond its attempt
//!   keeps that region, and nothing else.
//! - *Results.* The worker asks for *room*, is granted a region, writes results there one after another, and names what it
//!   wrote; from then on that part is the scheduler's, which frees it when the last copy of the value is dropped. The
//!   worker asks ahead while its results are small, so that it need not wait for the answer. What it does not use it
//!   releases. A value that the worker was lent itself it names where it lies.
//!
//! A value's long bytes (see [`APART_ABOVE`](pushflow_value::APART_ABOVE)) are references of their own, which the value
//! names: so a value that holds an array or two travels without anybody touching these.
//!
//! A Python interpreter writes long bytes where its worker was granted [`Grant`], and reads where they lie ([`GrantSource`]).
//!
//! When a worker is gone, nothing is lent or granted to it any more.
//!
//! # When there is no slab
//! No memory, no file descriptor, a worker that is stopped and whose control socket is full: then the value travels
//! in the message itself, in frames, which is slower and always possible. Nobody waits for a slab but a worker for the
//! answer to its question, and that wait ends with its channel too.
//!
//! # What is not believed
//! A worker may name only what was granted or lent to it, and a reference to anything else is its loss, as any other
//! garbage is. A worker leaves when a reference is not in a slab that it was handed.

mod grant;
mod scheduler_side;
mod store;
mod worker_side;
mod written;

use std::io;

use bytes::Bytes;
use pushflow_os::slab::page_size;
use pushflow_value::{Apart, CodecError, Data, Form, Payload};
use serde::{Deserialize, Serialize};

pub use grant::{Grant, GrantSource, Place};
pub use scheduler_side::SchedulerSide;
pub use store::SlabStore;
pub use worker_side::{EncodedData, WorkerSide};

/// The most bytes of an encoded value, and of all that is left without the longer ones, that travel in the message.
pub const MAX_INLINE_BYTES: usize = 16 * 1024;

/// Names a slab of one pool; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SlabId(u64);

/// A range of a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reference {
    slab: SlabId,
    offset: u64,
    length: u64,
}

/// What comes with the file of a slab over the control socket.
#[derive(Debug, Serialize, Deserialize)]
struct SlabFile {
    slab: SlabId,
}

/// Encoded data in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedData {
    body: Body,
    /// In the order of the entries.
    apart: Vec<ApartValue>,
}

/// What is apart of one entry of encoded data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ApartValue {
    index: u32,
    /// The encoded value, or its outline, if the entry is empty.
    encoded: Option<Reference>,
    long: Vec<LongBytes>,
}

/// Long bytes that are apart from the outline of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum LongBytes {
    InSlab(Reference),
    Inline(Bytes),
}

/// Encoded data without the values that are apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Body {
    Inline(Bytes),
    InSlab(Reference),
}

impl PackedData {
    /// Encoded data that is all in the message.
    pub fn inline(encoded: Bytes) -> PackedData {
        PackedData { body: Body::Inline(encoded), apart: Vec::new() }
    }
}

impl Reference {
    fn new(slab: SlabId, offset: usize, length: usize) -> Reference {
        Reference { slab, offset: offset as u64, length: length as u64 }
    }

    /// Offset and length, and where it ends; `None` if no memory has such numbers.
    fn range(self) -> Option<(usize, usize)> {
        let (offset, length) = (usize::try_from(self.offset).ok()?, usize::try_from(self.length).ok()?);
        offset.checked_add(whole_pages(length)?)?;
        Some((offset, length))
    }
}

/// As many bytes as the pages that hold so many; `None` if no memory has so many.
fn whole_pages(bytes: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(page_size())
}

/// Writes what a slabs has made room for.
type WriteTo<'a> = &'a mut dyn FnMut(&mut dyn io::Write) -> Result<(), CodecError>;

/// Where long values go.
trait SlabWriter {
    /// A reference to these bytes, if they lie in a slab of the other side already.
    fn find(&mut self, bytes: &Bytes) -> Option<Reference>;
    /// Has so many bytes written into a slab: where they are, and themselves, if this side keeps them; `None` if there is no
    /// room.
    fn put(&mut self, length: usize, write: WriteTo<'_>) -> Result<Option<(Reference, Option<Bytes>)>, CodecError>;
}

/// Writes data down, its long values on the slabs where that has room.
fn pack(data: &Data, slabs: &mut impl SlabWriter) -> Result<PackedData, CodecError> {
    let mut apart = Vec::new();
    let rest = data.encode_apart(|index, value| {
        let outline = value.outline()?;
        if outline.apart.is_empty() && outline.length <= MAX_INLINE_BYTES {
            return Ok(Form::Whole);
        }
        let mut writer = ValueWriter { slabs, kept: Some(Vec::new()) };
        let long = outline.apart.into_iter().map(|bytes| writer.long(bytes)).collect::<Result<Vec<_>, _>>()?;
        let encoded = if outline.length <= MAX_INLINE_BYTES { None } else { writer.outline(value, outline.length)? };
        writer.keep(value, encoded.as_ref())?;
        let form = match (&encoded, long.is_empty()) {
            (Some(_), _) => Form::Apart,
            (None, true) => return Ok(Form::Whole),
            (None, false) => Form::Outline,
        };
        let index = u32::try_from(index).expect("data has fewer entries than its message bytes");
        apart.push(ApartValue { index, encoded: encoded.map(|(reference, _)| reference), long });
        Ok(form)
    })?;
    if rest.len() > MAX_INLINE_BYTES
        && let Some((reference, _)) = slabs.put(rest.len(), &mut |mut into| write_all(&mut into, &rest))?
    {
        return Ok(PackedData { body: Body::InSlab(reference), apart });
    }
    Ok(PackedData { body: Body::Inline(rest), apart })
}

/// Puts one value on the slabs.
struct ValueWriter<'a, S> {
    slabs: &'a mut S,
    /// The long bytes where they lie now, if all of them were kept.
    kept: Option<Vec<Bytes>>,
}

impl<S: SlabWriter> ValueWriter<'_, S> {
    fn long(&mut self, bytes: Bytes) -> Result<LongBytes, CodecError> {
        if let Some(reference) = self.slabs.find(&bytes) {
            self.kept.iter_mut().for_each(|kept| kept.push(bytes.clone()));
            return Ok(LongBytes::InSlab(reference));
        }
        match self.slabs.put(bytes.len(), &mut |mut into| write_all(&mut into, &bytes))? {
            Some((reference, written)) => {
                self.kept = self.kept.take().zip(written).map(|(kept, written)| [kept, vec![written]].concat());
                Ok(LongBytes::InSlab(reference))
            }
            None => {
                self.kept = None;
                Ok(LongBytes::Inline(bytes))
            }
        }
    }

    /// The value without its long bytes, which is long itself.
    fn outline(&mut self, value: &Payload, length: usize) -> Result<Option<(Reference, Option<Bytes>)>, CodecError> {
        match value.encoded_form().and_then(|encoded| self.slabs.find(encoded)) {
            Some(reference) => Ok(Some((reference, None))),
            None => self.slabs.put(length, &mut |into| value.write_outline(into)),
        }
    }

    /// Has the value keep what was written, for the next attempt that gets it.
    fn keep(self, value: &Payload, encoded: Option<&(Reference, Option<Bytes>)>) -> Result<(), CodecError> {
        let Some(kept) = self.kept else { return Ok(()) };
        match encoded {
            Some((_, Some(outline))) => value.keep_outline(outline.clone(), kept),
            None if !kept.is_empty() => {
                let mut outline = Vec::new();
                value.write_outline(&mut outline)?;
                value.keep_outline(outline.into(), kept);
            }
            _ => {}
        }
        Ok(())
    }
}

fn write_all(into: &mut impl io::Write, bytes: &[u8]) -> Result<(), CodecError> {
    into.write_all(bytes).expect("a slabs takes as much as it has made room for");
    Ok(())
}

/// What is in a packed, given how to read a reference.
fn open<E>(packed: PackedData, mut read: impl FnMut(Reference) -> Result<Bytes, E>) -> Result<EncodedData, E> {
    let rest = match packed.body {
        Body::Inline(rest) => rest,
        Body::InSlab(reference) => read(reference)?,
    };
    let mut apart = Vec::with_capacity(packed.apart.len());
    for ApartValue { index, encoded, long } in packed.apart {
        let long = long.into_iter().map(|long| match long {
            LongBytes::InSlab(reference) => read(reference),
            LongBytes::Inline(bytes) => Ok(bytes),
        });
        let bytes = long.collect::<Result<_, E>>()?;
        apart.push(Apart { index: index as usize, encoded: encoded.map(&mut read).transpose()?, bytes });
    }
    Ok(EncodedData { rest, apart })
}

#[cfg(test)]
mod tests;
