//! Tests of long bytes inside values, and of what a worker's interpreter writes.

use std::os::fd::AsFd;

use pushflow_model::Opaque;

use super::*;

fn grant(scheduler: &RefCell<SchedulerSide>, worker: &WorkerSide, bytes: &[u8]) -> Grant {
    let mut grant = worker.grant(bytes.len(), |asked| worker.granted(scheduler.borrow_mut().grant(asked))).unwrap();
    grant.fill(bytes).unwrap();
    grant
}

/// Bytes that the interpreter has written, as they are in a worker's result.
fn written(scheduler: &RefCell<SchedulerSide>, worker: &WorkerSide, byte: u8) -> Bytes {
    grant(scheduler, worker, &vec![byte; LONG]).into_bytes()
}

fn array(buffer: &Bytes) -> Value {
    Opaque::new("pickle", "array").with_content(vec![1; 10]).with_buffers(vec![buffer.clone()]).into()
}

fn references(packed: &PackedData) -> Vec<Reference> {
    let long = packed.apart.iter().flat_map(|entry| &entry.long);
    long.map(|long| if let LongBytes::InSlab(reference) = long { *reference } else { panic!("inline") }).collect()
}

#[test]
fn what_an_interpreter_wrote_is_handed_on_where_it_lies() {
    let store = SlabStore::default();
    let ((first, first_worker), (second, second_worker)) = (ends(&store), ends(&store));
    let buffer = written(&first, &first_worker, 7);
    let nested = Value::from(vec![array(&buffer), Value::from(1)]);
    let packed = write(&first, &first_worker, &Data::new().with("x", nested.clone()));
    assert_eq!(references(&packed).len(), 1);
    drop(nested);
    drop(buffer);
    assert_eq!(first_worker.released(), [], "it is the scheduler's now");
    let arrived = first.borrow_mut().open(packed.clone()).unwrap().into_data().unwrap();
    let handed_on = second.borrow_mut().pack(&arrived).unwrap();
    assert_eq!(references(&handed_on), references(&packed));
    drop((arrived, first, first_worker));
    let inputs = second_worker.open(handed_on).unwrap().into_data().unwrap();
    let expected = Value::from(vec![array(&vec![7; LONG].into()), Value::from(1)]);
    assert_eq!(inputs.value("x").unwrap(), Some(&expected));
    // The interpreter of the second worker returns the bytes that it was lent, and a part of them.
    let Some(Value::List(list)) = inputs.value("x").unwrap() else { panic!("no list") };
    let Value::Opaque(opaque) = &list[0] else { panic!("no opaque value") };
    let lent = opaque.buffers[0].clone();
    assert!(second_worker.place(&lent).is_some());
    let result = Data::new().with("whole", array(&lent)).with("part", array(&lent.slice(8..LONG / 2)));
    let packed = write(&second, &second_worker, &result);
    let [whole, part] = references(&packed)[..] else { panic!("two references") };
    assert_eq!((part.slab, part.offset), (whole.slab, whole.offset + 8));
    let back = second.borrow_mut().open(packed).unwrap().into_data().unwrap();
    assert_same(&back, &result);
    drop((back, result, inputs, lent));
    settle(&second, &second_worker);
    drop(second);
    assert_eq!(store.used(), 0);
}

#[test]
fn what_was_written_and_is_in_no_result_is_free_again() {
    let store = SlabStore::default();
    let (scheduler, worker) = ends(&store);
    for _ in 0..100 {
        drop(written(&scheduler, &worker, 1));
        drop(grant(&scheduler, &worker, &[2; LONG]));
        settle(&scheduler, &worker);
    }
    assert!(store.used() <= 2 * store::MAX_SHARED_BYTES, "{}", store.used());
    drop(scheduler);
    assert_eq!(store.used(), 0);
}

#[test]
fn what_is_in_a_result_twice_or_in_part_is_copied() {
    let store = SlabStore::default();
    let (scheduler, worker) = ends(&store);
    let buffer = written(&scheduler, &worker, 7);
    let result = Data::new()
        .with("part", array(&buffer.slice(..LONG / 2)))
        .with("whole", array(&buffer))
        .with("again", array(&buffer));
    let packed = write(&scheduler, &worker, &result);
    let [part, whole, again] = references(&packed)[..] else { panic!("three references") };
    assert_eq!(whole.offset, worker.place(&buffer).unwrap().offset() as u64, "the whole is where it was written");
    assert!(part.offset != whole.offset && again.offset != whole.offset && part.offset != again.offset);
    let arrived = scheduler.borrow_mut().open(packed).unwrap().into_data().unwrap();
    assert_same(&arrived, &result);
    drop((result, buffer));
    settle(&scheduler, &worker);
}

#[test]
fn a_result_that_cannot_be_encoded_releases_what_was_written_for_it_once() {
    let store = SlabStore::default();
    let (scheduler, worker) = ends(&store);
    let deep = (0..=MAX_DEPTH).fold(Value::Null, |value, _| Value::List(List::from(vec![value])));
    for _ in 0..100 {
        let result = Data::new().with("x", array(&written(&scheduler, &worker, 1))).with("deep", deep.clone());
        let packed = worker.pack(&result, |bytes| worker.granted(scheduler.borrow_mut().grant(bytes)));
        assert_eq!(packed, Err(CodecError::TooDeep));
        drop(result);
        settle(&scheduler, &worker); // refuses memory that is released twice
    }
    assert!(store.used() <= 2 * store::MAX_SHARED_BYTES, "{}", store.used());
}

#[test]
fn long_bytes_in_memory_of_ones_own_are_written_once_for_all_attempts() {
    let store = SlabStore::default();
    let ((first, first_worker), (second, second_worker)) = (ends(&store), ends(&store));
    let data = Data::new().with("x", array(&vec![3; LONG].into()));
    let packed = [&first, &first, &second].map(|scheduler| scheduler.borrow_mut().pack(&data).unwrap());
    assert!(packed.iter().all(|one| *one == packed[0]));
    assert!(matches!(packed[0].body, Body::Inline(_)));
    let [one, two, three] = packed;
    for (packed, worker) in [(one, &first_worker), (two, &first_worker), (three, &second_worker)] {
        assert_same(&worker.open(packed).unwrap().into_data().unwrap(), &data);
    }
    drop(data);
    settle(&first, &first_worker);
    settle(&second, &second_worker);
    assert_eq!(store.used(), 0);
}

#[test]
fn without_a_grant_long_bytes_are_in_the_message() {
    let (_, worker) = ends(&SlabStore::default());
    assert!(worker.grant(LONG, |_| worker.granted(None)).is_none());
    let result = Data::new().with("x", array(&vec![3; LONG].into()));
    let packed = worker.pack(&result, |_| worker.granted(None)).unwrap();
    assert!(matches!(packed.apart[0].long[..], [LongBytes::Inline(_)]));
    let (scheduler, _worker) = ends(&SlabStore::default());
    assert_same(&scheduler.borrow_mut().open(packed).unwrap().into_data().unwrap(), &result);
}

#[test]
fn a_place_is_where_the_bytes_are() {
    let store = SlabStore::default();
    let mut grant = GrantSource::grant(&store, 3 * LONG).unwrap();
    grant.fill(&[9; 3 * LONG]).unwrap();
    let place = grant.place().clone();
    let bytes = grant.into_bytes();
    let part = store.place(&bytes.slice(5..7)).unwrap();
    assert!(part.shares_file(&place));
    assert_eq!(part.offset(), place.offset() + 5);
    let mut read = [0; 2];
    nix::sys::uio::pread(part.file().as_fd(), &mut read, part.offset() as i64).unwrap();
    assert_eq!(read, [9, 9]);
    assert!(store.place(&Bytes::from_static(b"elsewhere")).is_none());
}
