//! YAML text in, a [`Value`] out: by the rules of YAML 1.1 for plain scalars, since the original reads it so.
//!
//! The text is read event by event, without recursion. Aliases (`*name`) are copied in, within limits on what a text may
//! grow to. The merge key `<<` is known. What has no form as plain data (other tags, keys that are no text and no whole
//! number) is refused.

mod scalar;

use std::collections::HashMap;

use pushflow_value::{MAX_DEPTH, Map, Value};
use saphyr_parser::{Event, ScalarStyle, Tag};

use super::error::Position;
use super::yaml_events::{YamlError, events, too_deep};

/// How many values a text may grow to by its aliases.
const MAX_VALUES: usize = 1_000_000;

/// Parses a text of one document.
pub(super) fn parse(text: &str) -> Result<Value, YamlError> {
    let mut composer = Composer::default();
    for event in events(text) {
        let (event, at) = event?;
        composer.handle_event(event, at)?;
    }
    Ok(composer.document.unwrap_or_default())
}

/// Puts the events together.
#[derive(Default)]
struct Composer {
    open: Vec<OpenCollection>,
    /// What has an anchor, by the parser's number for it.
    anchors: HashMap<usize, CompleteValue>,
    /// How many values there are so far.
    values: usize,
    document: Option<Value>,
}

/// A list or map that is being read.
struct OpenCollection {
    collection: Collection,
    anchor: usize,
    at: Position,
    /// How many values there were before it.
    before: usize,
    /// How many levels of containers are in it, so far.
    levels: usize,
}

enum Collection {
    List(Vec<Value>),
    Map {
        entries: Map,
        /// The key whose value comes next.
        key: Option<String>,
        /// The maps that the merge key named, which the map's own entries override.
        merged: Vec<Map>,
    },
}

#[derive(Clone)]
struct CompleteValue {
    value: Value,
    values: usize,
    levels: usize,
}

/// The key that takes the entries of other maps over.
const MERGE: &str = "<<";

impl Composer {
    fn handle_event(&mut self, event: Event<'_>, at: Position) -> Result<(), YamlError> {
        match event {
            Event::DocumentStart(_) if self.document.is_some() => {
                Err((at, "a graph is one YAML document, and here a second one begins".to_owned()))
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, at)?;
                let is_key = matches!(
                    self.open.last(),
                    Some(OpenCollection { collection: Collection::Map { key: None, .. }, .. })
                );
                let value = value(&text, style, tag.as_deref(), is_key).map_err(|message| (at, message))?;
                self.complete(CompleteValue { value, values: 1, levels: 0 }, anchor, at)
            }
            Event::Alias(anchor) => {
                let copy = self.anchors.get(&anchor).cloned();
                let copy = copy.ok_or_else(|| (at, "this alias stands for something that contains it".to_owned()))?;
                self.count(copy.values, at)?;
                self.complete(copy, 0, at)
            }
            Event::SequenceStart(anchor, tag) => self.enter(Collection::List(Vec::new()), anchor, tag.as_deref(), at),
            Event::MappingStart(anchor, tag) => {
                let map = Collection::Map { entries: Map::default(), key: None, merged: Vec::new() };
                self.enter(map, anchor, tag.as_deref(), at)
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(),
            _ => Ok(()),
        }
    }

    fn count(&mut self, values: usize, at: Position) -> Result<(), YamlError> {
        self.values += values;
        if self.values > MAX_VALUES {
            return Err((at, format!("the text grows to more than {MAX_VALUES} values by its aliases")));
        }
        Ok(())
    }

    fn enter(
        &mut self,
        collection: Collection,
        anchor: usize,
        tag: Option<&Tag>,
        at: Position,
    ) -> Result<(), YamlError> {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema() || !matches!(&*tag.suffix, "seq" | "map")) {
            return Err((at, unknown_tag(tag)));
        }
        if self.open.len() == MAX_DEPTH {
            return Err((at, too_deep()));
        }
        self.count(1, at)?;
        self.open.push(OpenCollection { collection, anchor, at, before: self.values - 1, levels: 1 });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), YamlError> {
        let Some(OpenCollection { collection, anchor, at, before, levels }) = self.open.pop() else { return Ok(()) };
        let value = match collection {
            Collection::List(items) => Value::from(items),
            Collection::Map { mut entries, merged, .. } => {
                for (name, value) in merged.into_iter().flat_map(Map::into_entries) {
                    entries.entry(name).or_insert(value);
                }
                Value::Map(entries)
            }
        };
        self.complete(CompleteValue { value, values: self.values - before, levels }, anchor, at)
    }

    /// A whole value: it goes where it belongs.
    fn complete(&mut self, made: CompleteValue, anchor: usize, at: Position) -> Result<(), YamlError> {
        if anchor > 0 {
            self.anchors.insert(anchor, made.clone());
        }
        if self.open.len() + made.levels > MAX_DEPTH {
            return Err((at, too_deep()));
        }
        let Some(open) = self.open.last_mut() else {
            self.document = Some(made.value);
            return Ok(());
        };
        open.levels = open.levels.max(made.levels + 1);
        open.collection.add(made.value).map_err(|message| (at, message))
    }
}

impl Collection {
    fn add(&mut self, value: Value) -> Result<(), String> {
        match self {
            Collection::List(items) => items.push(value),
            Collection::Map { key: key @ None, entries, .. } => {
                let name = key_name(value)?;
                if entries.contains_key(&name) {
                    return Err(format!("the key {name:?} comes twice in one map: remove one"));
                }
                *key = Some(name);
            }
            Collection::Map { key, entries, merged } => match key.take().unwrap_or_default() {
                name if name == MERGE => merge(merged, value)?,
                name => _ = entries.insert(name, value),
            },
        }
        Ok(())
    }
}

fn key_name(key: Value) -> Result<String, String> {
    match key {
        Value::Str(name) => Ok(name),
        Value::Int(number) => Ok(number.to_string()),
        other => Err(format!("a key must be a text, not {}: write it in quotes", other.type_name())),
    }
}

fn merge(merged: &mut Vec<Map>, value: Value) -> Result<(), String> {
    let maps = match value {
        Value::List(maps) => maps.into_vec(),
        other => vec![other],
    };
    for map in maps {
        match map {
            Value::Map(map) => merged.push(map),
            other => return Err(format!("{MERGE:?} takes over the entries of maps, not of {}", other.type_name())),
        }
    }
    Ok(())
}

/// The value of a scalar. A key is what it is written as, unless it is a whole number.
fn value(text: &str, style: ScalarStyle, tag: Option<&Tag>, is_key: bool) -> Result<Value, String> {
    match tag {
        None if style == ScalarStyle::Plain && !(is_key && text == MERGE) => scalar::plain(text),
        None => Ok(Value::from(text)),
        Some(tag) if tag.is_yaml_core_schema() => scalar::tagged(&tag.suffix, text).unwrap_or(Err(unknown_tag(tag))),
        Some(tag) if tag.handle == "!" && tag.suffix.is_empty() => Ok(Value::from(text)),
        Some(tag) => Err(unknown_tag(tag)),
    }
}

fn unknown_tag(tag: &Tag) -> String {
    format!("the tag \"{}{}\" has no meaning in a graph: leave it out", tag.handle, tag.suffix)
}

#[cfg(test)]
mod tests;
