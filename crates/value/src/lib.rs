//! The data model of a workflow: [`Value`], [`Data`], and their encodings.
//!
//! A [`Value`] is a number, a text, a list, a map and so on. [`Data`] maps names and positions to [`Payload`]s: the
//! inputs of one task execution, or its outputs. A payload holds one value in the form in which it arrived: decoded,
//! encoded, or as a map of further payloads. It makes another form only when a caller asks for that form, so the
//! scheduler passes on the very bytes that the producer wrote.

mod codec;
mod convert;
mod data;
mod json;
mod value;

pub use codec::{APART_ABOVE, CodecError, MAX_DEPTH};
pub use convert::{ConvertError, from_value, to_value};
pub use data::{Apart, Data, Form, Key, Outline, Payload};
pub use json::{JsonError, parse_json};
pub use value::{Blob, List, Map, Opaque, Value};
