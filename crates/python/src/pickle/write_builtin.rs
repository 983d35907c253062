//! Writes values of Python's built-in types that are not plain; see `builtin_types.rs` for their forms.

use pushflow_model::{List, Opaque, Value};

use super::op;
use super::value::Pickled;
use super::write::{PickleWriter, Unwritable};
use crate::buffers::OutOfBand;

impl PickleWriter {
    /// Writes a value of one of Python's built-in types.
    ///
    /// # Errors
    /// When the value nests too deep, or has no form that a built-in type has.
    pub(super) fn python(&mut self, opaque: &Opaque, depth: usize) -> Result<(), Unwritable> {
        match (opaque.type_name.as_str(), opaque.view()) {
            ("tuple", Some(Value::List(items))) => self.around(items, depth, &[op::MARK], op::TUPLE),
            ("set", Some(Value::List(items))) => self.around(items, depth, &[op::EMPTY_SET, op::MARK], op::ADDITEMS),
            ("frozenset", Some(Value::List(items))) => self.around(items, depth, &[op::MARK], op::FROZENSET),
            ("dict", Some(Value::Map(map))) => {
                let keys = keys_of(opaque, map.len()).ok_or_else(|| Unwritable::unknown(opaque))?;
                let depth = depth.checked_sub(1).ok_or(Unwritable::TooDeep)?;
                self.begin_dict();
                for (key, value) in keys.iter().zip(map.values()) {
                    self.value_within(key, depth)?;
                    self.value_within(value, depth)?;
                }
                self.end_dict();
                Ok(())
            }
            ("bytearray", Some(Value::Bytes(bytes))) => {
                self.bytearray(bytes);
                Ok(())
            }
            ("int", _) if i32::try_from(opaque.content.len()).is_ok() => {
                self.digits(&opaque.content);
                Ok(())
            }
            ("str", _) => {
                self.raw_text(&opaque.content);
                Ok(())
            }
            _ => Err(Unwritable::unknown(opaque)),
        }
    }
}

/// The keys of a dict; `None` if there are not as many as values.
fn keys_of(opaque: &Opaque, count: usize) -> Option<List> {
    match Pickled::read(&opaque.content, &OutOfBand::default()).ok()?.into_value().ok()? {
        Value::List(keys) if keys.len() == count => Some(keys),
        _ => None,
    }
}
