//! [`Payload`]: one value in the form it arrived in.

use std::fmt;
use std::io::Write;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use indexmap::IndexMap;

use super::{Data, Fields, Forms, Key, Outlined, Payload};
use crate::codec::{self, CodecError, MAX_DEPTH, Reader};
use crate::{Map, Value};

/// How an encoded value may be taken apart.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outline {
    /// How many bytes it has without what is apart.
    pub length: usize,
    /// The long bytes in it, which can travel on a way of their own.
    pub apart: Vec<Bytes>,
}

impl Payload {
    /// A value in its encoded form, which is not looked at before somebody asks for it.
    pub fn from_encoded(encoded: Bytes) -> Self {
        Payload(Arc::new(Forms { encoded: OnceLock::from(encoded), ..Forms::default() }))
    }

    /// A value in its encoded form without its long bytes, and these.
    pub fn from_outline(outline: Bytes, apart: Vec<Bytes>) -> Self {
        if apart.is_empty() {
            return Payload::from_encoded(outline);
        }
        Payload(Arc::new(Forms { outlined: OnceLock::from(Outlined { outline, apart }), ..Forms::default() }))
    }

    /// A map whose values stay in the form they are in.
    ///
    /// Positions become decimal names when the map is looked at as a value.
    pub fn from_fields(fields: Data) -> Self {
        Payload(Arc::new(Forms { fields: OnceLock::from(Fields(fields)), ..Forms::default() }))
    }

    /// The decoded value.
    ///
    /// # Errors
    /// When the bytes are no encoded value, or nest too deep; for fields also when a position and a name become the same
    /// key.
    pub fn value(&self) -> Result<&Value, CodecError> {
        self.value_within(MAX_DEPTH)
    }

    /// The decoded value, made from at most `levels` levels of fields.
    fn value_within(&self, levels: usize) -> Result<&Value, CodecError> {
        if let Some(value) = self.0.value.get() {
            return Ok(value);
        }
        let value = match (self.0.outlined.get(), self.0.encoded.get(), self.0.fields.get()) {
            (Some(Outlined { outline, apart }), ..) => codec::decode_outline(outline, apart)?,
            (None, Some(encoded), _) => codec::decode(encoded)?,
            (None, None, Some(fields)) => fold(&fields.0, levels)?,
            (None, None, None) => unreachable!("a payload has at least one form"),
        };
        Ok(self.0.value.get_or_init(|| value))
    }

    /// The encoded value.
    ///
    /// # Errors
    /// When the value nests too deep to be encoded.
    pub fn encoded(&self) -> Result<&Bytes, CodecError> {
        if let Some(encoded) = self.0.encoded.get() {
            return Ok(encoded);
        }
        let encoded = codec::encode(self.value()?)?;
        Ok(self.0.encoded.get_or_init(|| encoded))
    }

    /// The encoded value, if that form was made or arrived.
    pub fn encoded_form(&self) -> Option<&Bytes> {
        self.0.encoded.get()
    }

    /// How long the encoded value is without its long bytes, and these; nothing is encoded for it. Of one that is encoded
    /// already, nothing is apart.
    ///
    /// # Errors
    /// When the value nests too deep to be encoded.
    pub fn outline(&self) -> Result<Outline, CodecError> {
        if let Some(Outlined { outline, apart }) = self.0.outlined.get() {
            return Ok(Outline { length: outline.len(), apart: apart.clone() });
        }
        let (length, apart) = match self.encoded_form() {
            Some(encoded) => (encoded.len(), Vec::new()),
            None => codec::outline(self.value()?)?,
        };
        Ok(Outline { length, apart })
    }

    /// Writes the encoded value without its long bytes, which [`Payload::outline`] names, to where it is needed; that form
    /// is not kept.
    ///
    /// # Errors
    /// When the value nests too deep to be encoded.
    ///
    /// # Panics
    /// When `into` does not take all of it.
    pub fn write_outline(&self, mut into: impl Write) -> Result<(), CodecError> {
        let ready = self.0.outlined.get().map(|outlined| &outlined.outline).or_else(|| self.encoded_form());
        if let Some(ready) = ready {
            into.write_all(ready).expect("the writer takes all of it");
            return Ok(());
        }
        codec::write_outline(self.value()?, into)
    }

    /// Keeps what [`Payload::write_outline`] wrote, and copies of what is apart from it, as a form of this value, unless it
    /// has that form.
    pub fn keep_outline(&self, outline: Bytes, apart: Vec<Bytes>) {
        if apart.is_empty() {
            self.0.encoded.get_or_init(|| outline);
        } else {
            self.0.outlined.get_or_init(|| Outlined { outline, apart });
        }
    }

    /// The entries of a map as data of their own; `None` if this is no map.
    ///
    /// The values of an encoded map stay encoded: looking at one of them decodes that one only, and what is wrong with one
    /// may show only then.
    ///
    /// # Errors
    /// When the bytes are no encoded map, or the value nests too deep.
    pub fn fields(&self) -> Result<Option<&Data>, CodecError> {
        if let Some(fields) = self.0.fields.get() {
            return Ok(Some(&fields.0));
        }
        let outlined = self.0.outlined.get().map(|Outlined { outline, apart }| (outline, apart.as_slice()));
        let encoded = outlined.or_else(|| self.0.encoded.get().map(|encoded| (encoded, &[][..])));
        let fields = match (self.0.value.get(), encoded) {
            (Some(value), _) => unfold(value)?,
            // Its view may be a map.
            (None, Some((encoded, _))) if codec::is_opaque(encoded) => unfold(self.value()?)?,
            (None, Some((encoded, apart))) => split_map(encoded, apart)?,
            (None, None) => unreachable!("a payload has at least one form"),
        };
        Ok(fields.map(|fields| &self.0.fields.get_or_init(|| Fields(fields)).0))
    }
}

/// The entries as one map, which may have `levels` levels.
fn fold(fields: &Data, levels: usize) -> Result<Value, CodecError> {
    let below = levels.checked_sub(1).ok_or(CodecError::TooDeep)?;
    fields.check_names()?;
    let mut entries = IndexMap::with_capacity(fields.len());
    for (key, payload) in fields {
        let value = payload.value_within(below)?;
        if !value.fits(below) {
            return Err(CodecError::TooDeep);
        }
        entries.insert(key.to_string(), value.clone());
    }
    Ok(Value::Map(Map::from(entries)))
}

/// The entries of a map; `None` if this is no map.
fn unfold(value: &Value) -> Result<Option<Data>, CodecError> {
    let Value::Map(map) = value.plain() else { return Ok(None) };
    if !value.fits(MAX_DEPTH) {
        return Err(CodecError::TooDeep);
    }
    Ok(Some(map.iter().map(|(name, value)| (name.as_str(), Payload::from(value.clone()))).collect()))
}

/// The entries of the outline of a map; `None` if this is no map. They are still encoded and in the memory of `bytes`, but
/// for those of which something is apart.
fn split_map(bytes: &Bytes, apart: &[Bytes]) -> Result<Option<Data>, CodecError> {
    let mut reader = Reader::new(bytes).with_apart(apart);
    let Some(count) = reader.map_length()? else { return Ok(None) };
    let below = MAX_DEPTH - 1;
    let mut entries = IndexMap::with_capacity(count);
    for _ in 0..count {
        let name = reader.entry_name()?;
        let (encoded, has_apart) = reader.skip_value(below)?;
        let payload = match has_apart {
            // Its numbers are those of the whole list.
            true => Payload::from(Reader::new(encoded).with_apart(apart).value(below)?),
            false => Payload::from_encoded(bytes.slice_ref(encoded)),
        };
        reader.insert(&mut entries, Key::from(name), payload)?;
    }
    reader.finish()?;
    Ok(Some(Data::from(entries)))
}

impl Drop for Fields {
    fn drop(&mut self) {
        let mut pending: Vec<Data> = Vec::new();
        if self.0.iter().any(|(_, payload)| payload.0.fields.get().is_some()) {
            pending.push(std::mem::take(&mut self.0));
        }
        while let Some(data) = pending.pop() {
            let entries = data.into_unshared().into_iter().flatten();
            let forms = entries.filter_map(|(_, payload)| Arc::into_inner(payload.0));
            pending.extend(
                forms.filter_map(|mut forms| forms.fields.take()).map(|mut fields| std::mem::take(&mut fields.0)),
            );
        }
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Payload(Arc::new(Forms { value: OnceLock::from(value), ..Forms::default() }))
    }
}

/// The form and size only: a payload is never formatted into a log (`parity.md` P139).
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forms = &self.0;
        if let Some(Outlined { outline, apart }) = forms.outlined.get() {
            let length = outline.len() + apart.iter().map(Bytes::len).sum::<usize>();
            return write!(f, "<{length} bytes encoded>");
        }
        match (forms.encoded.get(), forms.value.get(), forms.fields.get()) {
            (Some(encoded), ..) => write!(f, "<{} bytes encoded>", encoded.len()),
            (None, Some(value), _) => write!(f, "<{}>", value.type_name()),
            (None, None, Some(fields)) => write!(f, "<a map of {}>", fields.0.len()),
            (None, None, None) => unreachable!("a payload has at least one form"),
        }
    }
}
