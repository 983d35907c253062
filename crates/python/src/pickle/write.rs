//! [`PickleWriter`]: writes values as a pickle of protocol 4.

use bytes::Bytes;
use pushflow_model::{ERROR_CODEC, MAX_DEPTH, Opaque, PICKLE_CODEC as PICKLE, PYTHON_CODEC as PYTHON, Value};

use super::{EXCEPTION, PICKLE_IN_PARTS, PICKLE_WITH_FILE, op};
use crate::buffers::OUT_OF_BAND_FROM;

/// Why a value can't be written for Python.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unwritable {
    /// The value nests deeper than [`MAX_DEPTH`].
    #[error("nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A part of the value is opaque, and has a codec that Python can't read.
    #[error("holds an opaque value (type {type_name}, codec {codec:?}) that no Python task can read")]
    Unknown {
        /// The codec of that part.
        codec: String,
        /// The type of that part.
        type_name: String,
    },
}

impl Unwritable {
    pub(super) fn unknown(opaque: &Opaque) -> Self {
        Unwritable::Unknown { codec: opaque.codec.clone(), type_name: opaque.type_name.clone() }
    }
}

/// Writes a pickle at the end of a buffer.
pub(crate) struct PickleWriter {
    out: Vec<u8>,
    /// The name of the input that is being written. The interpreter's side names it where an object can't be unpickled.
    place: String,
    has_objects: bool,
    /// The out-of-band buffers, if the pickle may have any.
    out_of_band: Option<Vec<Bytes>>,
}

impl PickleWriter {
    /// Starts a pickle at the end of `buffer`.
    pub(crate) fn new(mut buffer: Vec<u8>) -> Self {
        buffer.extend([op::PROTO, 4]);
        PickleWriter { out: buffer, place: String::new(), has_objects: false, out_of_band: None }
    }

    /// Lets the pickle refer to long buffers by their numbers from here on.
    pub(crate) fn allow_out_of_band(&mut self) {
        self.out_of_band = Some(Vec::new());
    }

    /// Takes the buffers to which the pickle refers.
    pub(crate) fn take_out_of_band(&mut self) -> Vec<Bytes> {
        self.out_of_band.take().unwrap_or_default()
    }

    /// Begins the input of this name.
    pub(crate) fn begin_input(&mut self, name: impl ToString) {
        self.place = name.to_string();
    }

    /// Whether the pickle has persistent ids, which the interpreter's side must resolve.
    pub(crate) fn has_objects(&self) -> bool {
        self.has_objects
    }

    /// Ends the pickle, and returns the buffer.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.out.push(op::STOP);
        self.out
    }

    /// Starts a tuple, whose elements follow.
    pub(crate) fn begin_tuple(&mut self) {
        self.out.push(op::MARK);
    }

    /// Ends a tuple.
    pub(crate) fn end_tuple(&mut self) {
        self.out.push(op::TUPLE);
    }

    /// Starts a dict, whose keys and values follow in turns.
    pub(crate) fn begin_dict(&mut self) {
        self.out.extend([op::EMPTY_DICT, op::MARK]);
    }

    /// Ends a dict.
    pub(crate) fn end_dict(&mut self) {
        self.out.push(op::SETITEMS);
    }

    /// Writes `None`.
    pub(crate) fn none(&mut self) {
        self.out.push(op::NONE);
    }

    /// Writes a `bool`.
    pub(crate) fn boolean(&mut self, value: bool) {
        self.out.push(if value { op::NEWTRUE } else { op::NEWFALSE });
    }

    /// Writes a `str`.
    pub(crate) fn text(&mut self, text: &str) {
        self.raw_text(text.as_bytes());
    }

    /// Writes bytes.
    pub(super) fn bytes(&mut self, bytes: &Bytes) {
        match self.move_out_of_band(bytes) {
            Some(number) => {
                self.integer(number);
                self.named();
            }
            None => self.bytes_here(bytes),
        }
    }

    /// Writes a `bytearray`.
    pub(super) fn bytearray(&mut self, bytes: &Bytes) {
        match self.move_out_of_band(bytes) {
            Some(number) => {
                self.integer(number);
                self.out.push(op::TUPLE1);
                self.named();
            }
            None => self.call_builtin("bytearray", |pickle| pickle.bytes_here(bytes)),
        }
    }

    fn bytes_here(&mut self, bytes: &[u8]) {
        self.sized([op::SHORT_BINBYTES, op::BINBYTES, op::BINBYTES8], bytes);
    }

    /// Moves long bytes to the out-of-band buffers and returns their number; `None` if they stay in the pickle.
    fn move_out_of_band(&mut self, bytes: &Bytes) -> Option<i64> {
        let out_of_band = self.out_of_band.as_mut().filter(|_| bytes.len() >= OUT_OF_BAND_FROM)?;
        out_of_band.push(bytes.clone());
        i64::try_from(out_of_band.len() - 1).ok()
    }

    /// Makes the object that was written last a persistent id.
    fn named(&mut self) {
        self.has_objects = true;
        self.out.push(op::BINPERSID);
    }

    /// Writes any value.
    ///
    /// # Errors
    /// When the value nests too deep, or has a part that Python can't read. The buffer then holds no complete pickle.
    pub(crate) fn value(&mut self, value: &Value) -> Result<(), Unwritable> {
        self.value_within(value, MAX_DEPTH)
    }

    pub(super) fn value_within(&mut self, value: &Value, depth: usize) -> Result<(), Unwritable> {
        match value {
            Value::Null => self.none(),
            Value::Bool(flag) => self.boolean(*flag),
            Value::Int(number) => self.integer(*number),
            Value::Float(number) => {
                self.out.push(op::BINFLOAT);
                self.out.extend(number.to_be_bytes());
            }
            Value::Str(text) => self.text(text),
            Value::Bytes(bytes) => self.bytes(bytes),
            Value::List(list) => self.around(list, depth, &[op::EMPTY_LIST, op::MARK], op::APPENDS)?,
            Value::Map(map) => {
                let depth = depth.checked_sub(1).ok_or(Unwritable::TooDeep)?;
                self.begin_dict();
                for (name, value) in map.iter() {
                    self.text(name);
                    self.value_within(value, depth)?;
                }
                self.end_dict();
            }
            Value::Opaque(opaque) => self.opaque(opaque, depth)?,
        }
        Ok(())
    }

    /// Writes the elements of a container between the operations that make it one.
    pub(super) fn around(
        &mut self,
        elements: &[Value],
        depth: usize,
        before: &[u8],
        after: u8,
    ) -> Result<(), Unwritable> {
        let depth = depth.checked_sub(1).ok_or(Unwritable::TooDeep)?;
        self.out.extend(before);
        elements.iter().try_for_each(|value| self.value_within(value, depth))?;
        self.out.push(after);
        Ok(())
    }

    /// Writes the list of a dict's keys.
    pub(super) fn keys(&mut self, keys: &[Value]) -> Result<(), Unwritable> {
        self.around(keys, MAX_DEPTH, &[op::EMPTY_LIST, op::MARK], op::APPENDS)
    }

    fn opaque(&mut self, opaque: &Opaque, depth: usize) -> Result<(), Unwritable> {
        match opaque.codec.as_str() {
            PYTHON => self.python(opaque, depth),
            PICKLE | PICKLE_WITH_FILE | PICKLE_IN_PARTS | EXCEPTION => {
                self.object(opaque);
                Ok(())
            }
            ERROR_CODEC => {
                self.call_builtin("RuntimeError", |pickle| pickle.text(&opaque.text));
                Ok(())
            }
            _ => Err(Unwritable::unknown(opaque)),
        }
    }

    /// Writes an object as a persistent id: the input that holds it, its codec, its type, its content, and its buffers or
    /// their numbers.
    fn object(&mut self, opaque: &Opaque) {
        self.begin_tuple();
        let place = std::mem::take(&mut self.place);
        for text in [&place, &opaque.codec, &opaque.type_name] {
            self.text(text);
        }
        self.place = place;
        self.bytes(&opaque.content);
        for buffer in &opaque.buffers {
            match self.move_out_of_band(buffer) {
                Some(number) => self.integer(number),
                None => self.bytes_here(buffer),
            }
        }
        self.end_tuple();
        self.named();
    }

    /// Writes one of Python's built-in types.
    pub(super) fn with_builtin(mut self, name: &str) -> Self {
        self.builtin(name);
        self
    }

    fn builtin(&mut self, name: &str) {
        self.text("builtins");
        self.text(name);
        self.out.push(op::STACK_GLOBAL);
    }

    /// Writes the call of one of Python's built-in types with one argument.
    pub(super) fn call_builtin(&mut self, name: &str, argument: impl FnOnce(&mut Self)) {
        self.builtin(name);
        argument(self);
        self.out.extend([op::TUPLE1, op::REDUCE]);
    }

    /// Writes an integer of any length, from its digits in base 256.
    pub(super) fn digits(&mut self, digits: &[u8]) {
        if let Ok(length) = u8::try_from(digits.len()) {
            self.out.extend([op::LONG1, length]);
        } else {
            self.out.push(op::LONG4);
            let length = u32::try_from(digits.len()).expect("an integer of 2 GiB was refused");
            self.out.extend(length.to_le_bytes());
        }
        self.out.extend_from_slice(digits);
    }

    /// Writes a text that may have lone surrogates, encoded as characters.
    pub(super) fn raw_text(&mut self, bytes: &[u8]) {
        self.sized([op::SHORT_BINUNICODE, op::BINUNICODE, op::BINUNICODE8], bytes);
    }

    fn integer(&mut self, number: i64) {
        if let Ok(small) = u8::try_from(number) {
            self.out.extend([op::BININT1, small]);
        } else if let Ok(number) = i32::try_from(number) {
            self.out.push(op::BININT);
            self.out.extend(number.to_le_bytes());
        } else {
            self.out.extend([op::LONG1, 8]);
            self.out.extend(number.to_le_bytes());
        }
    }

    /// Writes bytes behind their length, by the operation for lengths of 1, 4 or 8 bytes.
    fn sized(&mut self, [op1, op4, op8]: [u8; 3], bytes: &[u8]) {
        if let Ok(length) = u8::try_from(bytes.len()) {
            self.out.extend([op1, length]);
        } else if let Ok(length) = u32::try_from(bytes.len()) {
            self.out.push(op4);
            self.out.extend(length.to_le_bytes());
        } else {
            self.out.push(op8);
            self.out.extend((bytes.len() as u64).to_le_bytes());
        }
        self.out.extend_from_slice(bytes);
    }
}
