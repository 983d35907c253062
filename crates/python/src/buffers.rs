//! [`Buffers`]: long parts of values between a process and its Python interpreter, in shared memory.
//!
//! # Protocol
//! A request with long parts (`S`) begins with a table: for each part a *token*, the number of the file that holds it, offset
//! and length. The interpreter asks for these files (`F`), which are sent with one byte; it maps or reads what it needs. A
//! part is on *loan*, and its memory is not used again, until the interpreter releases the token, which it does with a
//! reply (`L`), or ends. If the interpreter can't take the files it says so (`U`), and is sent everything in the request.
//!
//! For the long parts of a reply the interpreter asks for room (`W`): one length after the other. The answer is one byte with
//! the files, and a message (`G`) with the number of the file and the offset for each; without numbers where there is no
//! room. What is written there the reply (`X`) names in a table; it may also name a part of what it was lent, and may have
//! parts in the message itself, where there was no room.
//!
//! # What is not believed
//! A reply may name only room that was asked for with it, all of it, and what is on loan; all else is garbage, by which the
//! interpreter is lost, and its attempt. Room that no reply has named is free again.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use pushflow_protocol::slabs::{Grant, GrantSource, Place};

/// From how many bytes on a part is long: less is copied faster than it is handed over.
pub(super) const OUT_OF_BAND_FROM: usize = 64 * 1024;

/// How many files are sent at once, at the most; the kernel takes 253.
const MOST_FILES: usize = 250;

/// For how many long parts of one result room is asked for, at the most.
const MOST_GRANTS: usize = 1000;

/// How many bytes of a message an entry of the table of a reply takes.
const ENTRY: usize = 5 * 8;

/// Shared memory for one interpreter.
#[derive(Clone)]
pub(super) struct Buffers {
    grants: Arc<dyn GrantSource>,
    leases: Arc<Mutex<Leases>>,
}

/// What an interpreter has mapped.
#[derive(Default)]
struct Leases {
    last: u64,
    held: HashMap<u64, Bytes>,
}

/// Long parts on their way to the interpreter.
#[derive(Default)]
pub(super) struct Lease {
    pub(super) files: Files,
    /// What the request begins with.
    pub(super) table: Vec<u8>,
}

/// The different files among some places.
#[derive(Default)]
pub(super) struct Files(Vec<Place>);

/// The long parts of a reply.
#[derive(Default)]
pub(super) struct OutOfBand {
    all: Vec<Bytes>,
    /// Those that the pickle leaves out, with the places where they belong, in this order.
    positions: Vec<(usize, usize)>,
}

impl Files {
    /// The files themselves, in their order.
    pub(super) fn borrow(&self) -> Vec<BorrowedFd<'_>> {
        self.0.iter().map(Place::file).collect()
    }

    /// The number of the file of this place.
    fn number(&mut self, place: &Place) -> u64 {
        let known = self.0.iter().position(|known| known.shares_file(place));
        let number = known.unwrap_or_else(|| {
            self.0.push(place.clone());
            self.0.len() - 1
        });
        number as u64
    }
}

impl Buffers {
    pub(super) fn new(grants: Arc<dyn GrantSource>) -> Self {
        Buffers { grants, leases: Arc::default() }
    }

    /// Lends long parts; those that are in no shared memory are copied there. `None` when that can't be.
    pub(super) fn lease(&self, parts: Vec<Bytes>) -> Option<Lease> {
        let mut placed = Vec::with_capacity(parts.len());
        for part in parts {
            placed.push(match self.grants.place(&part) {
                Some(place) => (place, part),
                None => self.copied(&part)?,
            });
        }
        let mut files = Files::default();
        let mut leases = self.lock_leases();
        let mut table = (placed.len() as u64).to_le_bytes().to_vec();
        table.extend([0; 8]);
        for (place, part) in placed {
            leases.last += 1;
            let fields = [leases.last, files.number(&place), place.offset() as u64, part.len() as u64];
            table.extend(fields.into_iter().flat_map(u64::to_le_bytes));
            let token = leases.last;
            leases.held.insert(token, part);
        }
        table[8..16].copy_from_slice(&(files.0.len() as u64).to_le_bytes());
        let lease = Lease { files, table };
        if lease.files.0.len() > MOST_FILES {
            drop(leases);
            self.release_lease(&lease);
            return None;
        }
        Some(lease)
    }

    /// The interpreter has not taken these.
    pub(super) fn release_lease(&self, lease: &Lease) {
        let tokens = numbers(lease.table.get(16..).unwrap_or_default()).step_by(4);
        tokens.for_each(|token| self.release(token));
    }

    /// The interpreter is gone: nothing is lent to it any more.
    pub(super) fn release_all(&self) {
        self.lock_leases().held.clear();
    }

    /// How much is on loan.
    pub fn leased_buffers(&self) -> usize {
        self.lock_leases().held.len()
    }

    fn copied(&self, part: &[u8]) -> Option<(Place, Bytes)> {
        let mut grant = self.grants.grant(part.len())?;
        grant.fill(part).ok()?;
        Some((grant.place().clone(), grant.into_bytes()))
    }

    fn release(&self, token: u64) {
        let released = self.lock_leases().held.remove(&token);
        drop(released); // without the lock
    }

    /// Room for parts of these lengths, and what to tell the interpreter of it; no room at all if there is not enough.
    pub(super) fn grant(&self, lengths: &[u8]) -> Result<(Vec<Grant>, Files, Vec<u8>), String> {
        let lengths: Vec<u64> = numbers(lengths).collect();
        if lengths.len() > MOST_GRANTS {
            return Err(format!("it asks for room for {} parts", lengths.len()));
        }
        let grant = |length: &u64| usize::try_from(*length).ok().and_then(|length| self.grants.grant(length));
        let grants: Option<Vec<Grant>> = lengths.iter().map(grant).collect();
        let (mut files, mut places) = (Files::default(), Vec::new());
        let grants = grants.unwrap_or_default();
        for grant in &grants {
            places.extend([files.number(grant.place()), grant.place().offset() as u64]);
        }
        if files.0.len() > MOST_FILES {
            return Ok(Default::default());
        }
        Ok((grants, files, places.into_iter().flat_map(u64::to_le_bytes).collect()))
    }

    /// Reads what comes before a reply: the tokens that it releases, its long parts, and the reply itself. What is released
    /// is free when the reply was read.
    ///
    /// # Errors
    /// Why it is no reply.
    pub(super) fn open<'a>(&self, message: &'a [u8], grants: Vec<Grant>) -> Result<(OutOfBand, &'a [u8]), String> {
        let (mut message, mut released) = (message, Vec::new());
        if let Some((b'L', rest)) = message.split_first() {
            let (count, rest) = counted(rest, 8)?;
            released.extend(numbers(&rest[..8 * count]));
            message = &rest[8 * count..];
        }
        let mut parts = OutOfBand::default();
        if let Some((b'X', rest)) = message.split_first() {
            let (count, rest) = counted(rest, ENTRY)?;
            let (table, rest) = rest.split_at(ENTRY * count);
            (parts, message) = self.parts(table, rest, grants)?;
        }
        for token in released {
            self.release(token);
        }
        Ok((parts, message))
    }

    /// The parts of a table, and what follows those that come behind it.
    fn parts<'a>(&self, table: &[u8], mut rest: &'a [u8], grants: Vec<Grant>) -> Result<(OutOfBand, &'a [u8]), String> {
        let mut grants: Vec<Option<Bytes>> = grants.into_iter().map(|grant| Some(grant.into_bytes())).collect();
        let mut parts = OutOfBand::default();
        for entry in table.chunks_exact(ENTRY) {
            let [kind, from, offset, length, position] = *numbers(entry).collect::<Vec<_>>() else {
                return Err("an entry of its table is short".to_owned());
            };
            let size = usize::try_from(length).map_err(|_| "a part is too long".to_owned())?;
            let part = match kind {
                0 => {
                    let (here, after) = rest.split_at_checked(size).ok_or("a part of it ends too early")?;
                    rest = after;
                    Some(Bytes::copy_from_slice(here))
                }
                1 => {
                    let grant = usize::try_from(from).ok().and_then(|grant| grants.get_mut(grant));
                    grant.and_then(|grant| grant.take_if(|grant| grant.len() == size))
                }
                2 => self.leased_bytes(from, offset, size),
                _ => None,
            };
            let part = part.ok_or_else(|| format!("it names {length} bytes that it was not given"))?;
            if let Ok(position) = usize::try_from(position)
                && position != usize::MAX
            {
                parts.positions.push((position, parts.all.len()));
            }
            parts.all.push(part);
        }
        Ok((parts, rest))
    }

    fn leased_bytes(&self, token: u64, offset: u64, size: usize) -> Option<Bytes> {
        let begin = usize::try_from(offset).ok()?;
        let end = begin.checked_add(size)?;
        let leases = self.lock_leases();
        let whole = leases.held.get(&token)?;
        (end <= whole.len()).then(|| whole.slice(begin..end))
    }

    fn lock_leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutOfBand {
    /// The part that the pickle leaves out at this position.
    pub(super) fn at_position(&self, position: usize) -> Option<&Bytes> {
        let found = self.positions.binary_search_by_key(&position, |(position, _)| *position).ok()?;
        Some(&self.all[self.positions[found].1])
    }

    /// So many parts from this one on.
    pub(super) fn range(&self, first: i64, count: i64) -> Option<&[Bytes]> {
        let (first, count) = (usize::try_from(first).ok()?, usize::try_from(count).ok()?);
        self.all.get(first..first.checked_add(count)?)
    }

    /// How many bytes they have.
    pub(super) fn size(&self) -> usize {
        self.all.iter().map(Bytes::len).sum()
    }
}

/// A number of things of this size, and what follows it, in which they all are.
fn counted(message: &[u8], size: usize) -> Result<(usize, &[u8]), String> {
    let (count, rest) = message.split_first_chunk().ok_or("it ends too early")?;
    let count = usize::try_from(u64::from_le_bytes(*count)).ok();
    let fits = count.filter(|count| count.checked_mul(size).is_some_and(|bytes| bytes <= rest.len()));
    fits.map(|count| (count, rest)).ok_or_else(|| "it ends too early".to_owned())
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks().0.iter().map(|number| u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests;
