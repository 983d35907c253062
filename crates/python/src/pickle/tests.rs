//! Pickles that Rust writes and reads again, and hostile pickles.

use proptest::prelude::*;
use pushflow_model::{Map, Value};

use super::read::Malformed;
use super::value::Pickled;
use super::write::{PickleWriter, Unwritable};
use crate::buffers::OutOfBand;

fn written(value: &Value) -> Vec<u8> {
    let mut pickle = PickleWriter::new(Vec::new());
    pickle.value(value).unwrap();
    pickle.finish()
}

fn read(bytes: &[u8]) -> Result<Value, String> {
    let parts = OutOfBand::default();
    let pickled = Pickled::read(bytes, &parts).map_err(|error| error.to_string())?;
    pickled.into_value().map_err(|error| error.to_string())
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(Value::Null, |value, _| Value::from(vec![value]))
}

#[test]
fn a_value_may_nest_as_deep_as_values_may_and_no_deeper() {
    let deepest = nested(pushflow_model::MAX_DEPTH);
    assert_eq!(read(&written(&deepest)).unwrap(), deepest);
    let too_deep = nested(pushflow_model::MAX_DEPTH + 1);
    assert_eq!(PickleWriter::new(Vec::new()).value(&too_deep), Err(Unwritable::TooDeep));
}

#[test]
fn every_length_of_text_has_its_operation() {
    for length in [0, 1, 255, 256, 70_000] {
        let value = Value::from("x".repeat(length));
        assert_eq!(read(&written(&value)).unwrap(), value);
    }
}

#[test]
fn a_pickle_that_calls_anything_is_refused() {
    // The pickle of `os.system`, and of a call of it.
    for exploit in [&b"cposix\nsystem\n(S'true'\ntR."[..], b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."]
    {
        assert!(read(exploit).is_err(), "{exploit:?}");
    }
}

#[test]
fn a_pickle_that_ends_early_or_goes_on_is_refused() {
    let whole = written(&Value::from(vec![Value::from("text"), Value::Int(1 << 40), Value::Float(0.5)]));
    for length in 0..whole.len() {
        assert!(
            matches!(Pickled::read(&whole[..length], &OutOfBand::default()), Err(Malformed::Truncated)),
            "{length}"
        );
    }
    assert!(Pickled::read(&[&whole[..], b"N."].concat(), &OutOfBand::default()).is_err());
}

#[test]
fn a_length_beyond_the_input_takes_no_memory() {
    let bytes = [b"\x80\x04\x8e", &u64::MAX.to_le_bytes()[..], b"x."].concat();
    assert!(matches!(Pickled::read(&bytes, &OutOfBand::default()), Err(Malformed::Truncated)));
}

#[test]
fn shared_parts_can_not_grow_without_bound() {
    // Pairs of pairs, 100 levels deep; both halves of each pair are the same object.
    let mut bytes = b"\x80\x04]\x94".to_vec();
    for level in 0..100_u8 {
        bytes.extend([b'h', level, 0x86, 0x94]);
    }
    bytes.push(b'.');
    assert!(read(&bytes).unwrap_err().contains("repeats its parts so often"));
}

#[test]
fn marks_and_stack_are_never_crossed() {
    for bytes in [
        &b"(0."[..],
        b"N(a.",
        b"N(0.",
        b"]a.",
        b"}Nu.",
        b"}(Nu.",
        b"t.",
        b"\x94.",
        b"h\x00.",
        b".",
        b"NN.",
        b"R.",
        b"](.",
    ] {
        assert!(read(bytes).is_err(), "{bytes:?}");
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<i16>().prop_map(|number| Value::Int(number.into())),
        any::<f64>().prop_filter("equal to itself", |number| !number.is_nan()).prop_map(Value::Float),
        ".*".prop_map(Value::Str),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Value::Bytes(bytes.into())),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((".*", inner), 0..6)
                .prop_map(|entries| Value::Map(entries.into_iter().collect::<Map>())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in values()) {
        prop_assert_eq!(read(&written(&value)).unwrap(), value);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn no_operations_make_the_reader_panic(
        operations in proptest::collection::vec(
            proptest::sample::select(&b"N(01\x94h\x00\x01\x88KX]ae)\x85\x86\x87t}su\x8f\x90\x91\x93R\x8cQ."[..]), 0..60,
        ),
    ) {
        let _ = read(&[&operations[..], b"."].concat());
    }

    #[test]
    fn a_changed_byte_is_read_or_refused(value in values(), position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = written(&value);
        let position = position.index(bytes.len());
        bytes[position] = byte;
        let _ = read(&bytes);
    }
}
