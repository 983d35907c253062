//! [`Reader`]: reads the wire form, and reports whatever is wrong with it.

use bincode::BorrowDecode;
use bincode::error::DecodeError;
use bytes::Bytes;
use indexmap::IndexMap;
use indexmap::map::Entry;

use super::error::CodecError;
use super::format::{FORMAT, tag};
use crate::{List, Map, Opaque, Value};

/// The least number of bytes of an element of a list: its tag.
const LEAST_ELEMENT: usize = 1;
/// The least number of bytes of an entry of a map: the length of its name, and the tag of its value.
const LEAST_ENTRY: usize = 2;
/// The least number of bytes of a part of an opaque value: whether it is apart, and its length or number.
const LEAST_PART: usize = 2;

/// The rest of the bytes, and the checks on the lengths in them.
///
/// The reader accepts the length of a container only if the rest of the input can hold the elements. `owed` is the
/// least number of bytes of all elements that the open containers have announced and that were not read yet, over all
/// levels together. A container is accepted only if `owed`, with its own elements, fits in the rest. So the size of the
/// input bounds the memory that is reserved for announced elements.
pub struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
    owed: usize,
    apart: &'a [Bytes],
    /// Whether the value that was skipped last has bytes that are apart.
    saw_apart: bool,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes, total: bytes.len(), owed: 0, apart: &[], saw_apart: false }
    }

    /// Reads outlines that leave out the bytes of this list.
    pub fn with_apart(self, apart: &'a [Bytes]) -> Self {
        Reader { apart, ..self }
    }

    /// Checks that nothing is left.
    pub fn finish(self) -> Result<(), CodecError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(self.malformed(format!("{left} bytes follow after its end"))),
        }
    }

    /// Reads a value that may have `levels` levels.
    pub fn value(&mut self, levels: usize) -> Result<Value, CodecError> {
        match self.get::<u8>()? {
            tag::LIST => self.list(below(levels)?).map(Value::List),
            tag::MAP => self.map(below(levels)?).map(Value::Map),
            opaque @ (tag::OPAQUE | tag::OPAQUE_IN_PARTS) => self.opaque(opaque, levels),
            leaf => self.leaf(leaf),
        }
    }

    /// Reads the content of a value that is no container.
    ///
    /// This is a function of its own because its local variables would otherwise take stack in each level of recursion.
    fn leaf(&mut self, tag: u8) -> Result<Value, CodecError> {
        Ok(match tag {
            tag::NULL => Value::Null,
            tag::BOOL => Value::Bool(self.get()?),
            tag::INT => Value::Int(self.get()?),
            tag::FLOAT => Value::Float(self.get()?),
            tag::STR => Value::Str(self.get::<&str>()?.to_owned()),
            tag::BYTES => Value::from(Bytes::copy_from_slice(self.get()?)),
            tag::BYTES_APART => Value::from(self.bytes_apart()?.clone()),
            unknown => return Err(self.unknown_tag(unknown)),
        })
    }

    fn opaque(&mut self, tag: u8, levels: usize) -> Result<Value, CodecError> {
        let mut opaque = Box::new(self.opaque_without_view(tag == tag::OPAQUE_IN_PARTS)?);
        if self.has_view()? {
            opaque.set_view(self.value(levels)?);
        }
        Ok(Value::Opaque(opaque))
    }

    fn opaque_without_view(&mut self, in_parts: bool) -> Result<Opaque, CodecError> {
        let (codec, type_name, text) = (self.get::<&str>()?, self.get::<&str>()?, self.get::<&str>()?);
        let mut opaque = Opaque::new(codec, type_name).with_text(text);
        if in_parts {
            opaque.content = self.part()?;
            let count = self.count(LEAST_PART)?;
            opaque.buffers.reserve_exact(count);
            for _ in 0..count {
                self.begin_item(LEAST_PART);
                opaque.buffers.push(self.part()?);
            }
        } else {
            opaque.content = Bytes::copy_from_slice(self.get()?);
        }
        Ok(opaque)
    }

    /// Reads bytes that may be apart.
    fn part(&mut self) -> Result<Bytes, CodecError> {
        match self.get::<bool>()? {
            true => self.bytes_apart().cloned(),
            false => Ok(Bytes::copy_from_slice(self.get()?)),
        }
    }

    fn bytes_apart(&mut self) -> Result<&'a Bytes, CodecError> {
        self.saw_apart = true;
        let number = self.get::<u64>()?;
        let bytes = usize::try_from(number).ok().and_then(|number| self.apart.get(number));
        bytes.ok_or_else(|| self.malformed(format!("nothing is apart as number {number}")))
    }

    /// Reads whether a view follows. An opaque view is refused, because views of views could overflow the stack.
    fn has_view(&mut self) -> Result<bool, CodecError> {
        let has_view = self.get::<bool>()?;
        match self.rest.first() {
            Some(&(tag::OPAQUE | tag::OPAQUE_IN_PARTS)) if has_view => Err(self.malformed("a view is opaque")),
            _ => Ok(has_view),
        }
    }

    fn list(&mut self, levels: usize) -> Result<List, CodecError> {
        let count = self.count(LEAST_ELEMENT)?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            self.begin_item(LEAST_ELEMENT);
            elements.push(self.value(levels)?);
        }
        Ok(List::from(elements))
    }

    fn map(&mut self, levels: usize) -> Result<Map, CodecError> {
        let count = self.count(LEAST_ENTRY)?;
        let mut entries = IndexMap::with_capacity(count);
        for _ in 0..count {
            let name = self.entry_name()?.to_owned();
            let value = self.value(levels)?;
            self.insert(&mut entries, name, value)?;
        }
        Ok(Map::from(entries))
    }

    /// Begins to read a map and returns the number of its entries; `None` if the value is no map.
    pub fn map_length(&mut self) -> Result<Option<usize>, CodecError> {
        match self.get::<u8>()? {
            tag::MAP => self.count(LEAST_ENTRY).map(Some),
            tag::NULL..=tag::LIST | tag::OPAQUE..=tag::BYTES_APART => Ok(None),
            unknown => Err(self.unknown_tag(unknown)),
        }
    }

    /// Begins to read the next entry of a map and returns its name.
    pub fn entry_name(&mut self) -> Result<&'a str, CodecError> {
        self.begin_item(LEAST_ENTRY);
        self.get()
    }

    /// Skips a value that may have `levels` levels. Returns its wire form, and whether some of its bytes are apart.
    pub fn skip_value(&mut self, levels: usize) -> Result<(&'a [u8], bool), CodecError> {
        let value = self.rest;
        self.saw_apart = false;
        self.skip(levels)?;
        Ok((&value[..value.len() - self.rest.len()], self.saw_apart))
    }

    /// Skips a value that may have `levels` levels, without checking that its texts are UTF-8.
    fn skip(&mut self, levels: usize) -> Result<(), CodecError> {
        match self.get::<u8>()? {
            tag::NULL => {}
            tag::BOOL => self.get::<bool>().map(drop)?,
            tag::INT => self.get::<i64>().map(drop)?,
            tag::FLOAT => self.get::<f64>().map(drop)?,
            tag::STR | tag::BYTES => self.get::<&[u8]>().map(drop)?,
            tag::LIST => {
                let below = below(levels)?;
                for _ in 0..self.count(LEAST_ELEMENT)? {
                    self.begin_item(LEAST_ELEMENT);
                    self.skip(below)?;
                }
            }
            tag::MAP => {
                let below = below(levels)?;
                for _ in 0..self.count(LEAST_ENTRY)? {
                    self.begin_item(LEAST_ENTRY);
                    self.get::<&[u8]>()?;
                    self.skip(below)?;
                }
            }
            tag::BYTES_APART => self.bytes_apart().map(drop)?,
            opaque @ (tag::OPAQUE | tag::OPAQUE_IN_PARTS) => {
                for _ in 0..3 {
                    self.get::<&[u8]>()?;
                }
                if opaque == tag::OPAQUE {
                    self.get::<&[u8]>()?;
                } else {
                    self.skip_part()?;
                    for _ in 0..self.count(LEAST_PART)? {
                        self.begin_item(LEAST_PART);
                        self.skip_part()?;
                    }
                }
                if self.has_view()? {
                    self.skip(levels)?;
                }
            }
            unknown => return Err(self.unknown_tag(unknown)),
        }
        Ok(())
    }

    fn skip_part(&mut self) -> Result<(), CodecError> {
        match self.get::<bool>()? {
            true => self.bytes_apart().map(drop),
            false => self.get::<&[u8]>().map(drop),
        }
    }

    /// Reads how many items follow. Each of them takes at least `least` bytes and starts with [`Reader::begin_item`].
    pub fn count(&mut self, least: usize) -> Result<usize, CodecError> {
        let count = self.get::<u64>()?;
        let count = usize::try_from(count).ok();
        let owed = count.and_then(|count| count.checked_mul(least)).and_then(|bytes| bytes.checked_add(self.owed));
        match (count, owed) {
            (Some(count), Some(owed)) if owed <= self.rest.len() => {
                self.owed = owed;
                Ok(count)
            }
            _ => Err(self.malformed("it ends too early")),
        }
    }

    /// Begins to read one of the items that [`Reader::count`] announced.
    pub fn begin_item(&mut self, least: usize) {
        self.owed -= least;
    }

    pub fn get<T: BorrowDecode<'a, ()>>(&mut self) -> Result<T, CodecError> {
        match bincode::borrow_decode_from_slice(self.rest, FORMAT) {
            Ok((item, used)) => {
                self.rest = &self.rest[used..];
                Ok(item)
            }
            Err(DecodeError::UnexpectedEnd { .. }) => Err(self.malformed("it ends too early")),
            Err(DecodeError::Utf8 { .. }) => Err(self.malformed("a text is not UTF-8")),
            Err(DecodeError::InvalidBooleanValue(found)) => Err(self.malformed(format!("{found} is no boolean"))),
            Err(_) => Err(self.malformed("a number is out of range")),
        }
    }

    pub fn insert<K: std::hash::Hash + Eq + std::fmt::Display, V>(
        &self,
        entries: &mut IndexMap<K, V>,
        key: K,
        value: V,
    ) -> Result<(), CodecError> {
        match entries.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(value);
                Ok(())
            }
            Entry::Occupied(entry) => Err(self.malformed(format!("the key {:?} comes twice", entry.key().to_string()))),
        }
    }

    pub fn unknown_tag(&self, tag: u8) -> CodecError {
        self.malformed(format!("{tag} is no tag"))
    }

    pub fn malformed(&self, what: impl std::fmt::Display) -> CodecError {
        CodecError::Malformed(format!("{what}, at byte {} of {}", self.total - self.rest.len(), self.total))
    }
}

fn below(levels: usize) -> Result<usize, CodecError> {
    levels.checked_sub(1).ok_or(CodecError::TooDeep)
}
