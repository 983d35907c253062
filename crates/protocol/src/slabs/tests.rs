//! Both sides together, over a real control socket.

mod rooms;

use std::cell::RefCell;

use bytes::Bytes;
use pushflow_os::SeqPacket;
use pushflow_value::{List, MAX_DEPTH, Value};

use super::*;
use crate::transport::TransportError;

/// One that is in no message.
const LONG: usize = 100_000;

fn ends(store: &SlabStore) -> (RefCell<Lender>, Borrower) {
    let (ours, theirs) = SeqPacket::pair().unwrap();
    (RefCell::new(Lender::new(store.clone(), ours)), Borrower::new(theirs))
}

fn data(text: &str, length: usize) -> Data {
    Data::new().with("short", 1).with("long", text.repeat(length)).with("other", text.repeat(length / 2))
}

fn first_reference(parcel: &Parcel) -> Reference {
    parcel.apart[0].encoded.unwrap()
}

fn is_inline(parcel: &Parcel) -> bool {
    parcel.apart.is_empty() && matches!(parcel.rest, Rest::Inline(_))
}

fn assert_same(left: &Data, right: &Data) {
    assert_eq!(left.len(), right.len());
    for (key, value) in left {
        assert_eq!(value.value(), right.payload(key).unwrap().value(), "{key}");
    }
}

/// What the worker writes down, with a scheduler that answers each of its questions at once.
fn write(lender: &RefCell<Lender>, borrower: &Borrower, data: &Data) -> Parcel {
    borrower.pack(data, |bytes| borrower.answer(lender.borrow_mut().grant(bytes))).unwrap()
}

fn settle(lender: &RefCell<Lender>, borrower: &Borrower) {
    borrower.released().into_iter().for_each(|reference| lender.borrow_mut().released(reference).unwrap());
}

#[test]
fn values_up_to_16_kib_are_in_the_message_and_longer_ones_are_not() {
    let store = SlabStore::default();
    let (lender, borrower) = ends(&store);
    // A tag and a length of three bytes.
    for (bytes, inline) in [(INLINE_MOST - 5, true), (INLINE_MOST - 4, true), (INLINE_MOST - 3, false)] {
        let data = Data::new().with("x", Value::Bytes(vec![7; bytes].into()));
        let sent = lender.borrow_mut().pack(&data).unwrap();
        assert_eq!(sent.apart.is_empty(), inline, "{bytes}");
        let answered = write(&lender, &borrower, &data);
        assert_eq!(answered.apart.is_empty(), inline, "{bytes}");
    }
    let many: Data =
        (0..100u32).map(|position| (position, Payload::from(Value::Bytes(vec![7; 1000].into())))).collect();
    let sent = lender.borrow_mut().pack(&many).unwrap();
    assert!(sent.apart.is_empty() && matches!(sent.rest, Rest::InSlab(_)), "all of it in one piece");
    assert_same(&borrower.open(sent).unwrap().into_data().unwrap(), &many);
}

#[test]
fn inputs_arrive_whole_and_their_memory_is_free_when_the_last_copy_is_dropped() {
    let store = SlabStore::default();
    let (lender, borrower) = ends(&store);
    let inputs = data("abc", LONG);
    let parcel = lender.borrow_mut().pack(&inputs).unwrap();
    let arrived = borrower.open(parcel).unwrap().into_data().unwrap();
    assert_same(&arrived, &inputs);
    let kept = arrived.named("long").unwrap().clone();
    drop((arrived, inputs));
    settle(&lender, &borrower);
    let of_one = 3 * LONG..4 * LONG;
    assert!(of_one.contains(&store.used()), "the one that is kept, not its neighbour: {}", store.used());
    drop(kept);
    settle(&lender, &borrower);
    assert_eq!(store.used(), 0);
}

#[test]
fn results_arrive_whole_and_their_memory_is_free_when_the_last_copy_is_dropped() {
    let store = SlabStore::default();
    let (lender, borrower) = ends(&store);
    for length in [LONG, 5 * LONG, 20 * LONG] {
        let result = data("xyz", length);
        let parcel = write(&lender, &borrower, &result);
        assert_eq!(parcel.apart.len(), 2);
        let arrived = lender.borrow_mut().open(parcel).unwrap().into_data().unwrap();
        assert_same(&arrived, &result);
        let copy = arrived.clone();
        drop(arrived);
        assert!(store.used() > 4 * length);
        drop(copy);
        settle(&lender, &borrower);
        assert!(store.used() <= store::SHARED_MOST, "only the room for the next results is left: {}", store.used());
    }
    drop(lender);
    assert_eq!(store.used(), 0, "nothing is left of a worker that is gone");
}

#[test]
fn a_result_that_nobody_looks_at_is_handed_on_where_it_lies() {
    let store = SlabStore::default();
    let ((first, first_borrower), (second, second_borrower)) = (ends(&store), ends(&store));
    let parcel = write(&first, &first_borrower, &data("abc", LONG));
    let arrived = first.borrow_mut().open(parcel.clone()).unwrap().into_data().unwrap();
    let handed_on = second.borrow_mut().pack(&arrived).unwrap();
    assert_eq!(handed_on.apart, parcel.apart);
    drop((first, first_borrower, arrived));
    let inputs = second_borrower.open(handed_on.clone()).unwrap().into_data().unwrap();
    assert_same(&inputs, &data("abc", LONG));
    // And back again, by a task that returns its inputs.
    let returned = write(&second, &second_borrower, &inputs);
    assert_eq!(returned.apart, handed_on.apart);
    let back = second.borrow_mut().open(returned).unwrap().into_data().unwrap();
    drop(inputs);
    settle(&second, &second_borrower);
    assert_same(&back, &data("abc", LONG));
    drop(back);
    assert_eq!(store.used(), 0);
}

#[test]
fn inputs_that_several_attempts_get_are_written_once() {
    let store = SlabStore::default();
    let ((first, first_borrower), (second, second_borrower)) = (ends(&store), ends(&store));
    let inputs = data("abc", LONG);
    let parcels = [&first, &first, &second].map(|lender| lender.borrow_mut().pack(&inputs).unwrap());
    assert!(parcels.iter().all(|parcel| *parcel == parcels[0]));
    let [one, two, three] = parcels;
    drop(inputs);
    drop(first_borrower.open(one).unwrap());
    settle(&first, &first_borrower);
    for (parcel, borrower) in [(two, &first_borrower), (three, &second_borrower)] {
        assert_same(&borrower.open(parcel).unwrap().into_data().unwrap(), &data("abc", LONG));
    }
    settle(&first, &first_borrower);
    settle(&second, &second_borrower);
    assert_eq!(store.used(), 0);
}

#[test]
fn small_results_in_a_row_find_room_without_waiting() {
    let store = SlabStore::default();
    let (lender, borrower) = ends(&store);
    let mut asked = Vec::new();
    for round in 0..100 {
        // Answered when the result is written: whoever waited for it would wait for ever.
        let waits = round == 0;
        let mut asks = Vec::new();
        let parcel = borrower.pack(&Data::new().with("x", "x".repeat(30_000)), |bytes| {
            asks.push(bytes);
            if waits && asks.len() == 1 {
                borrower.answer(lender.borrow_mut().grant(bytes));
            }
        });
        assert!(!is_inline(parcel.as_ref().unwrap()));
        drop(lender.borrow_mut().open(parcel.unwrap()).unwrap());
        asks.iter().skip(usize::from(waits)).for_each(|bytes| borrower.answer(lender.borrow_mut().grant(*bytes)));
        settle(&lender, &borrower);
        asked.extend(asks);
    }
    assert!((10..=20).contains(&asked.len()), "{} questions", asked.len());
}

#[test]
fn a_worker_that_gets_no_room_or_no_answer_sends_its_result_in_the_message() {
    let (_, borrower) = ends(&SlabStore::default());
    let result = data("abc", LONG);
    let refused = borrower.pack(&result, |_| borrower.answer(None)).unwrap();
    assert!(is_inline(&refused));
    let (asked, question) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| borrower.pack(&result, |bytes| asked.send(bytes).unwrap()).unwrap());
        question.recv().unwrap();
        borrower.close();
        assert!(is_inline(&waiting.join().unwrap()));
    });
}

#[test]
fn a_worker_that_is_stopped_is_sent_values_in_the_message() {
    let store = SlabStore::default();
    let (lender, borrower) = ends(&store);
    // Each of these needs a slab of its own, and the worker takes none of them.
    let values: Vec<Data> = (0..3).map(|_| data("abc", LONG)).collect();
    let first = lender.borrow_mut().pack(&values[0]).unwrap();
    assert!(!is_inline(&first));
    let (stopped, control) = SeqPacket::pair().unwrap();
    while stopped.send(&[0; 1000], &[], false).is_ok() {}
    let full = RefCell::new(Lender::new(store.clone(), stopped));
    assert!(is_inline(&full.borrow_mut().pack(&values[1]).unwrap()));
    assert!(full.borrow_mut().grant(1).is_none());
    while control.receive(false).is_ok() {}
    let borrower_again = Borrower::new(control);
    let parcel = full.borrow_mut().pack(&values[2]).unwrap();
    assert!(!is_inline(&parcel), "it runs again");
    assert_same(&borrower_again.open(parcel).unwrap().into_data().unwrap(), &values[2]);
    drop(borrower);
}

#[test]
fn a_value_that_cannot_be_encoded_leaves_nothing_lent_or_written() {
    let store = SlabStore::default();
    let (lender, borrower) = ends(&store);
    let deep = (0..=MAX_DEPTH).fold(Value::Null, |value, _| Value::List(List::from(vec![value])));
    let broken = data("abc", LONG).with("deep", deep);
    assert_eq!(lender.borrow_mut().pack(&broken), Err(CodecError::TooDeep));
    for _ in 0..50 {
        let packed = borrower.pack(&broken, |bytes| borrower.answer(lender.borrow_mut().grant(bytes)));
        assert_eq!(packed, Err(CodecError::TooDeep));
        settle(&lender, &borrower);
    }
    assert!(store.used() <= 2 * store::SHARED_MOST, "only the room for the next results is left: {}", store.used());
    drop(broken);
    // The next results fit, wherever what was given up lies.
    let parcel = write(&lender, &borrower, &data("xyz", LONG));
    let arrived = lender.borrow_mut().open(parcel).unwrap().into_data().unwrap();
    assert_same(&arrived, &data("xyz", LONG));
    settle(&lender, &borrower);
    drop((arrived, lender));
    assert_eq!(store.used(), 0);
}

#[test]
fn slabs_that_are_gone_are_forgotten_by_who_had_them() {
    let store = SlabStore::with_limits(store::Limits { kept: 0, ..store::Limits::default() });
    let (lender, borrower) = ends(&store);
    let parcel = lender.borrow_mut().pack(&data("abc", LONG)).unwrap();
    assert_eq!(lender.borrow_mut().gone(), []);
    let slab = first_reference(&parcel).slab;
    drop(borrower.open(parcel.clone()).unwrap());
    settle(&lender, &borrower);
    assert_eq!(store.usage().0, 0);
    assert_eq!(lender.borrow_mut().gone(), [slab]);
    assert_eq!(lender.borrow_mut().gone(), []);
    borrower.forget(&[slab]);
    assert!(borrower.open(parcel).is_err(), "the slab is not there any more");
}

#[test]
fn a_worker_that_names_what_is_not_its_own_is_garbage() {
    let store = SlabStore::default();
    let ((lender, _borrower), (other, _other_borrower)) = (ends(&store), ends(&store));
    let granted = lender.borrow_mut().grant(100_000).unwrap();
    let others = other.borrow_mut().grant(100_000).unwrap();
    let inputs = data("abc", LONG);
    let lent = first_reference(&lender.borrow_mut().pack(&inputs).unwrap());
    let wrong = [
        others,
        Reference { slab: SlabId(99), ..granted },
        Reference { length: granted.length + 1, ..granted },
        Reference { offset: granted.offset + 1, length: 5, ..granted },
        Reference { offset: u64::MAX, ..granted },
        Reference { length: u64::MAX, ..granted },
        Reference { offset: u64::MAX - 4095, length: u64::MAX, ..granted },
        Reference { length: lent.length + 1, ..lent },
        Reference { offset: lent.offset + lent.length, length: 5000, ..lent },
    ];
    for reference in wrong {
        for parcel in [
            Parcel { rest: Rest::InSlab(reference), apart: Vec::new() },
            Parcel {
                rest: Rest::Inline(Bytes::new()),
                apart: vec![Entry { index: 0, encoded: Some(reference), long: vec![] }],
            },
            Parcel {
                rest: Rest::Inline(Bytes::new()),
                apart: vec![Entry { index: 0, encoded: None, long: vec![Long::InSlab(reference)] }],
            },
        ] {
            let opened = lender.borrow_mut().open(parcel);
            assert!(matches!(opened, Err(TransportError::Garbage(_))), "{reference:?}");
        }
        assert!(matches!(lender.borrow_mut().released(reference), Err(TransportError::Garbage(_))), "{reference:?}");
    }
    let mut lender = lender.borrow_mut();
    lender.released(lent).unwrap();
    assert!(lender.released(lent).is_err(), "it was lent once");
    lender.released(granted).unwrap();
    assert!(lender.released(granted).is_err(), "it was granted once");
}

#[test]
fn a_worker_believes_no_reference_outside_its_slabs() {
    let store = SlabStore::default();
    let (lender, borrower) = ends(&store);
    let right = first_reference(&lender.borrow_mut().pack(&data("abc", LONG)).unwrap());
    for reference in [
        Reference { slab: SlabId(99), ..right },
        Reference { offset: 1 << 40, ..right },
        Reference { offset: u64::MAX, ..right },
        Reference { length: u64::MAX, ..right },
    ] {
        let parcel = Parcel { rest: Rest::InSlab(reference), apart: Vec::new() };
        assert!(matches!(borrower.open(parcel), Err(TransportError::Garbage(_))), "{reference:?}");
        let packed = borrower.pack(&data("abc", LONG), |_| borrower.answer(Some(reference)));
        assert!(packed.is_ok(), "{reference:?}");
    }
}
