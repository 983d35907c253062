//! [`WrittenTable`]: what a worker's interpreter has written where the worker was granted room, and the worker holds.
//!
//! # States of a written range
//! ```text
//!             in a result
//!   written ─────────────▶ named      the scheduler's own; nothing is released when the worker drops its copy
//!      │ dropped
//!      ▼
//!   released
//! ```
//! A range is named once, and wholly: to the scheduler it is a part of what was granted, which is taken once. What is named
//! twice, or in part, has to be copied.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pushflow_os::slab::ViewPart;

use super::reference::{Reference, SlabId};

/// Cloning shares.
#[derive(Clone, Debug)]
pub(super) struct WrittenTable {
    ranges: Arc<Mutex<Ranges>>,
    released: Arc<Mutex<Vec<Reference>>>,
}

#[derive(Debug, Default)]
struct Ranges {
    /// By slab and where they begin.
    all: BTreeMap<(SlabId, u64), RangeState>,
    made: u64,
}

#[derive(Debug)]
struct RangeState {
    reference: Reference,
    named: bool,
    /// Tells it from a later one at the same place.
    number: u64,
}

/// What becomes of bytes that are to be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// They are not in the table: what was lent is named as often as one likes.
    NotWritten,
    /// They are named now.
    Accepted,
    /// They can't be named.
    Refused,
}

/// A range that was written; released when it is dropped without having been named.
#[derive(Debug)]
pub(super) struct WrittenRange {
    part: ViewPart,
    reference: Reference,
    number: u64,
    table: WrittenTable,
}

impl WrittenTable {
    pub(super) fn new(released: Arc<Mutex<Vec<Reference>>>) -> Self {
        WrittenTable { ranges: Arc::default(), released }
    }

    /// A range that was granted.
    pub(super) fn add(&self, reference: Reference, part: ViewPart) -> WrittenRange {
        let mut ranges = lock(&self.ranges);
        ranges.made += 1;
        let number = ranges.made;
        ranges.all.insert((reference.slab, reference.offset), RangeState { reference, named: false, number });
        WrittenRange { part, reference, number, table: self.clone() }
    }

    /// Names bytes in a result.
    pub(super) fn name(&self, reference: Reference) -> Naming {
        let mut ranges = lock(&self.ranges);
        let before = ranges.all.range_mut(..=(reference.slab, reference.offset)).next_back();
        let holds = |range: &RangeState| {
            range.reference.slab == reference.slab && reference.offset - range.reference.offset < range.reference.length
        };
        match before {
            Some((_, range)) if holds(range) => {
                if range.named || range.reference != reference {
                    return Naming::Refused;
                }
                range.named = true;
                Naming::Accepted
            }
            _ => Naming::NotWritten,
        }
    }
}

impl AsRef<[u8]> for WrittenRange {
    fn as_ref(&self) -> &[u8] {
        self.part.as_ref()
    }
}

impl Drop for WrittenRange {
    fn drop(&mut self) {
        let key = (self.reference.slab, self.reference.offset);
        let mut ranges = lock(&self.table.ranges);
        let own = ranges.all.get(&key).filter(|range| range.number == self.number).map(|range| range.named);
        if own.is_some() {
            ranges.all.remove(&key);
        }
        drop(ranges);
        if own == Some(false) {
            lock(&self.table.released).push(self.reference);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
