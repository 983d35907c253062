//! The wire form of [`Data`].

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

/// The form in which a value is in the wire form of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// All of it.
    Whole,
    /// Its outline; the long bytes are apart.
    Outline,
    /// Nothing: all of it is apart.
    Apart,
}

/// What is apart of one entry.
#[derive(Debug)]
pub struct Apart {
    /// The place of the entry.
    pub index: usize,
    /// The encoded value, or its outline, if the entry is empty.
    pub encoded: Option<Bytes>,
    /// The bytes that are apart from the outline.
    pub bytes: Vec<Bytes>,
}

impl Data {
    /// The wire form: every entry's key and encoded value, each with its length, so that reading it copies no value.
    ///
    /// Values that are encoded already are copied as they are. Each value may nest [`MAX_DEPTH`] levels.
    ///
    /// # Errors
    /// When a value nests too deep to be encoded.
    pub fn encode(&self) -> Result<Bytes, CodecError> {
        self.encode_apart(|_, _| Ok(Form::Whole))
    }

    /// The wire form, each value in the form that `form` says, given the place of the entry and its value: one that is to
    /// travel on a way of its own is left empty, which no encoded value is, and of one whose long bytes are, the outline is
    /// written. [`Data::decode_joined`] puts them back.
    ///
    /// # Errors
    /// When a value nests too deep to be encoded, and those of `form`.
    ///
    /// ```
    /// use pushflow_value::{Apart, Data, Form};
    ///
    /// let data = Data::new().with("short", 1).with("long", "x".repeat(1000));
    /// let mut long = Vec::new();
    /// let rest = data.encode_apart(|index, payload| {
    ///     if payload.outline()?.length <= 100 {
    ///         return Ok(Form::Whole);
    ///     }
    ///     long.push(Apart { index, encoded: Some(payload.encoded()?.clone()), bytes: Vec::new() });
    ///     Ok(Form::Apart)
    /// })?;
    /// assert!(rest.len() < 100);
    /// let joined = Data::decode_joined(&rest, long)?;
    /// assert_eq!(joined.value("long")?, data.value("long")?);
    /// # Ok::<(), pushflow_value::CodecError>(())
    /// ```
    pub fn encode_apart(
        &self,
        form: impl FnMut(usize, &Payload) -> Result<Form, CodecError>,
    ) -> Result<Bytes, CodecError> {
        let mut writer = Writer::default();
        write(&mut writer, self, form)?;
        Ok(writer.finish())
    }

    /// Reads the wire form without what was left out, and that, in the order of the entries.
    ///
    /// # Errors
    /// When the bytes are not what [`Data::encode_apart`] writes, or what is apart does not fit them.
    pub fn decode_joined(rest: &Bytes, apart: Vec<Apart>) -> Result<Data, CodecError> {
        let mut reader = Reader::new(rest);
        let data = read(&mut reader, rest, apart)?;
        reader.finish()?;
        Ok(data)
    }

    /// Reads the wire form; the entries share the memory of `bytes` and stay encoded.
    ///
    /// The values are not looked at: what is wrong with one shows when it is asked for.
    ///
    /// # Errors
    /// When the bytes are not what [`Data::encode`] writes.
    pub fn decode(bytes: &Bytes) -> Result<Data, CodecError> {
        Data::decode_joined(bytes, Vec::new())
    }
}

/// Reads data, whose values are parts of `bytes` that are not looked at, or are one of those `apart`.
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

/// Writes all entries, each value in the `form` that is asked for; they are encoded if they aren't yet. What is apart
/// is left empty, which no encoded value is.
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
