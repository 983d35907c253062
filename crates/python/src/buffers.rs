//! [`Buffers`]: out-of-band buffers of pickles (PEP 574), in memory that a process shares with its Python interpreter.
//!
//! # Protocol of requests
//! A request with out-of-band buffers (`S`) begins with a table. It has for each buffer a *token*, the number of the file
//! that holds the buffer, the offset and the length. The interpreter asks for the files (`F`), which are sent with one
//! byte, and maps or reads the buffers. A buffer is on *lease*, and its memory is not used again, until the interpreter
//! releases the token with a reply (`L`), or ends. An interpreter that can't take the files answers `U`, and gets the
//! request again with everything in the message.
//!
//! # Protocol of replies
//! For the buffers of a reply the interpreter asks for grants of memory (`W`) and sends their lengths. The answer is one
//! byte with the files, and a message (`G`) with the file number and the offset of each grant; the message has no numbers
//! where there is not enough memory. The reply (`X`) has a table of its buffers. A buffer is in a grant, or is part of a
//! leased buffer, or is in the message itself where no memory was granted.
//!
//! # Validation
//! A reply may name only the grants that were made for it, each once and with its whole length, and leased buffers. Any
//! other reply is garbage: the interpreter is lost, and its attempt with it. A grant that the reply does not name is free
//! again.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use pushflow_protocol::slabs::{Grant, GrantSource, Place};

/// The length in bytes from which a buffer is sent out of band. Shorter buffers are copied faster than they are handed
/// over.
pub(super) const OUT_OF_BAND_FROM: usize = 64 * 1024;

/// How many files are sent at once at most; the kernel allows 253.
const MOST_FILES: usize = 250;

/// How many grants an interpreter may ask for at once.
const MOST_GRANTS: usize = 1000;

/// The length in bytes of one entry of the table of a reply.
const ENTRY: usize = 5 * 8;

/// The shared memory of one interpreter.
#[derive(Clone)]
pub(super) struct Buffers {
    grants: Arc<dyn GrantSource>,
    leases: Arc<Mutex<Leases>>,
}

/// The buffers that an interpreter has on lease, by their tokens.
#[derive(Default)]
struct Leases {
    last: u64,
    held: HashMap<u64, Bytes>,
}

/// The leases of one request.
#[derive(Default)]
pub(super) struct Lease {
    pub(super) files: Files,
    /// The table with which the request begins.
    pub(super) table: Vec<u8>,
}

/// The different files among some places.
#[derive(Default)]
pub(super) struct Files(Vec<Place>);

/// The out-of-band buffers of a reply.
#[derive(Default)]
pub(super) struct OutOfBand {
    all: Vec<Bytes>,
    /// The positions in the pickle at which it leaves out a buffer, in their order, with the index of the buffer.
    positions: Vec<(usize, usize)>,
}

impl Files {
    /// The files in the order of their numbers.
    pub(super) fn borrow(&self) -> Vec<BorrowedFd<'_>> {
        self.0.iter().map(Place::file).collect()
    }

    /// The number of the file of this place; adds the file if it is new.
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

    /// Leases buffers to the interpreter. Buffers outside of shared memory are copied there. `None` when there is no memory
    /// for the copies, or when the buffers are in too many files.
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

    /// Ends leases that the interpreter did not take.
    pub(super) fn release_lease(&self, lease: &Lease) {
        let tokens = numbers(lease.table.get(16..).unwrap_or_default()).step_by(4);
        tokens.for_each(|token| self.release(token));
    }

    /// Ends all leases: the interpreter has ended.
    pub(super) fn release_all(&self) {
        self.lock_leases().held.clear();
    }

    /// How many buffers are on lease.
    pub(super) fn leased_buffers(&self) -> usize {
        self.lock_leases().held.len()
    }

    fn copied(&self, part: &[u8]) -> Option<(Place, Bytes)> {
        let mut grant = self.grants.grant(part.len())?;
        grant.fill(part).ok()?;
        Some((grant.place().clone(), grant.into_bytes()))
    }

    fn release(&self, token: u64) {
        let released = self.lock_leases().held.remove(&token);
        // Dropped without the lock: the drop may free shared memory.
        drop(released);
    }

    /// Grants of these lengths, their files, and the answer to the interpreter; no grant at all if memory is short of one.
    ///
    /// # Errors
    /// When the interpreter asks for too many grants.
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

    /// Splits a message into its out-of-band buffers and the reply. The leases that the message releases end afterwards,
    /// since the reply may still name them.
    ///
    /// # Errors
    /// Why the message is malformed.
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

    /// The buffers of a table, and the rest of the message behind those that follow the table.
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
    /// The buffer that the pickle leaves out at this position.
    pub(super) fn at_position(&self, position: usize) -> Option<&Bytes> {
        let found = self.positions.binary_search_by_key(&position, |(position, _)| *position).ok()?;
        Some(&self.all[self.positions[found].1])
    }

    /// `count` buffers from the index `first` on; `None` where there are not so many.
    pub(super) fn range(&self, first: i64, count: i64) -> Option<&[Bytes]> {
        let (first, count) = (usize::try_from(first).ok()?, usize::try_from(count).ok()?);
        self.all.get(first..first.checked_add(count)?)
    }

    /// The length of all buffers together, in bytes.
    pub(super) fn size(&self) -> usize {
        self.all.iter().map(Bytes::len).sum()
    }
}

/// Reads the number of entries of `size` bytes; returns it with the rest of the message, which holds all of them.
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
