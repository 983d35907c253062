//! Restores the values that JSON can't hold. `ewokscore` saves them with the serializer that the file names under
//! `__ewoks_serialize__` (schema 1.2).
//!
//! Without a serializer, and with `json`, values are as JSON has them. The serializer `json_pickle` writes each value
//! that JSON can't hold as an object with the key `__ewoks__`: tuples and sets with their elements, bytes, and all
//! other values as a pickle. A pickle reaches the Python tasks as it is. The serializer `hdf5_pickle` pickles the nodes
//! themselves, so that only `ewokscore` can read the file.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pushflow_model::{Map, Opaque, PICKLE_CODEC, PYTHON_CODEC, Value};

use super::error::LoadResult;
use super::fields::Fields;
use super::location::Location;

/// The attribute of a document that names the serializer.
pub(super) const KEY: &str = "__ewoks_serialize__";
/// The only version of the serializers.
const VERSION: &str = "1.0.0";
/// The key of an object that stands for a value.
const TAG: &str = "__ewoks__";

/// The document, with the values that it had before `ewokscore` saved it.
pub(super) fn restored<'a>(document: &'a Value, location: &Location) -> LoadResult<Cow<'a, Value>> {
    let unchanged = Ok(Cow::Borrowed(document));
    let Value::Map(map) = document else { return unchanged };
    let top = Fields::of_map(map, location.clone());
    if top.get(KEY).is_none() {
        return unchanged;
    }
    let info = top.object(KEY)?;
    match info.text("serializer_version")? {
        None | Some(VERSION) => {}
        Some(other) => {
            return Err(info.invalid(format!("{KEY:?} has the version {other:?}, and this program reads {VERSION:?}")));
        }
    }
    match info.text("serializer")? {
        None | Some("json") => unchanged,
        Some("json_pickle") => value(document).map(Cow::Owned).map_err(|reason| info.invalid(reason)),
        Some(other) => {
            let message = format!(
                "the graph was saved with the serializer {other:?}, which only ewokscore reads; save it without one, or \
                 with \"json_pickle\""
            );
            Err(info.invalid(message))
        }
    }
}

/// Restores a value. The recursion is no deeper than values may nest in a document.
fn value(saved: &Value) -> Result<Value, String> {
    match saved {
        Value::List(list) => elements(list),
        Value::Map(map) => match map.get(TAG) {
            Some(tag) => tagged(tag, map),
            None => {
                let entries = map.iter().map(|(name, saved)| Ok((name.clone(), value(saved)?)));
                Ok(Value::Map(entries.collect::<Result<_, String>>()?))
            }
        },
        plain => Ok(plain.clone()),
    }
}

fn elements(saved: &[Value]) -> Result<Value, String> {
    Ok(saved.iter().map(value).collect::<Result<Vec<_>, _>>()?.into())
}

fn tagged(tag: &Value, map: &Map) -> Result<Value, String> {
    let data = || {
        let text = map.get("data").and_then(Value::as_str);
        let decoded = text.and_then(|text| STANDARD.decode(text).ok());
        decoded.ok_or_else(|| format!("a value saved as {TAG:?} has no \"data\" that is base64"))
    };
    match (tag.as_str(), map.get("items")) {
        (Some(name @ ("tuple" | "set")), Some(Value::List(list))) => {
            Ok(Opaque::new(PYTHON_CODEC, name).with_view(elements(list)?).into())
        }
        (Some("bytes"), _) => Ok(Value::Bytes(data()?.into())),
        // Only Python knows the type of a pickled object.
        (Some("pickle"), _) => {
            Ok(Opaque::new(PICKLE_CODEC, "object").with_text("<a pickled object>").with_content(data()?).into())
        }
        _ => Err(format!("a value saved as {TAG:?} is no tuple, set, bytes or pickle")),
    }
}
