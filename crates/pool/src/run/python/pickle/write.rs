//! Writes plain values as a pickle of protocol 4.

use pushflow_value::{MAX_DEPTH, Value};

use super::op;

/// The value nests deeper than [`MAX_DEPTH`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::run::python) struct TooDeep;

/// A pickle that is being written behind whatever its buffer holds already.
pub(in crate::run::python) struct PickleWriter(Vec<u8>);

impl PickleWriter {
    /// Starts a pickle at the end of `buffer`.
    pub(in crate::run::python) fn new(mut buffer: Vec<u8>) -> Self {
        buffer.extend([op::PROTO, 4]);
        PickleWriter(buffer)
    }

    /// Ends the pickle; gives the buffer back.
    pub(in crate::run::python) fn finish(mut self) -> Vec<u8> {
        self.0.push(op::STOP);
        self.0
    }

    /// Starts a tuple, whose elements follow.
    pub(in crate::run::python) fn begin_tuple(&mut self) {
        self.0.push(op::MARK);
    }

    /// Ends a tuple.
    pub(in crate::run::python) fn end_tuple(&mut self) {
        self.0.push(op::TUPLE);
    }

    /// Starts a dict, whose keys and values follow in turns.
    pub(in crate::run::python) fn begin_dict(&mut self) {
        self.0.extend([op::EMPTY_DICT, op::MARK]);
    }

    /// Ends a dict.
    pub(in crate::run::python) fn end_dict(&mut self) {
        self.0.push(op::SETITEMS);
    }

    /// Writes `None`.
    pub(in crate::run::python) fn none(&mut self) {
        self.0.push(op::NONE);
    }

    /// Writes a `bool`.
    pub(in crate::run::python) fn boolean(&mut self, value: bool) {
        self.0.push(if value { op::NEWTRUE } else { op::NEWFALSE });
    }

    /// Writes a `str`.
    pub(in crate::run::python) fn text(&mut self, text: &str) {
        self.sized([op::SHORT_BINUNICODE, op::BINUNICODE, op::BINUNICODE8], text.as_bytes());
    }

    /// Writes any value.
    ///
    /// # Errors
    /// When it nests too deep; what was written so far is then no pickle.
    pub(in crate::run::python) fn value(&mut self, value: &Value) -> Result<(), TooDeep> {
        self.value_within(value, MAX_DEPTH)
    }

    fn value_within(&mut self, value: &Value, depth: usize) -> Result<(), TooDeep> {
        match value {
            Value::Null => self.none(),
            Value::Bool(flag) => self.boolean(*flag),
            Value::Int(number) => self.integer(*number),
            Value::Float(number) => {
                self.0.push(op::BINFLOAT);
                self.0.extend(number.to_be_bytes());
            }
            Value::Str(text) => self.text(text),
            Value::Bytes(bytes) => self.sized([op::SHORT_BINBYTES, op::BINBYTES, op::BINBYTES8], bytes),
            Value::List(list) => {
                let depth = depth.checked_sub(1).ok_or(TooDeep)?;
                self.0.extend([op::EMPTY_LIST, op::MARK]);
                list.iter().try_for_each(|value| self.value_within(value, depth))?;
                self.0.push(op::APPENDS);
            }
            Value::Map(map) => {
                let depth = depth.checked_sub(1).ok_or(TooDeep)?;
                self.begin_dict();
                for (name, value) in map.iter() {
                    self.text(name);
                    self.value_within(value, depth)?;
                }
                self.end_dict();
            }
        }
        Ok(())
    }

    fn integer(&mut self, number: i64) {
        if let Ok(small) = u8::try_from(number) {
            self.0.extend([op::BININT1, small]);
        } else if let Ok(number) = i32::try_from(number) {
            self.0.push(op::BININT);
            self.0.extend(number.to_le_bytes());
        } else {
            self.0.extend([op::LONG1, 8]);
            self.0.extend(number.to_le_bytes());
        }
    }

    /// Writes bytes behind their length, by the operation for lengths of 1, 4 or 8 bytes.
    fn sized(&mut self, [op1, op4, op8]: [u8; 3], bytes: &[u8]) {
        if let Ok(length) = u8::try_from(bytes.len()) {
            self.0.extend([op1, length]);
        } else if let Ok(length) = u32::try_from(bytes.len()) {
            self.0.push(op4);
            self.0.extend(length.to_le_bytes());
        } else {
            self.0.push(op8);
            self.0.extend((bytes.len() as u64).to_le_bytes());
        }
        self.0.extend_from_slice(bytes);
    }
}
