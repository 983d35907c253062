//! [`PackedData`]: encoded data in a message, its long values in slabs.

use std::io;

use bytes::Bytes;
use pushflow_model::{Apart, CodecError, Data, Form, Payload, decode_joined, encode_apart};
use serde::{Deserialize, Serialize};

use super::reference::Reference;

/// The most bytes of one encoded value that travel in the message. The same limit holds for the rest of the encoded
/// data, without the longer values.
pub const MAX_INLINE_BYTES: usize = 16 * 1024;

/// Data that was received and is still encoded.
#[derive(Debug, Default)]
pub struct EncodedData {
    rest: Bytes,
    apart: Vec<Apart>,
}

impl EncodedData {
    /// Decodes the data, which shares the memory of the encoded data.
    ///
    /// # Errors
    /// When the bytes are not encoded data.
    pub fn into_data(self) -> Result<Data, CodecError> {
        decode_joined(&self.rest, self.apart)
    }
}

/// Encoded data in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedData {
    pub(super) body: Body,
    /// The entries with values that are apart, in the order of the entries.
    pub(super) apart: Vec<ApartValue>,
}

/// The parts of one entry that are apart from the encoded data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ApartValue {
    pub(super) index: u32,
    /// The encoded value, or its outline, if the entry in the encoded data is empty.
    pub(super) encoded: Option<Reference>,
    pub(super) long: Vec<LongBytes>,
}

/// Long bytes inside a value, apart from its outline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum LongBytes {
    InSlab(Reference),
    Inline(Bytes),
}

/// Encoded data without the values that are apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Body {
    Inline(Bytes),
    InSlab(Reference),
}

impl PackedData {
    /// Encoded data that is wholly in the message.
    pub fn inline(encoded: Bytes) -> PackedData {
        PackedData { body: Body::Inline(encoded), apart: Vec::new() }
    }
}

/// Writes exactly the bytes for which a [`SlabWriter`] has reserved memory.
pub(super) type WriteTo<'a> = &'a mut dyn FnMut(&mut dyn io::Write) -> Result<(), CodecError>;

/// Puts long values into slabs, for one side.
pub(super) trait SlabWriter {
    /// A reference to these bytes, if they lie in a slab that the other side has, too.
    fn find(&mut self, bytes: &Bytes) -> Option<Reference>;
    /// Has so many bytes written into a slab. Returns a reference to them, and the bytes there if this side keeps them;
    /// `None` if there is no memory.
    fn put(&mut self, length: usize, write: WriteTo<'_>) -> Result<Option<(Reference, Option<Bytes>)>, CodecError>;
}

/// Encodes data, its long values into slabs as far as there is memory.
pub(super) fn pack(data: &Data, slabs: &mut impl SlabWriter) -> Result<PackedData, CodecError> {
    let mut apart = Vec::new();
    let rest = encode_apart(data, |index, value| {
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

/// Puts the parts of one value into slabs.
struct ValueWriter<'a, S> {
    slabs: &'a mut S,
    /// The long bytes in their slabs, if this side keeps all of them.
    kept: Option<Vec<Bytes>>,
}

impl<S: SlabWriter> ValueWriter<'_, S> {
    /// Writes long bytes inside the value.
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

    /// Writes the outline of the value, the value without its long bytes, where the outline is long itself.
    fn outline(&mut self, value: &Payload, length: usize) -> Result<Option<(Reference, Option<Bytes>)>, CodecError> {
        match value.encoded_form().and_then(|encoded| self.slabs.find(encoded)) {
            Some(reference) => Ok(Some((reference, None))),
            None => self.slabs.put(length, &mut |into| value.write_outline(into)),
        }
    }

    /// Has the value keep the parts in the slabs, for the next attempt that gets this value.
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
    into.write_all(bytes).expect("the writer has reserved as much memory");
    Ok(())
}

/// Opens packed data; `read` reads a reference.
pub(super) fn open<E>(
    packed: PackedData,
    mut read: impl FnMut(Reference) -> Result<Bytes, E>,
) -> Result<EncodedData, E> {
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
