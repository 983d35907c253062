//! Reads the parameters of nodes and links, which are lists: `default_inputs`, `data_mapping`, `conditions`.

use pushflow_model::{Data, Key, Payload, Value};

use super::error::{LoadError, LoadResult};
use super::fields::Fields;

const DEFAULT_INPUT: &[&str] = &["name", "value"];
const MAPPED: &[&str] = &["source_output", "target_input"];
const CONDITION: &[&str] = &["source_output", "value"];

/// The greatest position of an argument. A task also gets the empty positions below the greatest one, so that one large
/// number could fill the memory.
const MAX_POSITION: u32 = 65_535;

/// The `default_inputs` of a node. Of several with one name the last counts.
pub(super) fn default_inputs(node: &Fields<'_>) -> LoadResult<Data> {
    let read = |item: Fields<'_>| {
        let name = input_key(&item, "name")?;
        let value = item.raw("value").ok_or_else(|| item.missing("value"))?;
        Ok((name, Payload::from(value.clone())))
    };
    Ok(items(node, "default_inputs", DEFAULT_INPUT, read)?.into_iter().collect())
}

/// The `data_mapping` of a link, as pairs of output and input.
pub(super) fn data_mapping(link: &Fields<'_>) -> LoadResult<Vec<(Key, Key)>> {
    items(link, "data_mapping", MAPPED, |item| Ok((output_key(&item)?, input_key(&item, "target_input")?)))
}

/// The `conditions` of a link, as pairs of output and value.
pub(super) fn conditions(link: &Fields<'_>) -> LoadResult<Vec<(String, Value)>> {
    items(link, "conditions", CONDITION, |item| {
        let output = item.text("source_output")?.ok_or_else(|| item.missing("source_output"))?;
        let value = item.raw("value").ok_or_else(|| item.missing("value"))?;
        check_comparable(value, "value", &item)?;
        Ok((output.to_owned(), value.clone()))
    })
}

/// Refuses a value that no condition can compare with.
pub(super) fn check_comparable(value: &Value, name: &'static str, fields: &Fields<'_>) -> LoadResult<()> {
    match value {
        Value::List(_) | Value::Map(_) => {
            let found = value.type_name();
            let message = format!("{name:?} is {found}, but a condition needs a text, a number, a boolean or null");
            Err(fields.wrong(name, message))
        }
        _ => Ok(()),
    }
}

fn items<T>(
    owner: &Fields<'_>,
    list: &'static str,
    known: &[&str],
    read: impl Fn(Fields<'_>) -> LoadResult<T>,
) -> LoadResult<Vec<T>> {
    owner
        .items(list)?
        .map(|item| {
            let item = item?;
            item.refuse_misspelt(&[known])?;
            read(item)
        })
        .collect()
}

fn output_key(item: &Fields<'_>) -> LoadResult<Key> {
    match item.get("source_output") {
        Some(Value::Str(name)) => Ok(Key::from(name.as_str())),
        Some(Value::Int(position)) => input_position(*position, "source_output", item),
        Some(other) => Err(wrong_key("source_output", other, item)),
        None => Err(item.invalid("\"source_output\" is missing; to pass every output, use \"map_all_data\"")),
    }
}

/// The input of a task: a name, or a position as a whole number or as a text of digits.
pub(super) fn input_key(item: &Fields<'_>, name: &'static str) -> LoadResult<Key> {
    match item.get(name) {
        Some(Value::Str(digits)) if is_position(digits) => {
            // A number that does not fit 64 bits is beyond the greatest position, as `i64::MAX` is.
            input_position(digits.parse().unwrap_or(i64::MAX), name, item)
        }
        Some(Value::Str(text)) => Ok(Key::from(text.as_str())),
        Some(Value::Int(position)) => input_position(*position, name, item),
        Some(other) => Err(wrong_key(name, other, item)),
        None => Err(item.missing(name)),
    }
}

fn is_position(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn input_position(position: i64, name: &'static str, item: &Fields<'_>) -> LoadResult<Key> {
    match u32::try_from(position) {
        Ok(position) if position <= MAX_POSITION => Ok(Key::Position(position)),
        _ => Err(item.wrong(name, format!("{name:?} is a position, so it must be between 0 and {MAX_POSITION}"))),
    }
}

fn wrong_key(name: &'static str, found: &Value, item: &Fields<'_>) -> Box<LoadError> {
    item.wrong(name, format!("{name:?} must be a text or a position, not {}", found.type_name()))
}
