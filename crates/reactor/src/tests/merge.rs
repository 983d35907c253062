//! The merge rule by itself, against a slow transcription of the original's `InputMergeActor` (`docs/parity.md` P147,
//! P148).

use proptest::prelude::*;

use super::super::links::InputSlot;
use super::super::merge::{Merge, Ready};
use super::*;

/// The original's rule in the original's data structures: lists, and a merge from scratch at each execution.
#[derive(Default)]
struct Original {
    start: Vec<Data>,
    required: BTreeMap<u32, Option<Data>>,
    cached: BTreeMap<u32, Option<Data>>,
    buffer: Vec<Data>,
    retained: Option<Data>,
    has_run: bool,
}

impl Original {
    fn new(required: u32, cached: u32) -> Self {
        let none = |count| (0..count).map(|slot| (slot, None)).collect();
        Original { required: none(required), cached: none(cached), ..Original::default() }
    }

    fn arrive(&mut self, slot: InputSlot, data: Data) -> Vec<String> {
        match slot {
            InputSlot::Start => self.start.push(data),
            InputSlot::Required(slot) => _ = self.required.insert(slot, Some(data)),
            InputSlot::Cached(slot) => _ = self.cached.insert(slot, Some(data)),
            InputSlot::Loose if self.has_run => self.retained = Some(data),
            InputSlot::Loose | InputSlot::Joined(_) => self.buffer.push(data),
        }
        if self.required.values().any(Option::is_none) {
            return Vec::new();
        }
        if self.has_run {
            return vec![self.inputs(self.retained.as_ref())];
        }
        self.has_run = true;
        self.retained = self.buffer.last().cloned();
        if self.buffer.is_empty() {
            return vec![self.inputs(None)];
        }
        self.buffer.iter().map(|loose| self.inputs(Some(loose))).collect()
    }

    fn inputs(&self, loose: Option<&Data>) -> String {
        let kept = self.required.values().chain(self.cached.values()).flatten();
        let mut merged: BTreeMap<String, Payload> = BTreeMap::new();
        for data in self.start.iter().chain(kept).chain(loose) {
            merged.extend(data.iter().map(|(key, payload)| (key.to_string(), payload.clone())));
        }
        show(&merged.into_iter().collect())
    }
}

fn runs(ready: Ready) -> Vec<String> {
    match ready {
        Ready::NotYet => Vec::new(),
        Ready::Once(inputs) => vec![show(&inputs)],
        Ready::Each(runs) => runs.iter().map(show).collect(),
    }
}

const REQUIRED: u32 = 2;
const CACHED: u32 = 2;

fn slots() -> impl Strategy<Value = InputSlot> {
    prop_oneof![
        1 => Just(InputSlot::Start),
        2 => (0..REQUIRED).prop_map(InputSlot::Required),
        2 => (0..CACHED).prop_map(InputSlot::Cached),
        2 => Just(InputSlot::Loose),
    ]
}

proptest! {
    #[test]
    fn any_arrivals_run_the_actor_as_the_original_would(
        required in 0..=REQUIRED,
        arrivals in prop::collection::vec((slots(), prop::collection::btree_map("[a-d]", 0..100_i64, 0..4)), 0..40),
    ) {
        let mut merge = Merge::new(required as usize, CACHED as usize);
        let mut original = Original::new(required, CACHED);
        for (slot, entries) in arrivals {
            if matches!(slot, InputSlot::Required(slot) if slot >= required) {
                continue;
            }
            let data = entries.into_iter().fold(Data::new(), |data, (name, value)| data.with(name, value));
            prop_assert_eq!(runs(merge.arrive(slot, data.clone())), original.arrive(slot, data));
            prop_assert_eq!(merge.buffered(), if original.has_run { 0 } else { original.buffer.len() });
        }
    }
}
