//! [`Writer`]: writes the wire form.

use std::io::{self, Write};

use bytes::Bytes;

use super::error::CodecError;
use super::format::{APART_ABOVE, FORMAT, tag};
use crate::{Opaque, Value};

/// Writes values to `W`, which must not fail.
#[derive(Default)]
pub struct Writer<W = Vec<u8>> {
    into: W,
    /// The long bytes so far; `None` if the wire form is to contain them.
    apart: Option<Vec<Bytes>>,
}

/// Counts the bytes written, and drops them.
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
        Bytes::from(self.into)
    }
}

impl Writer<Count> {
    /// The number of bytes written, and the long bytes that were left out.
    pub fn count(self) -> (usize, Vec<Bytes>) {
        (self.into.0, self.apart.unwrap_or_default())
    }
}

impl<W: Write> Writer<W> {
    /// Writes to `into`.
    pub fn new(into: W) -> Self {
        Writer { into, apart: None }
    }

    /// Leaves out long bytes.
    pub fn with_apart(self) -> Self {
        Writer { apart: Some(Vec::new()), ..self }
    }

    /// Writes one value that may have `levels` levels.
    pub fn value(&mut self, value: &Value, levels: usize) -> Result<(), CodecError> {
        match value {
            Value::Null => self.put(tag::NULL),
            Value::Bool(flag) => self.put((tag::BOOL, flag)),
            Value::Int(number) => self.put((tag::INT, number)),
            Value::Float(number) => self.put((tag::FLOAT, number)),
            Value::Str(text) => self.put((tag::STR, text.as_str())),
            Value::Bytes(bytes) => match self.set_apart(bytes) {
                Some(number) => self.put((tag::BYTES_APART, number)),
                None => self.put((tag::BYTES, bytes.as_ref())),
            },
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
            Value::Opaque(opaque) => self.opaque(opaque, levels)?,
        }
        Ok(())
    }

    fn opaque(&mut self, opaque: &Opaque, levels: usize) -> Result<(), CodecError> {
        let Opaque { codec, type_name, text, content, buffers, .. } = opaque;
        let texts = (codec.as_str(), type_name.as_str(), text.as_str());
        if buffers.is_empty() && (self.apart.is_none() || content.len() <= APART_ABOVE) {
            self.put((tag::OPAQUE, texts, content.as_ref()));
        } else {
            self.put((tag::OPAQUE_IN_PARTS, texts));
            self.part(content);
            self.put(buffers.len());
            buffers.iter().for_each(|buffer| self.part(buffer));
        }
        self.put(opaque.view().is_some());
        opaque.view().map_or(Ok(()), |view| self.value(view, levels))
    }

    /// Writes whether these bytes are apart, then their number or the bytes.
    fn part(&mut self, bytes: &Bytes) {
        match self.set_apart(bytes) {
            Some(number) => self.put((true, number)),
            None => self.put((false, bytes.as_ref())),
        }
    }

    /// Leaves these bytes out, if they are long, and returns their number; `None` if they have to be written.
    fn set_apart(&mut self, bytes: &Bytes) -> Option<usize> {
        let apart = self.apart.as_mut().filter(|_| bytes.len() > APART_ABOVE)?;
        apart.push(bytes.clone());
        Some(apart.len() - 1)
    }

    pub fn put(&mut self, item: impl bincode::Encode) {
        bincode::encode_into_std_write(item, &mut self.into, FORMAT)
            .expect("numbers, texts and bytes can be encoded, and the writer takes all of them");
    }
}
