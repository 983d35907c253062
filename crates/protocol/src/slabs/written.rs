//! [`WrittenTable`]: the ranges that a worker's interpreter has written into grants, and that the worker still holds.
//!
//! # States of a written range
//! ```text
//!              a result names it
//!   written ───────────────────────▶ named
//!      │ the worker drops its last copy
//!      ▼
//!   released
//! ```
//! A named range belongs to the scheduler, and the worker does not release it when it drops its last copy. A range can
//! be named once, and only as a whole: for the scheduler the range is a part of a grant, and the scheduler takes each
//! part of a grant once. Bytes that a result names a second time, or only a part of a range, have to be copied. If the
//! result can't be encoded after all, the worker releases the ranges that it named.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pushflow_os::slab::ViewPart;

use super::reference::{Reference, SlabId};

/// The written ranges of a worker. Cloning shares them.
#[derive(Clone, Debug)]
pub(super) struct WrittenTable {
    ranges: Arc<Mutex<Ranges>>,
    released: Arc<Mutex<Vec<Reference>>>,
}

#[derive(Debug, Default)]
struct Ranges {
    /// The ranges by slab and offset.
    all: BTreeMap<(SlabId, u64), RangeState>,
    made: u64,
}

#[derive(Debug)]
struct RangeState {
    reference: Reference,
    named: bool,
    /// Distinguishes this range from a later one at the same offset.
    number: u64,
}

/// The answer to whether a result may name a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// The range is not in the table. It was lent to the worker, and may be named any number of times.
    NotWritten,
    /// The range is named now.
    Accepted,
    /// The range can't be named: it is named already, or it is only a part of a written range.
    Refused,
}

/// A written range, which is released when this is dropped before a result has named it.
#[derive(Debug)]
pub(super) struct WrittenRange {
    part: ViewPart,
    reference: Reference,
    number: u64,
    table: WrittenTable,
}

impl WrittenTable {
    /// No ranges; those that are released are added to `released`.
    pub(super) fn new(released: Arc<Mutex<Vec<Reference>>>) -> Self {
        WrittenTable { ranges: Arc::default(), released }
    }

    /// Adds a range that was granted.
    pub(super) fn add(&self, reference: Reference, part: ViewPart) -> WrittenRange {
        let mut ranges = lock(&self.ranges);
        ranges.made += 1;
        let number = ranges.made;
        ranges.all.insert((reference.slab, reference.offset), RangeState { reference, named: false, number });
        WrittenRange { part, reference, number, table: self.clone() }
    }

    /// Names a range in a result, if that is possible.
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
