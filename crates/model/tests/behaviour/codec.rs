//! The wire form: exact, and safe to read from any bytes.

use bytes::Bytes;
use proptest::prelude::*;
use pushflow_model::{
    APART_ABOVE, Apart, CodecError, Data, Form, Key, List, MAX_DEPTH, Map, Opaque, Payload, Value, decode_joined,
    encode_apart,
};

use crate::values::{
    BOTTOMLESS, any_value, any_value_or_opaque, lists_around, maps_around, on_a_small_stack, opaque_around, wire,
};

const INT: u8 = 2;
const STR: u8 = 4;
const BYTES: u8 = 5;
const LIST: u8 = 6;
const MAP: u8 = 7;
/// The byte before a length of eight bytes.
const EIGHT_BYTES: u8 = 253;

fn decode(bytes: impl Into<Bytes>) -> Result<Value, CodecError> {
    Payload::from_encoded(bytes.into()).value().cloned()
}

fn encode(value: Value) -> Result<Bytes, CodecError> {
    Payload::from(value).encoded().cloned()
}

fn malformed(bytes: impl Into<Bytes>) -> String {
    match decode(bytes) {
        Err(CodecError::Malformed(why)) => why,
        other => panic!("expected malformed bytes, got {other:?}"),
    }
}

proptest! {
    #[test]
    fn a_value_survives_the_wire_bit_by_bit(value in any_value_or_opaque()) {
        let encoded = wire(&value);
        prop_assert_eq!(wire(&decode(encoded.clone()).unwrap()), encoded);
    }

    #[test]
    fn every_truncation_of_a_value_is_an_error(value in any_value_or_opaque()) {
        let encoded = wire(&value);
        for end in 0..encoded.len() {
            prop_assert!(matches!(decode(encoded.slice(..end)), Err(CodecError::Malformed(_))), "{} bytes", end);
        }
    }

    #[test]
    fn bytes_after_the_end_of_a_value_are_an_error(value in any_value_or_opaque(), more in any::<u8>()) {
        let mut encoded = wire(&value).to_vec();
        encoded.push(more);
        prop_assert!(malformed(encoded).starts_with("1 bytes follow after its end"));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(prop_oneof![0u8..10, any::<u8>()], 0..200)) {
        let bytes = Bytes::from(bytes);
        let payload = Payload::from_encoded(bytes.clone());
        let _ = payload.fields();
        let _ = payload.value();
        if let Ok(data) = Data::decode(&bytes) {
            let _ = data.to_json();
        }
    }

    #[test]
    fn a_damaged_encoding_never_panics(value in any_value_or_opaque(), at in any::<prop::sample::Index>(), damage in any::<u8>()) {
        let mut encoded = wire(&value).to_vec();
        let at = at.index(encoded.len());
        encoded[at] ^= damage;
        let payload = Payload::from_encoded(encoded.into());
        let _ = payload.fields();
        let _ = payload.value();
    }

    #[test]
    fn data_survives_the_wire(values in prop::collection::vec((any::<Option<String>>(), any_value()), 0..5)) {
        let keys = values.iter().zip(0u32..).map(|((name, _), position)| match name {
            Some(name) => Key::from(name.as_str()),
            None => Key::from(position),
        });
        let data: Data = keys.zip(values.iter().map(|(_, value)| Payload::from(value.clone()))).collect();
        let encoded = data.encode().unwrap();
        let back = Data::decode(&encoded).unwrap();
        prop_assert_eq!(back.encode().unwrap(), encoded.clone());
        prop_assert!(back.iter().map(|(key, _)| key).eq(data.iter().map(|(key, _)| key)));
        for (key, payload) in &data {
            prop_assert_eq!(wire(back.payload(key).unwrap().value().unwrap()), wire(payload.value().unwrap()));
        }
        for end in 0..encoded.len() {
            prop_assert!(matches!(Data::decode(&encoded.slice(..end)), Err(CodecError::Malformed(_))));
        }
        let longer = Bytes::from([&encoded[..], &[0]].concat());
        prop_assert!(matches!(Data::decode(&longer), Err(CodecError::Malformed(_))));
    }

    #[test]
    fn the_fields_of_an_encoded_map_are_its_entries(value in any_value()) {
        let received = Payload::from_encoded(wire(&value));
        let fields = received.fields().unwrap();
        match &value {
            Value::Map(map) => {
                let fields = fields.expect("a map has fields");
                prop_assert_eq!(fields.len(), map.len());
                for ((key, payload), (name, value)) in fields.iter().zip(map.iter()) {
                    prop_assert_eq!(key.as_name(), Some(name.as_str()));
                    prop_assert_eq!(payload.encoded().unwrap(), &wire(value));
                }
            }
            _ => prop_assert!(fields.is_none()),
        }
    }
}

#[test]
fn the_wire_form_is_the_one_that_is_documented() {
    let map = Map::from_iter([("a", Value::Int(-1)), ("b", Value::Bool(true))]);
    let value = Value::from(vec![Value::Null, Value::Float(1.0), Value::Bytes(vec![9].into()), Value::Map(map)]);
    let expected: &[&[u8]] = &[
        &[LIST, 4],
        &[0],
        &[3, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        &[BYTES, 1, 9],
        &[MAP, 2, 1, b'a', INT, 1, 1, b'b', 1, 1],
    ];
    assert_eq!(wire(&value), expected.concat());
    let data: Data = [(Key::from("x"), Payload::from(Value::Null)), (Key::from(3), Payload::from(Value::Int(1)))]
        .into_iter()
        .collect();
    assert_eq!(data.encode().unwrap().as_ref(), [2, 0, 1, b'x', 1, 0, 1, 3, 2, INT, 2]);
}

#[test]
fn the_bytes_of_a_message_say_what_is_wrong_and_where() {
    assert_eq!(malformed(vec![]), "it ends too early, at byte 0 of 0");
    assert_eq!(malformed(vec![11]), "11 is no tag, at byte 1 of 1");
    assert_eq!(malformed(vec![1, 2]), "2 is no boolean, at byte 1 of 2");
    assert_eq!(malformed(vec![STR, 1, 0xff]), "a text is not UTF-8, at byte 1 of 3");
    assert_eq!(malformed(vec![INT, 255]), "a number is out of range, at byte 1 of 2");
    assert_eq!(malformed(vec![MAP, 2, 1, b'a', 0, 1, b'a', 0]), "the key \"a\" comes twice, at byte 8 of 8");
    assert_eq!(malformed(vec![0, 0]), "1 bytes follow after its end, at byte 1 of 2");
}

#[test]
fn a_hostile_length_is_refused_before_anything_is_reserved() {
    for tag in [STR, BYTES, LIST, MAP] {
        for length in [5, 1 << 20, 1 << 40, u64::MAX / 2, u64::MAX] {
            let bytes = [&[tag, EIGHT_BYTES][..], &length.to_le_bytes(), &[0; 4]].concat();
            let why = malformed(bytes.clone());
            assert!(why.starts_with("it ends too early"), "{why}");
            assert!(Payload::from_encoded(Bytes::from(bytes)).fields().is_err() || tag != MAP);
        }
    }
    for length in [2, 1 << 40, u64::MAX] {
        let bytes = [&[EIGHT_BYTES][..], &length.to_le_bytes(), &[0; 4]].concat();
        assert!(matches!(Data::decode(&bytes.into()), Err(CodecError::Malformed(_))));
    }
}

#[test]
fn lists_inside_one_another_cannot_all_claim_the_same_bytes() {
    // The rest of the input could hold each list alone, but not all of them.
    let claim = [&[LIST, EIGHT_BYTES][..], &900u64.to_le_bytes()].concat();
    let mut bytes = claim.repeat(MAX_DEPTH);
    bytes.resize(bytes.len() + 900, 0);
    assert_eq!(malformed(bytes.clone()), format!("it ends too early, at byte 30 of {}", bytes.len()));
}

#[test]
fn as_many_levels_as_documented_are_accepted_and_no_more() {
    on_a_small_stack(|| {
        for around in [lists_around, maps_around, opaque_around] {
            for core in [Value::Int(1), Value::Bytes(vec![1].into())] {
                let deepest = around(core.clone(), MAX_DEPTH);
                assert_eq!(decode(encode(deepest.clone()).unwrap()).unwrap(), deepest);
                assert_eq!(encode(around(core, MAX_DEPTH + 1)), Err(CodecError::TooDeep));
            }
            for empty in [Value::List(List::default()), Value::Map(Map::default())] {
                assert!(encode(around(empty.clone(), MAX_DEPTH - 1)).is_ok());
                assert_eq!(encode(around(empty, MAX_DEPTH)), Err(CodecError::TooDeep));
            }
        }
    });
}

#[test]
fn bytes_that_nest_too_deep_are_refused() {
    on_a_small_stack(|| {
        for level in [&[LIST, 1][..], &[MAP, 1, 0]] {
            let accepted = [level.repeat(MAX_DEPTH), vec![0]].concat();
            assert!(decode(accepted.clone()).is_ok());
            assert!(Payload::from_encoded(accepted.into()).fields().is_ok());
            for levels in [MAX_DEPTH + 1, BOTTOMLESS] {
                let refused = [level.repeat(levels), vec![0]].concat();
                assert_eq!(decode(refused.clone()), Err(CodecError::TooDeep));
                let fields = Payload::from_encoded(refused.into()).fields().map(|_| ());
                assert_eq!(fields, if level[0] == MAP { Err(CodecError::TooDeep) } else { Ok(()) });
            }
        }
    });
}

#[test]
fn a_bottomless_value_is_refused_and_dropped_without_overflow() {
    on_a_small_stack(|| {
        for around in [lists_around, maps_around, opaque_around] {
            let payload = Payload::from(around(Value::Null, BOTTOMLESS));
            assert_eq!(payload.encoded(), Err(CodecError::TooDeep));
            assert_eq!(Data::from_iter([("x", payload)]).encode(), Err(CodecError::TooDeep));
        }
    });
}

#[test]
fn decoded_data_shares_the_memory_of_its_bytes() {
    let encoded = Data::new().with("large", "x".repeat(1000)).encode().unwrap();
    let inside = encoded.as_ptr_range();
    let back = Data::decode(&encoded).unwrap();
    let value = back.named("large").unwrap().encoded().unwrap().clone();
    assert!(inside.contains(&value.as_ptr()), "the value was copied");
}

#[test]
fn data_passes_encoded_values_on_without_looking_at_them() {
    let not_a_value = Bytes::from_static(b"\xff\xff");
    let data = Data::from_iter([("x", Payload::from_encoded(not_a_value.clone()))]);
    let back = Data::decode(&data.encode().unwrap()).unwrap();
    assert_eq!(back.named("x").unwrap().encoded().unwrap(), &not_a_value);
    assert!(back.value("x").is_err());
}

#[test]
fn what_is_wrong_with_one_field_of_a_map_shows_when_that_one_is_asked_for() {
    let payload = Payload::from_encoded(Bytes::from_static(&[MAP, 2, 1, b'a', STR, 1, 0xff, 1, b'b', INT, 2]));
    let fields = payload.fields().unwrap().expect("a map");
    assert_eq!(fields.value("b").unwrap(), Some(&Value::Int(1)));
    assert!(fields.value("a").unwrap_err().to_string().contains("a text is not UTF-8"));
    for broken in [&[MAP, 1, 1, b'a', 9][..], &[MAP, 1, 1, b'a', LIST, 1], &[MAP, 0, 0], &[MAP, 1, 1, 0xff, 0]] {
        let fields = Payload::from_encoded(broken.into()).fields().map(|_| ());
        assert!(matches!(fields, Err(CodecError::Malformed(_))), "{broken:?}");
    }
}

#[test]
fn data_with_a_key_twice_or_an_unknown_key_tag_is_refused() {
    let twice = Bytes::from_static(&[2, 0, 1, b'a', 1, 0, 0, 1, b'a', 1, 0]);
    assert!(Data::decode(&twice).unwrap_err().to_string().contains("the key \"a\" comes twice"));
    let unknown = Bytes::from_static(&[1, 2, 1, b'a', 1, 0]);
    assert!(Data::decode(&unknown).unwrap_err().to_string().contains("2 is no tag"));
}

#[test]
fn values_that_travel_apart_are_put_back_in_their_places() {
    let names = ["a", "b", "c", "d"];
    for apart in 0..16 {
        let data = Data::from_iter(names.map(|name| (name, Payload::from(Value::from(name.repeat(50))))));
        let mut taken = Vec::new();
        let rest = encode_apart(&data, |index, payload| {
            let takes = apart & (1 << index) != 0;
            if takes {
                taken.push(whole(index, payload.encoded()?));
            }
            Ok(if takes { Form::Apart } else { Form::Whole })
        });
        let back = decode_joined(&rest.unwrap(), taken).unwrap();
        for name in names {
            assert_eq!(back.value(name).unwrap(), data.value(name).unwrap(), "{apart:b}");
        }
    }
}

#[test]
fn a_value_that_belongs_to_no_empty_entry_is_refused() {
    let full = Data::new().with("x", 1).encode().unwrap();
    for index in [0, 1, 7] {
        let refused = decode_joined(&full, vec![whole(index, &Bytes::from_static(&[0]))]);
        assert!(refused.unwrap_err().to_string().contains(&format!("what is apart does not fit entry {index}")));
    }
    let empty = encode_apart(&Data::new().with("x", 1), |_, _| Ok(Form::Apart)).unwrap();
    let twice = vec![whole(0, &Bytes::from_static(&[0])), whole(0, &Bytes::from_static(&[0]))];
    assert!(decode_joined(&empty, twice).is_err());
    let without_its_value = vec![Apart { index: 0, encoded: None, bytes: Vec::new() }];
    assert!(decode_joined(&empty, without_its_value).is_err());
}

fn whole(index: usize, encoded: &Bytes) -> Apart {
    Apart { index, encoded: Some(encoded.clone()), bytes: Vec::new() }
}

/// A value with every kind of long bytes, and these bytes.
fn with_long_bytes() -> (Value, [Bytes; 3]) {
    let long = [1, 2, 3].map(|byte| Bytes::from(vec![byte; APART_ABOVE + 1]));
    let [one, two, three] = long.clone();
    let opaque = Opaque::new("pickle", "array").with_content(one).with_buffers(vec![two, Bytes::from_static(b"short")]);
    let entries = [("opaque", opaque.with_view(Value::Null).into()), ("bytes", three.into()), ("int", Value::Int(1))];
    (Value::from(vec![Map::from_iter(entries)]), long)
}

#[test]
fn long_bytes_can_go_their_own_way_and_are_not_copied() {
    let (value, long) = with_long_bytes();
    let data = Data::new().with("x", value.clone()).with("y", 2);
    let mut taken = Vec::new();
    let rest = encode_apart(&data, |index, payload| {
        let apart = payload.outline()?.apart;
        if apart.is_empty() {
            return Ok(Form::Whole);
        }
        taken.push(Apart { index, encoded: None, bytes: apart });
        Ok(Form::Outline)
    });
    let rest = rest.unwrap();
    assert!(rest.len() < 200, "{} bytes", rest.len());
    let back = decode_joined(&rest, taken).unwrap();
    assert_eq!(back.value("x").unwrap(), Some(&value));
    assert_eq!(back.value("y").unwrap(), Some(&Value::Int(2)));
    let list = back.named("x").unwrap().value().unwrap();
    let Value::List(list) = list else { panic!("no list") };
    let map = list[0].as_map().unwrap();
    let Value::Opaque(opaque) = &map["opaque"] else { panic!("no opaque value") };
    let Value::Bytes(bytes) = &map["bytes"] else { panic!("no bytes") };
    for (here, there) in [&opaque.content, &opaque.buffers[0], &**bytes].into_iter().zip(&long) {
        assert_eq!(here.as_ptr(), there.as_ptr());
    }
}

#[test]
fn what_is_apart_is_in_the_whole_form_and_in_the_fields() {
    let (value, long) = with_long_bytes();
    let Value::List(list) = &value else { unreachable!("it is a list") };
    let payload = Payload::from(list[0].clone());
    let mut outline = Vec::new();
    payload.write_outline(&mut outline).unwrap();
    assert_eq!(outline.len(), payload.outline().unwrap().length);
    let arrived = Payload::from_outline(outline.into(), payload.outline().unwrap().apart);
    let fields = arrived.fields().unwrap().unwrap();
    assert_eq!(fields.value("int").unwrap(), Some(&Value::Int(1)));
    assert_eq!(fields.value("bytes").unwrap(), Some(&Value::from(long[2].clone())));
    assert_eq!(fields.value("opaque").unwrap(), Some(&list[0].as_map().unwrap()["opaque"]));
    let whole = arrived.encoded().unwrap();
    assert!(whole.len() > 3 * APART_ABOVE);
    assert_eq!(Payload::from_encoded(whole.clone()).value().unwrap(), &list[0]);
}

#[test]
fn a_number_for_which_nothing_is_apart_is_refused() {
    let (value, _) = with_long_bytes();
    let payload = Payload::from(value);
    let (mut outline, mut apart) = (Vec::new(), payload.outline().unwrap().apart);
    payload.write_outline(&mut outline).unwrap();
    apart.pop();
    let refused = Payload::from_outline(outline.clone().into(), apart).value().cloned().unwrap_err().to_string();
    assert!(refused.contains("nothing is apart as number 2"), "{refused}");
    let refused = Payload::from_encoded(outline.into()).value().cloned().unwrap_err().to_string();
    assert!(refused.contains("nothing is apart as number 0"), "{refused}");
}

proptest! {
    #[test]
    fn a_value_is_as_long_as_was_counted_and_the_same_wherever_it_is_written(value in any_value()) {
        let payload = Payload::from(value.clone());
        let mut written = Vec::new();
        payload.write_outline(&mut written).unwrap();
        prop_assert_eq!(payload.outline().unwrap().length, written.len());
        prop_assert!(payload.encoded_form().is_none(), "nobody asked for that form");
        prop_assert_eq!(payload.encoded().unwrap(), &written);
        let mut again = Vec::new();
        payload.write_outline(&mut again).unwrap();
        prop_assert_eq!(again, written);
        prop_assert_eq!(payload.outline().unwrap().length, payload.encoded().unwrap().len());
    }
}
