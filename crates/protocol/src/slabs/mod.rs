//! Long values between the scheduler and its workers: written once into memory that both have mapped, and named in the
//! message.
//!
//! # The way of a value
//! A message holds a [`Parcel`]: the encoded data without its long values, and for each of these a [`Reference`] into a
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

mod borrower;
mod lender;
mod store;

use bytes::Bytes;
use pushflow_os::slab::page_size;
use pushflow_value::{CodecError, Data, Payload};
use serde::{Deserialize, Serialize};

pub use borrower::{Borrower, Contents};
pub use lender::Lender;
pub use store::SlabStore;

/// The most bytes of an encoded value, and of all that is left without the longer ones, that travel in the message.
pub const INLINE_MOST: usize = 16 * 1024;

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
pub struct Parcel {
    rest: Rest,
    /// By the place of their entry.
    apart: Vec<(u32, Reference)>,
}

/// Encoded data without the values that are apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Rest {
    Inline(Bytes),
    InSlab(Reference),
}

impl Parcel {
    /// Encoded data that is all in the message.
    pub fn inline(encoded: Bytes) -> Parcel {
        Parcel { rest: Rest::Inline(encoded), apart: Vec::new() }
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

/// Where long values go.
trait Shelf {
    /// A reference to these bytes, if they lie in a slab of the other side already.
    fn find(&mut self, encoded: &Bytes) -> Option<Reference>;
    /// Writes a value of so many bytes into a slab: where it is; `None` if there is no room.
    fn put(&mut self, value: &Payload, length: usize) -> Result<Option<Reference>, CodecError>;
}

/// Writes data down, its long values on the shelf where that has room.
fn pack(data: &Data, shelf: &mut impl Shelf) -> Result<Parcel, CodecError> {
    let mut apart = Vec::new();
    let rest = data.encode_apart(|index, value| {
        let length = value.encoded_len()?;
        if length <= INLINE_MOST {
            return Ok(false);
        }
        let found = value.encoded_form().and_then(|encoded| shelf.find(encoded));
        let reference = match found {
            Some(reference) => Some(reference),
            None => shelf.put(value, length)?,
        };
        match (reference, u32::try_from(index)) {
            (Some(reference), Ok(index)) => apart.push((index, reference)),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if rest.len() > INLINE_MOST {
        let rest = Payload::from_encoded(rest);
        if let Some(reference) = shelf.put(&rest, rest.encoded_len()?)? {
            return Ok(Parcel { rest: Rest::InSlab(reference), apart });
        }
        return Ok(Parcel { rest: Rest::Inline(rest.encoded()?.clone()), apart });
    }
    Ok(Parcel { rest: Rest::Inline(rest), apart })
}

#[cfg(test)]
mod tests;
