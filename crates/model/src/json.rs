//! JSON: parsing and writing, with exact floats, integers of 64 bits, and bytes.
//!
//! JSON has no form for bytes and for floats that are not finite. They are written in a *tagged form*, an object with
//! one key that starts with a dollar sign, and read back from it: bytes as `{"$bytes": "<base64>"}`, such floats as
//! `{"$float": "nan"}`, `"inf"` or `"-inf"`. A map whose one key looks like a tag is escaped: the writer adds a dollar
//! sign to the key, and the parser removes it. The map `{"$bytes": 1}` is written as `{"$$bytes": 1}`, and
//! `{"$$bytes": 1}` as `{"$$$bytes": 1}`. All other keys stay as they are.
//!
//! An opaque value is written as its view, or as `{"$type": ..., "$repr": ...}`. The parser reads a plain value back,
//! not the opaque one.
//!
//! A number without point and exponent is an integer, every other number a float, so `1` and `1.0` are different
//! values. The one exception is `-0`, a float, since no integer has that sign.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeSeed;
use serde_json::Value as Json;
use serde_json::error::Category;

use crate::convert::{ValueSeed, too_large};
use crate::{CodecError, Data, List, MAX_DEPTH, Map, Opaque, Value};

const BYTES: &str = "$bytes";
const FLOAT: &str = "$float";
const TYPE: &str = "$type";
const REPR: &str = "$repr";

/// Why a text can't be parsed: it is no JSON, or JSON that no [`Value`] can hold.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[error("{message}, at line {line} column {column}")]
pub struct JsonError {
    /// The fault, in one sentence without the place.
    pub message: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1, in bytes. The parser stopped there, which can be just behind the fault.
    pub column: usize,
}

/// Parses a JSON text.
///
/// Bytes and floats that are not finite are read from the forms that [`Value::to_json`] writes.
///
/// ```
/// use pushflow_model::{Value, parse_json};
///
/// assert_eq!(parse_json("1")?, Value::Int(1));
/// assert_eq!(parse_json("1.0")?, Value::Float(1.0));
/// assert_eq!(parse_json(r#"{"$bytes": "AAE="}"#)?, Value::Bytes(vec![0, 1].into()));
///
/// let error = parse_json(r#"{"retries": 3, "retries": 4}"#).unwrap_err();
/// assert_eq!(error.to_string(), r#"the key "retries" comes twice in one map: remove one, at line 1 column 24"#);
/// # Ok::<(), pushflow_model::JsonError>(())
/// ```
///
/// # Errors
/// When the text is no JSON, has an integer beyond 64 bits or a key twice in one object, nests deeper than
/// [`MAX_DEPTH`], or has a malformed tagged form.
pub fn parse_json(text: &str) -> Result<Value, JsonError> {
    let mut json = serde_json::Deserializer::from_str(text);
    // The seed has a limit of its own, which counts the levels of the value.
    json.disable_recursion_limit();
    let seed = ValueSeed { levels: MAX_DEPTH, tagged: Some(read_tagged) };
    let value = seed.deserialize(&mut json).map_err(JsonError::from)?;
    json.end().map_err(JsonError::from)?;
    match find_large_integer(text) {
        Some(integer) => Err(JsonError::at(text, integer.end - 1, too_large(&text[integer]))),
        None => Ok(value),
    }
}

impl JsonError {
    fn at(text: &str, offset: usize, message: String) -> Self {
        let before = &text.as_bytes()[..offset];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        JsonError { message, line, column: 1 + offset - line_start }
    }
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let message = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
        let message = match error.classify() {
            Category::Data => message.to_owned(),
            _ => format!("the text is no JSON: {message}"),
        };
        JsonError { message, line: line.max(1), column: column.max(1) }
    }
}

/// The place of the first integer in a valid JSON text that does not fit 64 bits with sign.
///
/// `serde_json` makes floats of such integers, so only the text shows them.
fn find_large_integer(text: &str) -> Option<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += match byte {
            b'"' => string_length(&bytes[at..]),
            b'-' | b'0'..=b'9' => bytes[at..].iter().take_while(|&&byte| is_in_number(byte)).count(),
            _ => 1,
        };
        let is_large = |number: &str| {
            number.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()) && number.parse::<i64>().is_err()
        };
        if byte != b'"' && is_in_number(byte) && is_large(&text[start..at]) {
            return Some(start..at);
        }
    }
    None
}

fn is_in_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

/// The length of the string at the beginning of `bytes`, with its quotes.
fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        at += match byte {
            b'"' => return at + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    bytes.len()
}

/// The value for a JSON object: what its tagged form stands for, or a map.
fn read_tagged(mut map: Map) -> Result<Value, String> {
    let tag = match map.first() {
        Some((name, _)) if map.len() == 1 && looks_tagged(name) => name.clone(),
        _ => return Ok(Value::Map(map)),
    };
    let content = map.shift_remove(&tag).unwrap_or_default();
    match (tag.as_str(), content) {
        (BYTES, Value::Str(text)) => match STANDARD.decode(&text) {
            Ok(bytes) => Ok(Value::Bytes(bytes.into())),
            Err(error) => Err(format!("{BYTES:?} holds no base64: {error}")),
        },
        (FLOAT, Value::Str(text)) => read_float(&text),
        (BYTES | FLOAT, other) => Err(format!(
            "{tag:?} holds {} instead of a text: if a map with this one key is meant, write {:?}",
            other.type_name(),
            format!("${tag}")
        )),
        (escaped, content) => Ok(Value::Map(Map::from_iter([(&escaped[1..], content)]))),
    }
}

fn read_float(text: &str) -> Result<Value, String> {
    match text {
        "nan" => Ok(Value::Float(f64::NAN)),
        "inf" => Ok(Value::Float(f64::INFINITY)),
        "-inf" => Ok(Value::Float(f64::NEG_INFINITY)),
        _ => Err(format!("{FLOAT:?} holds neither \"nan\", \"inf\" nor \"-inf\"")),
    }
}

/// Whether a map with this one key is a tagged form or an escaped one, so that the writer has to escape it.
fn looks_tagged(name: &str) -> bool {
    name.starts_with('$') && matches!(name.trim_start_matches('$'), "bytes" | "float")
}

impl Value {
    /// This value as JSON, which [`parse_json`] reads back as the same value.
    ///
    /// Bytes become `{"$bytes": "<base64>"}`, and floats that are not finite become `{"$float": "nan"}`, `"inf"` or
    /// `"-inf"`. The sign and the other bits of a "not a number" are lost. A map that looks like such a tagged form is
    /// written with one more dollar sign on its one key. An opaque value becomes its view or, without a view,
    /// `{"$type": "<its type>", "$repr": "<its text>"}`; it is not read back as an opaque value.
    ///
    /// ```
    /// use pushflow_model::Value;
    ///
    /// let value = Value::from(vec![Value::from(1.0), Value::from(f64::INFINITY), Value::Bytes(vec![0, 1].into())]);
    /// assert_eq!(value.to_json()?.to_string(), r#"[1.0,{"$float":"inf"},{"$bytes":"AAE="}]"#);
    /// # Ok::<(), pushflow_model::CodecError>(())
    /// ```
    ///
    /// # Errors
    /// When the value nests deeper than [`MAX_DEPTH`].
    pub fn to_json(&self) -> Result<Json, CodecError> {
        write(self, MAX_DEPTH)
    }
}

impl Data {
    /// The entries as a JSON object; positions become decimal names.
    ///
    /// The object is a level of its own, so a value in it may have one level less than [`MAX_DEPTH`].
    ///
    /// # Errors
    /// When the bytes of an entry can't be decoded, a value nests too deep, or a position and a name become the same
    /// key.
    pub fn to_json(&self) -> Result<Json, CodecError> {
        self.check_names()?;
        let mut object = serde_json::Map::with_capacity(self.len());
        for (key, payload) in self {
            object.insert(key.to_string(), write(payload.value()?, MAX_DEPTH - 1)?);
        }
        Ok(escaped(object))
    }
}

/// Writes a value that may have `levels` levels.
fn write(value: &Value, levels: usize) -> Result<Json, CodecError> {
    match value {
        Value::Null => Ok(Json::Null),
        Value::Bool(flag) => Ok(Json::Bool(*flag)),
        Value::Int(number) => Ok(Json::from(*number)),
        Value::Float(number) => Ok(write_float(*number)),
        Value::Str(text) => Ok(Json::String(text.clone())),
        Value::Bytes(bytes) => Ok(tagged(BYTES, STANDARD.encode(bytes.as_ref()))),
        Value::List(list) => write_list(list, levels.checked_sub(1).ok_or(CodecError::TooDeep)?),
        Value::Map(map) => write_map(map, levels.checked_sub(1).ok_or(CodecError::TooDeep)?),
        Value::Opaque(opaque) => opaque.view().map_or_else(|| Ok(write_opaque(opaque)), |view| write(view, levels)),
    }
}

fn write_list(list: &List, levels: usize) -> Result<Json, CodecError> {
    let mut array = Vec::with_capacity(list.len());
    for element in list.iter() {
        array.push(write(element, levels)?);
    }
    Ok(Json::Array(array))
}

fn write_map(map: &Map, levels: usize) -> Result<Json, CodecError> {
    let mut object = serde_json::Map::with_capacity(map.len());
    for (name, value) in map.iter() {
        object.insert(name.clone(), write(value, levels)?);
    }
    Ok(escaped(object))
}

/// The object for a map of these entries, escaped if it looks like a tagged form.
fn escaped(mut object: serde_json::Map<String, Json>) -> Json {
    let tag = object.keys().next().filter(|name| object.len() == 1 && looks_tagged(name)).cloned();
    if let Some((tag, content)) = tag.and_then(|tag| object.remove_entry(&tag)) {
        object.insert(format!("${tag}"), content);
    }
    Json::Object(object)
}

fn write_opaque(opaque: &Opaque) -> Json {
    let entry = |name: &str, text: &String| (name.to_owned(), Json::String(text.clone()));
    Json::Object([entry(TYPE, &opaque.type_name), entry(REPR, &opaque.text)].into_iter().collect())
}

fn write_float(number: f64) -> Json {
    match serde_json::Number::from_f64(number) {
        Some(number) => Json::Number(number),
        None if number.is_nan() => tagged(FLOAT, "nan".to_owned()),
        None if number > 0.0 => tagged(FLOAT, "inf".to_owned()),
        None => tagged(FLOAT, "-inf".to_owned()),
    }
}

fn tagged(tag: &str, content: String) -> Json {
    Json::Object(serde_json::Map::from_iter([(tag.to_owned(), Json::String(content))]))
}
