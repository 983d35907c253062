//! What flows through a workflow: [`Value`], [`Data`] and their encodings.
//!
//! A [`Value`] is one plain thing (a number, a text, a list). [`Data`] is what one trigger carries: a map from names or
//! positions to [`Payload`]s. A payload is a value in whatever form it arrived (decoded, encoded, or a map of further
//! payloads); it changes form only when somebody looks, so that a value crosses the scheduler as the bytes its producer
//! wrote.

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
