//! The wire form of [`Data`]: its length, and per entry the key, the length of the encoded value, and the encoded
//! value.
//!
//! An encoded value can be left out (its length is 0, which no encoded value has) or be an outline. The bytes that are
//! left out are *apart*: the sender transfers them in another way, and the receiver joins them with the rest.

use bytes::Bytes;
use indexmap::IndexMap;

use super::{Data, Key, Payload};
use crate::CodecError;
use crate::codec::{Reader, Writer};

/// The tag of a key that is a name.
const NAME: u8 = 0;
/// The tag of a key that is a position.
const POSITION: u8 = 1;
/// How many bytes an entry takes at least: the key's tag, the key, and the length of the value.
const LEAST_ENTRY: usize = 3;

/// How much of a value the wire form of data contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// The encoded value.
    Whole,
    /// The outline of the value; the long bytes are apart.
    Outline,
    /// Nothing; the encoded value, or its outline and long bytes, are apart.
    Apart,
}

/// The bytes of one entry that the wire form of data leaves out. The receiver builds it.
#[derive(Debug)]
pub struct Apart {
    /// The place of the entry, counted from 0.
    pub index: usize,
    /// The encoded value or its outline, if the entry is empty ([`Form::Apart`]); otherwise `None`.
    pub encoded: Option<Bytes>,
    /// The long bytes that the outline leaves out, in their order; empty if the value is whole.
    pub bytes: Vec<Bytes>,
}

impl Data {
    /// The wire form with all values whole. It contains the length of each value, so that reading it copies no value.
    ///
    /// Values in encoded form are copied. Each value may nest [`MAX_DEPTH`](crate::MAX_DEPTH) levels.
    ///
    /// # Errors
    /// When a value nests too deep to be encoded.
    pub fn encode(&self) -> Result<Bytes, CodecError> {
        encode_apart(self, |_, _| Ok(Form::Whole))
    }

    /// Reads the wire form; the entries share the memory of `bytes` and stay encoded.
    ///
    /// The values are not checked: a malformed value is reported when it is read.
    ///
    /// # Errors
    /// When the bytes are not what [`Data::encode`] writes.
    pub fn decode(bytes: &Bytes) -> Result<Data, CodecError> {
        decode_joined(bytes, Vec::new())
    }
}

/// The wire form without the bytes that are to be transferred in another way.
///
/// For each entry, `form` is given its place and its payload, and returns how much of the value is written.
/// [`decode_joined`] puts the bytes that are left out back in their places.
///
/// # Errors
/// When a value nests too deep to be encoded, and the errors of `form`.
///
/// ```
/// use pushflow_model::{Apart, Data, Form, decode_joined, encode_apart};
///
/// let data = Data::new().with("short", 1).with("long", "x".repeat(1000));
/// let mut long = Vec::new();
/// let rest = encode_apart(&data, |index, payload| {
///     if payload.outline()?.length <= 100 {
///         return Ok(Form::Whole);
///     }
///     long.push(Apart { index, encoded: Some(payload.encoded()?.clone()), bytes: Vec::new() });
///     Ok(Form::Apart)
/// })?;
/// assert!(rest.len() < 100);
/// let joined = decode_joined(&rest, long)?;
/// assert_eq!(joined.value("long")?, data.value("long")?);
/// # Ok::<(), pushflow_model::CodecError>(())
/// ```
pub fn encode_apart(
    data: &Data,
    form: impl FnMut(usize, &Payload) -> Result<Form, CodecError>,
) -> Result<Bytes, CodecError> {
    let mut writer = Writer::default();
    write(&mut writer, data, form)?;
    Ok(writer.finish())
}

/// Reads the wire form `rest` and joins it with the bytes that it leaves out, which come in the order of the
/// entries.
///
/// # Errors
/// When the bytes are not what [`encode_apart`] writes, or an element of `apart` fits no entry.
pub fn decode_joined(rest: &Bytes, apart: Vec<Apart>) -> Result<Data, CodecError> {
    let mut reader = Reader::new(rest);
    let data = read(&mut reader, rest, apart)?;
    reader.finish()?;
    Ok(data)
}

/// Reads the entries without decoding them. Each value is a part of `bytes` or comes from `apart`.
fn read(reader: &mut Reader<'_>, bytes: &Bytes, apart: Vec<Apart>) -> Result<Data, CodecError> {
    let mut apart = apart.into_iter().peekable();
    let count = reader.count(LEAST_ENTRY)?;
    let mut entries = IndexMap::with_capacity(count);
    for index in 0..count {
        reader.begin_item(LEAST_ENTRY);
        let key = match reader.get::<u8>()? {
            NAME => Key::from(reader.get::<&str>()?),
            POSITION => Key::Position(reader.get()?),
            unknown => return Err(reader.unknown_tag(unknown)),
        };
        let here = reader.get::<&[u8]>()?;
        let payload = match apart.next_if(|next| next.index == index && next.encoded.is_some() == here.is_empty()) {
            Some(Apart { encoded, bytes: apart, .. }) => {
                Payload::from_outline(encoded.unwrap_or_else(|| bytes.slice_ref(here)), apart)
            }
            None => Payload::from_encoded(bytes.slice_ref(here)),
        };
        reader.insert(&mut entries, key, payload)?;
    }
    match apart.next() {
        Some(Apart { index, .. }) => Err(reader.malformed(format!("what is apart does not fit entry {index}"))),
        None => Ok(Data::from(entries)),
    }
}

/// Writes all entries, each value as `form` returns for it, and encodes the values that are not encoded yet.
fn write(
    writer: &mut Writer,
    data: &Data,
    mut form: impl FnMut(usize, &Payload) -> Result<Form, CodecError>,
) -> Result<(), CodecError> {
    writer.put(data.len());
    for (index, (key, payload)) in data.iter().enumerate() {
        match key {
            Key::Name(name) => writer.put((NAME, &**name)),
            Key::Position(position) => writer.put((POSITION, position)),
        }
        match form(index, payload)? {
            Form::Apart => writer.put(&[][..] as &[u8]),
            Form::Whole => writer.put(payload.encoded()?.as_ref()),
            Form::Outline => {
                let mut outline = Vec::new();
                payload.write_outline(&mut outline)?;
                writer.put(outline.as_slice());
            }
        }
    }
    Ok(())
}
