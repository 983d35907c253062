//! Writing the wire form.

use std::io::{self, Write};

use bytes::Bytes;

use super::{CodecError, FORMAT, tag};
use crate::{Data, Key, Payload, Value};

/// Wire form in the making; `W` must take all that it is given.
#[derive(Default)]
pub struct Writer<W = Vec<u8>>(W);

/// Counts what is written.
#[derive(Default)]
pub struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Writer {
    /// The bytes written.
    pub fn finish(self) -> Bytes {
        Bytes::from(self.0)
    }
}

impl Writer<Count> {
    /// How many bytes would have been written.
    pub fn count(self) -> usize {
        self.0.0
    }
}

impl<W: Write> Writer<W> {
    /// Writes to `into`.
    pub fn new(into: W) -> Self {
        Writer(into)
    }

    /// Writes one value that may have `levels` levels.
    pub fn value(&mut self, value: &Value, levels: usize) -> Result<(), CodecError> {
        match value {
            Value::Null => self.put(tag::NULL),
            Value::Bool(flag) => self.put((tag::BOOL, flag)),
            Value::Int(number) => self.put((tag::INT, number)),
            Value::Float(number) => self.put((tag::FLOAT, number)),
            Value::Str(text) => self.put((tag::STR, text.as_str())),
            Value::Bytes(bytes) => self.put((tag::BYTES, bytes.as_slice())),
            Value::List(list) => {
                let below = levels.checked_sub(1).ok_or(CodecError::TooDeep)?;
                self.put((tag::LIST, list.len()));
                list.iter().try_for_each(|element| self.value(element, below))?;
            }
            Value::Map(map) => {
                let below = levels.checked_sub(1).ok_or(CodecError::TooDeep)?;
                self.put((tag::MAP, map.len()));
                for (name, value) in map.iter() {
                    self.put(name.as_str());
                    self.value(value, below)?;
                }
            }
        }
        Ok(())
    }

    /// Writes all entries; their values are encoded if they aren't yet. Those that are to be `apart` are left empty,
    /// which no encoded value is.
    pub fn data(
        &mut self,
        data: &Data,
        mut apart: impl FnMut(usize, &Payload) -> Result<bool, CodecError>,
    ) -> Result<(), CodecError> {
        self.put(data.len());
        for (index, (key, payload)) in data.iter().enumerate() {
            match key {
                Key::Name(name) => self.put((tag::NAME, &**name)),
                Key::Position(position) => self.put((tag::POSITION, position)),
            }
            match apart(index, payload)? {
                true => self.put(&[][..] as &[u8]),
                false => self.put(payload.encoded()?.as_ref()),
            }
        }
        Ok(())
    }

    fn put(&mut self, item: impl bincode::Encode) {
        bincode::encode_into_std_write(item, &mut self.0, FORMAT)
            .expect("numbers, texts and bytes can be encoded, and the writer takes all of them");
    }
}
