//! Makes the conditions of links from `conditions` and `conditions_else_value` (`docs/parity.md` P146).

use std::collections::{BTreeMap, HashMap, HashSet};

use pushflow_model::Value;

use super::links::last_wins;
use super::read::{LinkEntry, NodeEntry};
use crate::equality::Hashable;
use crate::{Condition, Test, ewoks_equal};

/// The values that the conditions on each output of each node name.
pub(super) struct ConditionValues<'a>(HashMap<usize, BTreeMap<&'a str, Vec<&'a Value>>>);

impl<'a> ConditionValues<'a> {
    /// The values in all links. Of equal values only the first is kept.
    pub(super) fn of(links: &'a [LinkEntry]) -> Self {
        let mut named: HashMap<usize, BTreeMap<&str, Vec<&Value>>> = HashMap::new();
        let mut seen = HashSet::new();
        for link in links {
            for (output, value) in &link.conditions {
                let is_new = Hashable::of(value).is_none_or(|key| seen.insert((link.source, output.as_str(), key)));
                if is_new {
                    named.entry(link.source).or_default().entry(output).or_default().push(value);
                }
            }
        }
        ConditionValues(named)
    }

    /// The values that the conditions of a node name, output by output.
    pub(super) fn by_output(&self, node: usize) -> impl Iterator<Item = &[&'a Value]> {
        self.0.get(&node).into_iter().flat_map(BTreeMap::values).map(Vec::as_slice)
    }

    fn on(&self, node: usize, output: &str) -> Vec<Value> {
        let values = self.0.get(&node).and_then(|outputs| outputs.get(output));
        values.into_iter().flatten().map(|value| (*value).clone()).collect()
    }
}

/// The conditions of a link. Of several on one output only the last counts.
pub(super) fn conditions(link: &LinkEntry, source: &NodeEntry, named: &ConditionValues<'_>) -> Vec<Condition> {
    let conditions = last_wins(&link.conditions);
    let test = |output: &str, value: &Value| match ewoks_equal(value, &source.else_value) {
        true => Test::Else { otherwise: source.else_value.clone(), named: named.on(link.source, output) },
        false => Test::Equals(value.clone()),
    };
    conditions
        .into_iter()
        .map(|(output, value)| Condition { output: output.clone(), test: test(output, value) })
        .collect()
}
