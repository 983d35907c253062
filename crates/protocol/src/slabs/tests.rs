//! Tests of both sides together, over a real control socket.

mod grants;

use std::cell::RefCell;

use bytes::Bytes;
use pushflow_model::{CodecError, Data, List, MAX_DEPTH, Payload, Value};
use pushflow_os::SeqPacket;

use super::packed::{ApartValue, Body, LongBytes};
use super::*;
use crate::transport::TransportError;

/// The length of a text that is too long for the message.
const LONG: usize = 100_000;

fn ends(store: &SlabStore) -> (RefCell<SchedulerSide>, WorkerSide) {
    let (ours, theirs) = SeqPacket::pair().unwrap();
    (RefCell::new(SchedulerSide::new(store.clone(), ours)), WorkerSide::new(theirs))
}

fn data(text: &str, length: usize) -> Data {
    Data::new().with("short", 1).with("long", text.repeat(length)).with("other", text.repeat(length / 2))
}

fn first_reference(packed: &PackedData) -> Reference {
    packed.apart[0].encoded.unwrap()
}

fn is_inline(packed: &PackedData) -> bool {
    packed.apart.is_empty() && matches!(packed.body, Body::Inline(_))
}

fn assert_same(left: &Data, right: &Data) {
    assert_eq!(left.len(), right.len());
    for (key, value) in left {
        assert_eq!(value.value(), right.payload(key).unwrap().value(), "{key}");
    }
}

/// Packs data in the worker, with a scheduler that answers each request at once.
fn write(scheduler: &RefCell<SchedulerSide>, worker: &WorkerSide, data: &Data) -> PackedData {
    worker.pack(data, |bytes| worker.granted(scheduler.borrow_mut().grant(bytes))).unwrap()
}

fn settle(scheduler: &RefCell<SchedulerSide>, worker: &WorkerSide) {
    worker.released().into_iter().for_each(|reference| scheduler.borrow_mut().released(reference).unwrap());
}

#[test]
fn values_up_to_16_kib_are_in_the_message_and_longer_ones_are_not() {
    let store = SlabStore::default();
    let (scheduler, worker) = ends(&store);
    // A tag and a length of three bytes.
    for (bytes, inline) in [(MAX_INLINE_BYTES - 5, true), (MAX_INLINE_BYTES - 4, true), (MAX_INLINE_BYTES - 3, false)] {
        let data = Data::new().with("x", Value::Bytes(vec![7; bytes].into()));
        let sent = scheduler.borrow_mut().pack(&data).unwrap();
        assert_eq!(sent.apart.is_empty(), inline, "{bytes}");
        let answered = write(&scheduler, &worker, &data);
        assert_eq!(answered.apart.is_empty(), inline, "{bytes}");
    }
    let many: Data =
        (0..100u32).map(|position| (position, Payload::from(Value::Bytes(vec![7; 1000].into())))).collect();
    let sent = scheduler.borrow_mut().pack(&many).unwrap();
    assert!(sent.apart.is_empty() && matches!(sent.body, Body::InSlab(_)), "all of it in one piece");
    assert_same(&worker.open(sent).unwrap().into_data().unwrap(), &many);
}

#[test]
fn inputs_arrive_whole_and_their_memory_is_free_when_the_last_copy_is_dropped() {
    let store = SlabStore::default();
    let (scheduler, worker) = ends(&store);
    let inputs = data("abc", LONG);
    let packed = scheduler.borrow_mut().pack(&inputs).unwrap();
    let arrived = worker.open(packed).unwrap().into_data().unwrap();
    assert_same(&arrived, &inputs);
    let kept = arrived.named("long").unwrap().clone();
    drop((arrived, inputs));
    settle(&scheduler, &worker);
    let of_one = 3 * LONG..4 * LONG;
    assert!(of_one.contains(&store.used()), "the one that is kept, not its neighbour: {}", store.used());
    drop(kept);
    settle(&scheduler, &worker);
    assert_eq!(store.used(), 0);
}

#[test]
fn results_arrive_whole_and_their_memory_is_free_when_the_last_copy_is_dropped() {
    let store = SlabStore::default();
    let (scheduler, worker) = ends(&store);
    for length in [LONG, 5 * LONG, 20 * LONG] {
        let result = data("xyz", length);
        let packed = write(&scheduler, &worker, &result);
        assert_eq!(packed.apart.len(), 2);
        let arrived = scheduler.borrow_mut().open(packed).unwrap().into_data().unwrap();
        assert_same(&arrived, &result);
        let copy = arrived.clone();
        drop(arrived);
        assert!(store.used() > 4 * length);
        drop(copy);
        settle(&scheduler, &worker);
        assert!(
            store.used() <= store::MAX_SHARED_BYTES,
            "only the grant for the next results is left: {}",
            store.used()
        );
    }
    drop(scheduler);
    assert_eq!(store.used(), 0, "nothing is left of a worker that has ended");
}

#[test]
fn a_result_that_nobody_looks_at_is_handed_on_where_it_lies() {
    let store = SlabStore::default();
    let ((first, first_worker), (second, second_worker)) = (ends(&store), ends(&store));
    let packed = write(&first, &first_worker, &data("abc", LONG));
    let arrived = first.borrow_mut().open(packed.clone()).unwrap().into_data().unwrap();
    let handed_on = second.borrow_mut().pack(&arrived).unwrap();
    assert_eq!(handed_on.apart, packed.apart);
    drop((first, first_worker, arrived));
    let inputs = second_worker.open(handed_on.clone()).unwrap().into_data().unwrap();
    assert_same(&inputs, &data("abc", LONG));
    // And back again, by a task that returns its inputs.
    let returned = write(&second, &second_worker, &inputs);
    assert_eq!(returned.apart, handed_on.apart);
    let back = second.borrow_mut().open(returned).unwrap().into_data().unwrap();
    drop(inputs);
    settle(&second, &second_worker);
    assert_same(&back, &data("abc", LONG));
    drop(back);
    assert_eq!(store.used(), 0);
}

#[test]
fn inputs_that_several_attempts_get_are_written_once() {
    let store = SlabStore::default();
    let ((first, first_worker), (second, second_worker)) = (ends(&store), ends(&store));
    let inputs = data("abc", LONG);
    let packed = [&first, &first, &second].map(|scheduler| scheduler.borrow_mut().pack(&inputs).unwrap());
    assert!(packed.iter().all(|one| *one == packed[0]));
    let [one, two, three] = packed;
    drop(inputs);
    drop(first_worker.open(one).unwrap());
    settle(&first, &first_worker);
    for (packed, worker) in [(two, &first_worker), (three, &second_worker)] {
        assert_same(&worker.open(packed).unwrap().into_data().unwrap(), &data("abc", LONG));
    }
    settle(&first, &first_worker);
    settle(&second, &second_worker);
    assert_eq!(store.used(), 0);
}

#[test]
fn short_results_in_a_row_find_memory_without_waiting() {
    let store = SlabStore::default();
    let (scheduler, worker) = ends(&store);
    let mut asked = Vec::new();
    for round in 0..100 {
        // The request is answered after the result was written: a worker that waited for the answer would wait for
        // ever.
        let waits = round == 0;
        let mut asks = Vec::new();
        let packed = worker.pack(&Data::new().with("x", "x".repeat(30_000)), |bytes| {
            asks.push(bytes);
            if waits && asks.len() == 1 {
                worker.granted(scheduler.borrow_mut().grant(bytes));
            }
        });
        assert!(!is_inline(packed.as_ref().unwrap()));
        drop(scheduler.borrow_mut().open(packed.unwrap()).unwrap());
        asks.iter().skip(usize::from(waits)).for_each(|bytes| worker.granted(scheduler.borrow_mut().grant(*bytes)));
        settle(&scheduler, &worker);
        asked.extend(asks);
    }
    assert!((10..=20).contains(&asked.len()), "{} questions", asked.len());
}

#[test]
fn a_worker_that_gets_no_grant_or_no_answer_sends_its_result_in_the_message() {
    let (_, worker) = ends(&SlabStore::default());
    let result = data("abc", LONG);
    let refused = worker.pack(&result, |_| worker.granted(None)).unwrap();
    assert!(is_inline(&refused));
    let (asked, question) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| worker.pack(&result, |bytes| asked.send(bytes).unwrap()).unwrap());
        question.recv().unwrap();
        worker.close();
        assert!(is_inline(&waiting.join().unwrap()));
    });
}

#[test]
fn a_worker_that_is_stopped_is_sent_values_in_the_message() {
    let store = SlabStore::default();
    let (scheduler, worker) = ends(&store);
    // Each of these needs a slab of its own, and the worker takes none of them.
    let values: Vec<Data> = (0..3).map(|_| data("abc", LONG)).collect();
    let first = scheduler.borrow_mut().pack(&values[0]).unwrap();
    assert!(!is_inline(&first));
    let (stopped, control) = SeqPacket::pair().unwrap();
    while stopped.send(&[0; 1000], &[], false).is_ok() {}
    let full = RefCell::new(SchedulerSide::new(store.clone(), stopped));
    assert!(is_inline(&full.borrow_mut().pack(&values[1]).unwrap()));
    assert!(full.borrow_mut().grant(1).is_none());
    while control.receive(false).is_ok() {}
    let worker_again = WorkerSide::new(control);
    let packed = full.borrow_mut().pack(&values[2]).unwrap();
    assert!(!is_inline(&packed), "it runs again");
    assert_same(&worker_again.open(packed).unwrap().into_data().unwrap(), &values[2]);
    drop(worker);
}

#[test]
fn a_value_that_cannot_be_encoded_leaves_nothing_lent_or_written() {
    let store = SlabStore::default();
    let (scheduler, worker) = ends(&store);
    let deep = (0..=MAX_DEPTH).fold(Value::Null, |value, _| Value::List(List::from(vec![value])));
    let broken = data("abc", LONG).with("deep", deep);
    assert_eq!(scheduler.borrow_mut().pack(&broken), Err(CodecError::TooDeep));
    for _ in 0..50 {
        let packed = worker.pack(&broken, |bytes| worker.granted(scheduler.borrow_mut().grant(bytes)));
        assert_eq!(packed, Err(CodecError::TooDeep));
        settle(&scheduler, &worker);
    }
    assert!(
        store.used() <= 2 * store::MAX_SHARED_BYTES,
        "only the grant for the next results is left: {}",
        store.used()
    );
    drop(broken);
    // The next results fit, wherever the released memory lies.
    let packed = write(&scheduler, &worker, &data("xyz", LONG));
    let arrived = scheduler.borrow_mut().open(packed).unwrap().into_data().unwrap();
    assert_same(&arrived, &data("xyz", LONG));
    settle(&scheduler, &worker);
    drop((arrived, scheduler));
    assert_eq!(store.used(), 0);
}

#[test]
fn retired_slabs_are_unmapped_by_the_workers_that_had_them() {
    let store = SlabStore::with_limits(store::Limits { max_free: 0, ..store::Limits::default() });
    let (scheduler, worker) = ends(&store);
    let packed = scheduler.borrow_mut().pack(&data("abc", LONG)).unwrap();
    assert_eq!(scheduler.borrow_mut().take_retired(), []);
    let slab = first_reference(&packed).slab;
    drop(worker.open(packed.clone()).unwrap());
    settle(&scheduler, &worker);
    assert_eq!(store.usage().0, 0);
    assert_eq!(scheduler.borrow_mut().take_retired(), [slab]);
    assert_eq!(scheduler.borrow_mut().take_retired(), []);
    worker.unmap(&[slab]);
    assert!(worker.open(packed).is_err(), "the slab is not there any more");
}

#[test]
fn a_worker_that_names_memory_that_it_was_not_given_is_an_error() {
    let store = SlabStore::default();
    let ((scheduler, _worker), (other, _other_worker)) = (ends(&store), ends(&store));
    let granted = scheduler.borrow_mut().grant(100_000).unwrap();
    let others = other.borrow_mut().grant(100_000).unwrap();
    let inputs = data("abc", LONG);
    let lent = first_reference(&scheduler.borrow_mut().pack(&inputs).unwrap());
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
        for packed in [
            PackedData { body: Body::InSlab(reference), apart: Vec::new() },
            PackedData {
                body: Body::Inline(Bytes::new()),
                apart: vec![ApartValue { index: 0, encoded: Some(reference), long: vec![] }],
            },
            PackedData {
                body: Body::Inline(Bytes::new()),
                apart: vec![ApartValue { index: 0, encoded: None, long: vec![LongBytes::InSlab(reference)] }],
            },
        ] {
            let opened = scheduler.borrow_mut().open(packed);
            assert!(matches!(opened, Err(TransportError::Garbage(_))), "{reference:?}");
        }
        assert!(matches!(scheduler.borrow_mut().released(reference), Err(TransportError::Garbage(_))), "{reference:?}");
    }
    let mut scheduler = scheduler.borrow_mut();
    scheduler.released(lent).unwrap();
    assert!(scheduler.released(lent).is_err(), "it was lent once");
    scheduler.released(granted).unwrap();
    assert!(scheduler.released(granted).is_err(), "it was granted once");
}

#[test]
fn a_worker_refuses_references_outside_its_slabs() {
    let store = SlabStore::default();
    let (scheduler, worker) = ends(&store);
    let right = first_reference(&scheduler.borrow_mut().pack(&data("abc", LONG)).unwrap());
    for reference in [
        Reference { slab: SlabId(99), ..right },
        Reference { offset: 1 << 40, ..right },
        Reference { offset: u64::MAX, ..right },
        Reference { length: u64::MAX, ..right },
    ] {
        let packed = PackedData { body: Body::InSlab(reference), apart: Vec::new() };
        assert!(matches!(worker.open(packed), Err(TransportError::Garbage(_))), "{reference:?}");
        let packed = worker.pack(&data("abc", LONG), |_| worker.granted(Some(reference)));
        assert!(packed.is_ok(), "{reference:?}");
    }
}
