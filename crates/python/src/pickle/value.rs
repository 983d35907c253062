//! [`Pickled`]: converts the nodes of a pickle to values.
//!
//! Nodes may share parts or contain themselves, and values are trees. So the conversion limits the depth and the size of
//! the values. An error has the path from the root to the part at fault.

use std::borrow::Cow;
use std::collections::HashSet;

use pushflow_model::{Data, Key, List, MAX_DEPTH, Map, Opaque, Payload, Value};

use super::builtin_types::{builtin_type, in_order, key_list, key_text, large_int, python, surrogate_str};
use super::read::{Index, Malformed, Node, Nodes};
use crate::buffers::OutOfBand;

/// Why a pickled object is no value: one sentence about "the result".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotAValue(String);

/// A pickle that was read, but not yet converted to values.
pub(crate) struct Pickled<'a> {
    nodes: Vec<Node<'a>>,
    root: Index,
    /// How many bytes of memory the values may take, roughly.
    size_limit: usize,
}

/// How many bytes the values of a small pickle may take. Parts that are shared in Python are copied here.
const SIZE_LIMIT: usize = 1 << 28;

/// How many times larger than the pickle the values of a large pickle may be: twice the size that they reach without
/// shared parts, where each value takes at least one byte of the pickle.
const GROWTH_LIMIT: usize = 2 * (size_of::<Value>() + size_of::<Opaque>());

impl<'a> Pickled<'a> {
    /// Reads one pickle that is all of `bytes`, but for its out-of-band buffers.
    ///
    /// # Errors
    /// When the pickle is malformed.
    pub(crate) fn read(bytes: &'a [u8], out_of_band: &'a OutOfBand) -> Result<Self, Malformed> {
        let Nodes { all: nodes, root } = Nodes::read(bytes, out_of_band)?;
        let size_limit = (bytes.len() + out_of_band.size()).saturating_mul(GROWTH_LIMIT).max(SIZE_LIMIT);
        Ok(Pickled { nodes, root, size_limit })
    }

    /// Converts the whole pickle to one value.
    ///
    /// # Errors
    /// When a part of it can't be a value.
    pub(crate) fn into_value(self) -> Result<Value, NotAValue> {
        let mut left = self.size_limit;
        self.value(self.root, MAX_DEPTH, &mut left).map_err(|failure| failure.about("value"))
    }

    /// Converts the whole pickle to data. It must be a dict whose keys are names or positions.
    ///
    /// # Errors
    /// When the pickle is no such dict, or a part of it can't be a value; the message names the entry.
    pub(crate) fn into_data(self) -> Result<Data, NotAValue> {
        let Node::Map(entries) = &self.nodes[self.root] else {
            return Err(NotAValue(format!("the result is {}, not a mapping", self.noun(self.root))));
        };
        let mut left = self.size_limit;
        let mut data = Data::new();
        for (key, value) in entries {
            let key = self.key(*key)?;
            let value = self.value(*value, MAX_DEPTH, &mut left);
            let value = value.map_err(|failure| failure.about(&format!("entry {:?}", key.to_string())))?;
            data.insert(key, Payload::from(value));
        }
        Ok(data)
    }

    fn key(&self, index: Index) -> Result<Key, NotAValue> {
        match &self.nodes[index] {
            Node::Str(name) => Ok(Key::from(*name)),
            Node::Int(position) if u32::try_from(*position).is_ok() => {
                Ok(Key::Position(u32::try_from(*position).expect("the guard has tried it")))
            }
            Node::Int(number) => Err(NotAValue(format!("the result has the key {number}, which is no position"))),
            // An object of a type that derives from `str` or `int`.
            Node::Object { view: Some(view), .. } if matches!(self.nodes[*view], Node::Str(_) | Node::Int(_)) => {
                self.key(*view)
            }
            _ => {
                let noun = self.noun(index);
                Err(NotAValue(format!("the result has a key that is {noun}, but keys are names or positions")))
            }
        }
    }

    fn value(&self, index: Index, depth: usize, left: &mut usize) -> Result<Value, ConversionFailure> {
        let node = &self.nodes[index];
        let size = size_of::<Value>() + node.own_size();
        *left = left.checked_sub(size).ok_or_else(|| self.too_large())?;
        match node {
            Node::Null => Ok(Value::Null),
            Node::Bool(flag) => Ok(Value::Bool(*flag)),
            Node::Int(number) => Ok(Value::Int(*number)),
            Node::Float(number) => Ok(Value::Float(*number)),
            Node::Str(text) => Ok(Value::Str((*text).to_owned())),
            Node::Bytes(bytes) => Ok(bytes.to_bytes().into()),
            Node::List(items) => self.list(items, below(depth)?, left).map(Value::List),
            Node::Map(entries) => self.map(entries, below(depth)?, left),
            Node::LargeInt(digits) => Ok(large_int(digits).into()),
            Node::SurrogateStr(bytes) => Ok(surrogate_str(bytes).into()),
            Node::ByteArray(bytes) => Ok(python("bytearray").with_view(bytes.to_bytes().into()).into()),
            Node::Tuple(items) => self.sequence("tuple", items, depth, left),
            Node::Set(items) => self.sequence("set", items, depth, left),
            Node::FrozenSet(items) => self.sequence("frozenset", items, depth, left),
            Node::Type(name) => Ok(builtin_type(name).into()),
            Node::Object { codec, type_name, text, pickle, buffers, view } => {
                let opaque = Opaque::new(*codec, *type_name).with_text(*text).with_content(pickle.to_bytes());
                let opaque = opaque.with_buffers(buffers.to_vec());
                Ok(match view {
                    Some(view) => opaque.with_view(self.value(*view, depth, left)?).into(),
                    None => opaque.into(),
                })
            }
        }
    }

    fn sequence(
        &self,
        type_name: &str,
        items: &[Index],
        depth: usize,
        left: &mut usize,
    ) -> Result<Value, ConversionFailure> {
        let list = self.list(items, below(depth)?, left)?;
        let list = if type_name == "tuple" { list } else { in_order(list) };
        Ok(python(type_name).with_view(Value::List(list)).into())
    }

    fn list(&self, items: &[Index], depth: usize, left: &mut usize) -> Result<List, ConversionFailure> {
        let element = |(position, item): (usize, &Index)| {
            self.value(*item, depth, left).map_err(|failure| failure.below(position))
        };
        items.iter().enumerate().map(element).collect()
    }

    /// A dict. If not all keys are texts, its value is opaque, and its view has the texts of the keys.
    fn map(&self, entries: &[(Index, Index)], depth: usize, left: &mut usize) -> Result<Value, ConversionFailure> {
        if !entries.iter().all(|(key, _)| matches!(self.nodes[*key], Node::Str(_))) {
            return self.map_of_any_keys(entries, depth, left);
        }
        let entry = |(key, value): &(Index, Index)| {
            let Node::Str(name) = &self.nodes[*key] else { unreachable!("all keys were looked at") };
            let value = self.value(*value, depth, left).map_err(|failure| failure.below(format!("{name:?}")))?;
            Ok(((*name).to_owned(), value))
        };
        let map: Result<Map, ConversionFailure> = entries.iter().map(entry).collect();
        Ok(Value::Map(map?))
    }

    fn map_of_any_keys(
        &self,
        entries: &[(Index, Index)],
        depth: usize,
        left: &mut usize,
    ) -> Result<Value, ConversionFailure> {
        let mut keys = Vec::with_capacity(entries.len());
        let (mut names, mut view) = (HashSet::new(), Vec::with_capacity(entries.len()));
        for (key, value) in entries {
            let key = self.value(*key, depth, left)?;
            let name = key_text(&key, &names);
            let value = self.value(*value, depth, left).map_err(|failure| failure.below(format!("{name:?}")))?;
            names.insert(name.clone());
            view.push((name, value));
            keys.push(key);
        }
        let keys = key_list(keys).map_err(|_| ConversionFailure::too_deep())?;
        Ok(python("dict").with_content(keys).with_view(Value::Map(Map::from_iter(view))).into())
    }

    fn too_large(&self) -> ConversionFailure {
        let mebibytes = self.size_limit >> 20;
        ConversionFailure::new(format!("repeats its parts so often that it would fill more than {mebibytes} MiB"))
    }

    /// The type of a node with its article.
    fn noun(&self, index: Index) -> Cow<'_, str> {
        match &self.nodes[index] {
            Node::Null => "None".into(),
            Node::Bool(_) => "a bool".into(),
            Node::Int(_) => "an int".into(),
            Node::Float(_) => "a float".into(),
            Node::Str(_) => "a str".into(),
            Node::Bytes(_) => "bytes".into(),
            Node::List(_) => "a list".into(),
            Node::Map(_) => "a dict".into(),
            Node::LargeInt(_) => "an int of more than 64 bits".into(),
            Node::SurrogateStr(_) => "a str with a lone surrogate".into(),
            Node::ByteArray(_) => "a bytearray".into(),
            Node::Tuple(_) => "a tuple".into(),
            Node::Set(_) => "a set".into(),
            Node::FrozenSet(_) => "a frozenset".into(),
            Node::Type(_) => "a type".into(),
            Node::Object { type_name, .. } => with_article(type_name).into(),
        }
    }
}

fn below(depth: usize) -> Result<usize, ConversionFailure> {
    depth.checked_sub(1).ok_or_else(ConversionFailure::too_deep)
}

impl Node<'_> {
    /// How many bytes of memory the value of this node takes beside a [`Value`].
    fn own_size(&self) -> usize {
        match self {
            Node::Str(text) => text.len(),
            Node::Bytes(bytes) => bytes.copied(),
            Node::Map(entries) => entries.len() * size_of::<(u64, String)>(),
            Node::LargeInt(bytes) | Node::SurrogateStr(bytes) => size_of::<Opaque>() + bytes.len(),
            Node::ByteArray(bytes) => size_of::<Opaque>() + bytes.copied(),
            Node::Tuple(_) | Node::Set(_) | Node::FrozenSet(_) | Node::Type(_) => size_of::<Opaque>(),
            Node::Object { type_name, text, pickle, buffers, .. } => {
                size_of::<Opaque>() + type_name.len() + text.len() + pickle.copied() + size_of_val(&**buffers)
            }
            _ => 0,
        }
    }
}

/// The name of a Python type with its article.
fn with_article(noun: &str) -> String {
    match noun.chars().next() {
        _ if noun == "NoneType" => "None".to_owned(),
        Some('a' | 'e' | 'i' | 'o' | 'u' | 'A' | 'E' | 'I' | 'O' | 'U') => format!("an {noun}"),
        _ => format!("a {noun}"),
    }
}

/// Why a part can't be a value, and the path to that part.
struct ConversionFailure {
    reason: String,
    /// The steps from the part to the root; `None` where the path is too long for a message.
    way: Option<Vec<String>>,
}

impl ConversionFailure {
    fn new(reason: String) -> Self {
        ConversionFailure { reason, way: Some(Vec::new()) }
    }

    fn too_deep() -> Self {
        ConversionFailure { reason: format!("nests deeper than {MAX_DEPTH} levels, or contains itself"), way: None }
    }

    fn below(mut self, step: impl ToString) -> Self {
        if let Some(way) = &mut self.way {
            way.push(step.to_string());
        }
        self
    }

    fn about(self, whole: &str) -> NotAValue {
        let way: String = self.way.iter().flatten().rev().map(|step| format!("[{step}]")).collect();
        let place = if way.is_empty() { String::new() } else { format!(", at {way},") };
        NotAValue(format!("the result's {whole}{place} {}", self.reason))
    }
}
