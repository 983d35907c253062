//! Writing the wire form.

use bytes::Bytes;

use super::{CodecError, FORMAT, tag};
use crate::{Data, Key, Opaque, Value};

/// Wire form in the making.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// The bytes written.
    pub fn finish(self) -> Bytes {
        Bytes::from(self.0)
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
            Value::Opaque(opaque) => self.opaque(opaque, levels)?,
        }
        Ok(())
    }

    fn opaque(&mut self, opaque: &Opaque, levels: usize) -> Result<(), CodecError> {
        let Opaque { codec, type_name, text, content, .. } = opaque;
        self.put((tag::OPAQUE, codec.as_str(), type_name.as_str(), text.as_str()));
        self.put((content.as_ref(), opaque.view().is_some()));
        opaque.view().map_or(Ok(()), |view| self.value(view, levels))
    }

    /// Writes all entries; their values are encoded if they aren't yet.
    pub fn data(&mut self, data: &Data) -> Result<(), CodecError> {
        self.put(data.len());
        for (key, payload) in data {
            match key {
                Key::Name(name) => self.put((tag::NAME, &**name)),
                Key::Position(position) => self.put((tag::POSITION, position)),
            }
            self.put(payload.encoded()?.as_ref());
        }
        Ok(())
    }

    fn put(&mut self, item: impl bincode::Encode) {
        bincode::encode_into_std_write(item, &mut self.0, FORMAT)
            .expect("numbers, texts and bytes always fit in memory");
    }
}
