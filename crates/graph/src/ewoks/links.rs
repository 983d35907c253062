//! Merges links between the same two nodes into one, and refuses attributes that exclude each other.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use super::error::{Element, LoadResult};
use super::location::Location;
use super::read::{LinkEntry, NodeEntry};
use crate::{Arrival, FieldMap, Mapping};

/// Merges parallel links. Their lists are joined, and their other attributes must be equal.
///
/// The result is ordered by source node, then as in the file. In this order ewoks triggers the targets of a node
/// (`docs/parity.md` P145) and merges the arrivals at one.
pub(super) fn merge(links: Vec<LinkEntry>) -> LoadResult<Vec<LinkEntry>> {
    let mut merged: Vec<LinkEntry> = Vec::with_capacity(links.len());
    let mut positions = HashMap::new();
    for link in links {
        match positions.entry((link.source, link.target)) {
            Entry::Vacant(position) => {
                position.insert(merged.len());
                merged.push(link);
            }
            Entry::Occupied(position) => merge_into(&mut merged[*position.get()], link)?,
        }
    }
    merged.sort_by_key(|link| link.source);
    for link in &merged {
        if link.map_all_data == Some(true) && !link.data_mapping.is_empty() {
            let message = "\"map_all_data\" and \"data_mapping\" can't be used together; keep one of them";
            return Err(link.location.invalid(message));
        }
        if link.is_on_error() && !link.conditions.is_empty() {
            let message = "\"on_error\" and \"conditions\" can't be used together, since a node that fails has no outputs; \
                           keep one of them";
            return Err(link.location.invalid(message));
        }
    }
    Ok(merged)
}

fn merge_into(link: &mut LinkEntry, other: LinkEntry) -> LoadResult<()> {
    let location = other.location;
    merge_flag(&mut link.map_all_data, other.map_all_data, "map_all_data", &location)?;
    merge_flag(&mut link.required, other.required, "required", &location)?;
    merge_flag(&mut link.on_error, other.on_error, "on_error", &location)?;
    merge_flag(&mut link.cache_if_optional, other.cache_if_optional, "cache_if_optional", &location)?;
    append_unless_equal(&mut link.data_mapping, other.data_mapping);
    append_unless_equal(&mut link.conditions, other.conditions);
    Ok(())
}

fn merge_flag(mine: &mut Option<bool>, other: Option<bool>, name: &str, location: &Location) -> LoadResult<()> {
    if mine.is_some() && other.is_some() && *mine != other {
        let message = format!("there are several links between these nodes and they disagree on {name:?}; make it one");
        return Err(location.invalid(message));
    }
    *mine = mine.or(other);
    Ok(())
}

/// Appends a list, unless the two are equal.
fn append_unless_equal<T: PartialEq>(mine: &mut Vec<T>, other: Vec<T>) {
    if *mine != other {
        mine.extend(other);
    }
}

/// Refuses two required links that fill the same input. Of optional links the later arrival wins.
pub(super) fn refuse_conflicting_inputs(nodes: &[NodeEntry], links: &[LinkEntry], required: &[bool]) -> LoadResult<()> {
    let mut fillers = HashMap::new();
    for (link, _) in links.iter().zip(required).filter(|(_, required)| **required) {
        for (_, input) in &link.data_mapping {
            let Some(first) = fillers.insert((link.target, input), link) else { continue };
            let message = if first.source == link.source {
                format!("two items of \"data_mapping\" fill the input \"{input}\"; keep one of them")
            } else {
                let second = named(link, nodes);
                format!("this and {second} are both required and fill the input \"{input}\"; keep one of them")
            };
            return Err(first.location.invalid(message));
        }
    }
    Ok(())
}

/// The mapping of a link.
pub(super) fn mapping(link: &LinkEntry) -> Mapping {
    if link.map_all_data == Some(true) {
        return Mapping::All;
    }
    let by_target: Vec<_> = link.data_mapping.iter().map(|(source, target)| (target, source)).collect();
    let fields = last_wins(&by_target).into_iter();
    Mapping::Fields(
        fields.map(|(target, source)| FieldMap { source: (*source).clone(), target: (*target).clone() }).collect(),
    )
}

/// The arrival rule of a link.
pub(super) fn arrival(link: &LinkEntry, required: bool) -> Arrival {
    if required { Arrival::Required } else { Arrival::Optional { cached: link.cache_if_optional == Some(true) } }
}

/// One pair for each key, with the last value of the key, at the place of its first: as a Python dictionary.
pub(super) fn last_wins<K: Eq + Hash, V>(pairs: &[(K, V)]) -> Vec<(&K, &V)> {
    let mut positions = HashMap::new();
    let mut kept: Vec<(&K, &V)> = Vec::new();
    for (key, value) in pairs {
        let position = *positions.entry(key).or_insert(kept.len());
        match kept.get_mut(position) {
            Some(pair) => pair.1 = value,
            None => kept.push((key, value)),
        }
    }
    kept
}

fn named(link: &LinkEntry, nodes: &[NodeEntry]) -> Element {
    Element::Link { source: nodes[link.source].id.clone(), target: nodes[link.target].id.clone() }
}
