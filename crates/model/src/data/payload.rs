//! [`Payload`]: which form is made from which.

use std::fmt;
use std::io::Write;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use indexmap::IndexMap;

use super::{Data, Fields, Forms, Key, Outlined, Payload};
use crate::codec::{self, CodecError, MAX_DEPTH, Reader};
use crate::{Map, Value};

/// The size of an encoded value without its long bytes, and the long bytes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outline {
    /// The length of the outline in bytes.
    pub length: usize,
    /// The long bytes, which the outline does not contain.
    pub apart: Vec<Bytes>,
}

impl Payload {
    /// A value in its encoded form. The bytes are not checked before a caller asks for another form.
    pub fn from_encoded(encoded: Bytes) -> Self {
        Payload(Arc::new(Forms { encoded: OnceLock::from(encoded), ..Forms::default() }))
    }

    /// A value as its outline and the long bytes that the outline leaves out, in their order.
    pub fn from_outline(outline: Bytes, apart: Vec<Bytes>) -> Self {
        if apart.is_empty() {
            return Payload::from_encoded(outline);
        }
        Payload(Arc::new(Forms { outlined: OnceLock::from(Outlined { outline, apart }), ..Forms::default() }))
    }

    /// A map whose values keep their forms.
    ///
    /// Positions become decimal names when the map is decoded or encoded.
    pub fn from_fields(fields: Data) -> Self {
        Payload(Arc::new(Forms { fields: OnceLock::from(Fields(fields)), ..Forms::default() }))
    }

    /// The decoded value.
    ///
    /// # Errors
    /// When the bytes are no encoded value, or the value nests too deep. For fields also when a position and a name
    /// become the same key.
    pub fn value(&self) -> Result<&Value, CodecError> {
        self.value_within(MAX_DEPTH)
    }

    /// The decoded value; fields inside fields may have at most `levels` levels.
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

    /// The encoded value, if this payload has that form already.
    pub fn encoded_form(&self) -> Option<&Bytes> {
        self.0.encoded.get()
    }

    /// The length of the value's outline, and its long bytes; the value is not encoded for this.
    ///
    /// A payload in encoded form has no long bytes apart: its outline is the whole encoded value.
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

    /// Writes the outline, without the long bytes that [`Payload::outline`] returns, to `into`. The payload does not
    /// keep this form.
    ///
    /// # Errors
    /// When the value nests too deep to be encoded.
    ///
    /// # Panics
    /// When `into` fails.
    pub fn write_outline(&self, mut into: impl Write) -> Result<(), CodecError> {
        let ready = self.0.outlined.get().map(|outlined| &outlined.outline).or_else(|| self.encoded_form());
        if let Some(ready) = ready {
            into.write_all(ready).expect("the writer takes all of it");
            return Ok(());
        }
        codec::write_outline(self.value()?, into)
    }

    /// Keeps an outline that [`Payload::write_outline`] wrote, and copies of the long bytes, as a form of this value.
    /// Does nothing if the payload has that form already.
    pub fn keep_outline(&self, outline: Bytes, apart: Vec<Bytes>) {
        if apart.is_empty() {
            self.0.encoded.get_or_init(|| outline);
        } else {
            self.0.outlined.get_or_init(|| Outlined { outline, apart });
        }
    }

    /// The entries of a map as data; `None` if the value is no map.
    ///
    /// The values of an encoded map stay encoded. Reading one of them decodes only that one, so a malformed value may
    /// be reported only when it is read.
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
            // The view of an opaque value may be a map.
            (None, Some((encoded, _))) if codec::is_opaque(encoded) => unfold(self.value()?)?,
            (None, Some((encoded, apart))) => split_map(encoded, apart)?,
            (None, None) => unreachable!("a payload has at least one form"),
        };
        Ok(fields.map(|fields| &self.0.fields.get_or_init(|| Fields(fields)).0))
    }
}

/// Makes one map, of at most `levels` levels, from its entries.
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

/// Makes the entries from a map; `None` if the value is no map.
fn unfold(value: &Value) -> Result<Option<Data>, CodecError> {
    let Value::Map(map) = value.plain() else { return Ok(None) };
    if !value.fits(MAX_DEPTH) {
        return Err(CodecError::TooDeep);
    }
    Ok(Some(map.iter().map(|(name, value)| (name.as_str(), Payload::from(value.clone()))).collect()))
}

/// Splits the outline of a map into its entries; `None` if the value is no map. An entry stays encoded and shares the
/// memory of `bytes`, unless some of its bytes are apart: then it is decoded.
fn split_map(bytes: &Bytes, apart: &[Bytes]) -> Result<Option<Data>, CodecError> {
    let mut reader = Reader::new(bytes).with_apart(apart);
    let Some(count) = reader.map_length()? else { return Ok(None) };
    let below = MAX_DEPTH - 1;
    let mut entries = IndexMap::with_capacity(count);
    for _ in 0..count {
        let name = reader.entry_name()?;
        let (encoded, has_apart) = reader.skip_value(below)?;
        let payload = match has_apart {
            // The outline of this entry counts its long bytes in the list of the whole map, so it can be read only
            // here.
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

/// The form and size only, so that no payload gets into a log (`docs/parity.md` P139).
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
