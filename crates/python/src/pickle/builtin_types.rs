//! Converts Python's built-in types that are not plain to values.
//!
//! Their values have the codec [`PYTHON`]. Rust converts them itself, so that objects inside a tuple are values of their
//! own. `write_builtin.rs` writes them back from their views and contents.
//!
//! | type | view | content |
//! |---|---|---|
//! | `tuple`, `set`, `frozenset` | the list of the elements | |
//! | `dict` with keys other than texts | a map by the texts of the keys | the pickled list of the keys |
//! | `bytearray` | the bytes | |
//! | `int` of more than 64 bits | none | its digits in base 256, lowest first |
//! | `str` with lone surrogates | none | UTF-8 in which surrogates are encoded as characters |

use std::collections::HashSet;

use pushflow_model::{List, Opaque, PICKLE_CODEC as PICKLE, PYTHON_CODEC as PYTHON, Value};

use super::write::{PickleWriter, Unwritable};
use crate::python_text::python_text;

/// An integer of more bytes is not shown in full, since the time for that grows with the square of its length.
const LONGEST_SHOWN: usize = 128;

/// A value of one of Python's built-in types.
pub(super) fn python(type_name: &str) -> Opaque {
    Opaque::new(PYTHON, type_name)
}

/// The elements of a set, sorted if all are texts or all are integers. The order of a set of texts differs from process to
/// process.
pub(super) fn in_order(list: List) -> List {
    let mut elements = list.into_vec();
    if elements.iter().all(|element| matches!(element, Value::Str(_))) {
        elements.sort_by(|left, right| left.as_str().cmp(&right.as_str()));
    } else if elements.iter().all(|element| matches!(element, Value::Int(_))) {
        elements.sort_by_key(Value::as_int);
    }
    List::from(elements)
}

/// An integer of more than 64 bits, from its digits in base 256.
pub(super) fn large_int(digits: &[u8]) -> Opaque {
    let text = if digits.len() > LONGEST_SHOWN { format!("<int of {} bytes>", digits.len()) } else { decimal(digits) };
    python("int").with_text(text).with_content(digits.to_vec())
}

/// The decimal digits of a number in two's complement, lowest byte first.
fn decimal(digits: &[u8]) -> String {
    let is_negative = digits.last().is_some_and(|last| last & 0x80 != 0);
    let mut magnitude = digits.to_vec();
    if is_negative {
        let mut carry = true;
        for digit in &mut magnitude {
            let (sum, overflow) = (!*digit).overflowing_add(carry.into());
            (*digit, carry) = (sum, overflow);
        }
    }
    let mut decimals = Vec::new();
    while magnitude.iter().any(|digit| *digit != 0) {
        let mut remainder = 0_u32;
        for digit in magnitude.iter_mut().rev() {
            let number = remainder << 8 | u32::from(*digit);
            *digit = u8::try_from(number / 10).expect("a remainder is below 10, so the quotient is below 256");
            remainder = number % 10;
        }
        decimals.push(char::from_digit(remainder, 10).expect("a remainder is below 10"));
    }
    let sign = if is_negative { "-" } else { "" };
    sign.chars().chain(decimals.into_iter().rev()).collect()
}

/// A text with lone surrogates, which are encoded as characters.
pub(super) fn surrogate_str(bytes: &[u8]) -> Opaque {
    let text = format!("'{}'", shown(bytes));
    python("str").with_text(text).with_content(bytes.to_vec())
}

/// The text with each surrogate as an escape. A surrogate has three bytes that would be UTF-8 if it were a character.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // The first of the three bytes is a chunk of its own, and shows only that a surrogate begins here.
        if let [0xed] = chunk.invalid() {
            let at = chunk.invalid().as_ptr() as usize - bytes.as_ptr() as usize;
            if let [_, high, low, ..] = bytes[at..] {
                let half = 0xd000 | u32::from(high & 0x3f) << 6 | u32::from(low & 0x3f);
                text.push_str(&format!("\\u{half:04x}"));
            }
        }
    }
    text
}

/// A type that appears as the function of a call in a pickle, as a value.
pub(super) fn builtin_type(name: &str) -> Opaque {
    let pickle = PickleWriter::new(Vec::new()).with_builtin(name).finish();
    Opaque::new(PICKLE, "type").with_text(format!("<class '{name}'>")).with_content(pickle)
}

/// The name of a dict's key in the view: the text of the key, with a number if that name is taken.
pub(super) fn key_text(key: &Value, taken: &HashSet<String>) -> String {
    let text = python_text(key);
    let numbered = (2..).map(|number| format!("{text} ({number})"));
    let mut names = std::iter::once(text.clone()).chain(numbered);
    names.find(|name| !taken.contains(name)).expect("there is always another number")
}

/// The keys of a dict, pickled.
pub(super) fn key_list(keys: Vec<Value>) -> Result<Vec<u8>, Unwritable> {
    let mut pickle = PickleWriter::new(Vec::new());
    pickle.keys(&keys)?;
    Ok(pickle.finish())
}
