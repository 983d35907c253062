//! Composes a [`Value`] from YAML text, by the rules of YAML 1.1 for plain scalars, as ewoks does.
//!
//! The composer takes the text event by event, without recursion. It copies the value of an alias (`*name`), and limits
//! how many values a text may grow to. It knows the merge key `<<`. It refuses what has no form as plain data: other
//! tags, and keys that are neither a text nor a whole number.
//!
//! `saphyr-parser` gives the location of each value, leaves the scalars of YAML 1.1 and the limits on depth and aliases
//! to this file, and no serde front-end does.

mod scalar;

use std::collections::HashMap;

use pushflow_model::{MAX_DEPTH, Map, Value};
use saphyr_parser::{Event, ScalarStyle, Tag};

use super::error::Position;
use super::yaml_events::{YamlError, events, too_deep};

/// The greatest number of values in a text, with the copies for its aliases.
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

/// Composes values from events.
#[derive(Default)]
struct Composer {
    open: Vec<OpenCollection>,
    /// The values with an anchor, by the number that the parser gave the anchor.
    anchors: HashMap<usize, CompleteValue>,
    /// The number of values so far.
    values: usize,
    document: Option<Value>,
}

/// A list or map that has begun and not ended.
struct OpenCollection {
    collection: Collection,
    anchor: usize,
    at: Position,
    /// The number of values before this one.
    before: usize,
    /// The number of levels of this collection and those in it, so far.
    levels: usize,
}

enum Collection {
    List(Vec<Value>),
    Map {
        entries: Map,
        /// The key whose value comes next; `None` before a key.
        key: Option<String>,
        /// The maps under the merge key. The entries of this map override theirs.
        merged: Vec<Map>,
    },
}

#[derive(Clone)]
struct CompleteValue {
    value: Value,
    values: usize,
    levels: usize,
}

/// The key whose value is a map, or a list of maps, whose entries are added to this map.
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

    /// Puts a complete value into the collection around it, or makes it the document.
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

/// The value of a scalar. A plain scalar has the value that YAML 1.1 gives it, but the merge key stays a text.
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
