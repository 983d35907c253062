//! The buffers that an interpreter may name in a reply, and those that it may not.

use pushflow_protocol::slabs::SlabStore;

use super::*;

fn message(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn entry(fields: [u64; 5]) -> Vec<u8> {
    fields.into_iter().flat_map(u64::to_le_bytes).collect()
}

fn table(entries: &[[u64; 5]], rest: &[u8]) -> Vec<u8> {
    let entries: Vec<u8> = entries.iter().flat_map(|fields| entry(*fields)).collect();
    message(&[b"X", &count(&entries, ENTRY), &entries, rest])
}

fn count(bytes: &[u8], size: usize) -> [u8; 8] {
    ((bytes.len() / size) as u64).to_le_bytes()
}

/// Shared memory, and two grants of 5 and 7 bytes.
fn with_grants() -> (Buffers, Vec<Grant>) {
    let buffers = Buffers::new(Arc::new(SlabStore::default()));
    let (grants, _, _) = buffers.grant(&[5_u64.to_le_bytes(), 7_u64.to_le_bytes()].concat()).unwrap();
    assert_eq!(grants.len(), 2);
    (buffers, grants)
}

const NOWHERE: u64 = u64::MAX;

#[test]
fn parts_are_in_the_message_in_room_or_where_they_were() {
    let (buffers, mut grants) = with_grants();
    grants[0].fill(b"hello").unwrap();
    grants[1].fill(b"goodbye").unwrap();
    let lease = buffers.lease(vec![Bytes::from_static(b"0123456789")]).unwrap();
    let reply = table(&[[0, 0, 0, 2, 4], [1, 1, 0, 7, NOWHERE], [2, 1, 3, 4, 9]], b"inR...");
    let (parts, rest) = buffers.open(&reply, grants).unwrap();
    assert_eq!(rest, b"R...");
    assert_eq!(parts.range(0, 3).unwrap(), [&b"in"[..], b"goodbye", b"3456"]);
    assert_eq!(parts.at_position(4).map(|part| &**part), Some(&b"in"[..]));
    assert_eq!(parts.at_position(9).map(|part| &**part), Some(&b"3456"[..]));
    assert!(parts.at_position(5).is_none() && parts.range(2, 2).is_none() && parts.range(-1, 1).is_none());
    let released = message(&[b"L", &1_u64.to_le_bytes(), &1_u64.to_le_bytes(), b"N"]);
    assert_eq!(buffers.open(&released, Vec::new()).unwrap().1, b"N");
    assert_eq!(buffers.leased_buffers(), 0);
    drop(lease);
}

#[test]
fn what_was_not_given_is_garbage() {
    let wrong: [[u64; 5]; 12] = [
        [0, 0, 0, 100, 0],
        [0, 0, 0, u64::MAX, 0],
        [1, 0, 0, 4, 0],
        [1, 0, 0, 6, 0],
        [1, 2, 0, 5, 0],
        [1, u64::MAX, 0, 5, 0],
        [2, 1, 0, 11, 0],
        [2, 1, 11, 0, 0],
        [2, 1, u64::MAX, 1, 0],
        [2, 1, 1, u64::MAX, 0],
        [2, 2, 0, 1, 0],
        [3, 0, 0, 0, 0],
    ];
    for fields in wrong {
        let (buffers, grants) = with_grants();
        buffers.lease(vec![Bytes::from_static(b"0123456789")]).unwrap();
        assert!(buffers.open(&table(&[fields], b"R"), grants).is_err(), "{fields:?}");
    }
    let (buffers, grants) = with_grants();
    assert!(buffers.open(&table(&[[1, 0, 0, 5, 0], [1, 0, 0, 5, 0]], b"R"), grants).is_err(), "one grant, twice");
}

#[test]
fn a_reply_that_ends_early_is_garbage() {
    let (buffers, _) = with_grants();
    let whole = message(&[b"L", &1_u64.to_le_bytes(), &9_u64.to_le_bytes(), &table(&[[0, 0, 0, 2, 4]], b"in")]);
    for length in 1..whole.len() {
        let opened = buffers.open(&whole[..length], Vec::new());
        // Either the message is refused, or it ends after what was read.
        assert!(opened.is_err() || opened.is_ok_and(|(_, rest)| rest.is_empty()), "{length}");
    }
    for huge in [b"L", b"X"] {
        assert!(buffers.open(&message(&[huge, &u64::MAX.to_le_bytes()]), Vec::new()).is_err());
    }
}

#[test]
fn memory_that_is_not_available_is_refused_and_a_request_without_measure_is_garbage() {
    let buffers = Buffers::new(Arc::new(SlabStore::default()));
    for lengths in [&[1 << 60][..], &[100, u64::MAX], &[100, 1 << 50]] {
        let lengths: Vec<u8> = lengths.iter().flat_map(|length: &u64| length.to_le_bytes()).collect();
        let (grants, files, places) = buffers.grant(&lengths).unwrap();
        assert!(grants.is_empty() && files.borrow().is_empty() && places.is_empty());
    }
    assert!(buffers.grant(&vec![0; 8 * (MOST_GRANTS + 1)]).is_err());
}

#[test]
fn what_is_in_no_shared_memory_is_copied_there_and_what_is_there_is_not() {
    let (buffers, grants) = with_grants();
    let [mut first, _] = <[Grant; 2]>::try_from(grants).unwrap();
    first.fill(b"hello").unwrap();
    let (place, there) = (first.place().clone(), first.into_bytes());
    let lease = buffers.lease(vec![there.clone(), Bytes::from_static(b"elsewhere")]).unwrap();
    assert_eq!(lease.files.borrow().len(), 1);
    let fields: Vec<u64> = numbers(&lease.table).collect();
    assert_eq!(fields[..6], [2, 1, 1, 0, place.offset() as u64, 5]);
    assert_eq!((fields[6], fields[9]), (2, 9));
    assert_eq!(buffers.leased_buffers(), 2);
    buffers.release_lease(&lease);
    assert_eq!(buffers.leased_buffers(), 0);
}
