//! Payloads and data: when a form is made, which entry wins a merge, and that no payload gets into a log.

use pushflow_model::{CodecError, Data, Key, MAX_DEPTH, Map, Payload, Value};

use crate::values::{BOTTOMLESS, lists_around, maps_around, on_a_small_stack, wire};

#[test]
fn what_is_on_top_wins_a_merge_and_keeps_the_place_of_what_it_replaces() {
    let inputs = Data::new().with("a", 1).with("b", 2).with(0, "first");
    let merged = inputs.merged(&Data::new().with("c", 3).with("a", 10).with(0, "other"));
    let entries: Vec<_> = merged.iter().map(|(key, payload)| (key.to_string(), payload.value().unwrap())).collect();
    let expected = [("a", Value::from(10)), ("b", 2.into()), ("0", "other".into()), ("c", 3.into())];
    assert!(entries.into_iter().eq(expected.iter().map(|(name, value)| ((*name).to_owned(), value))));
}

#[test]
fn a_merge_shares_the_values_and_leaves_its_sources_alone() {
    let inputs = Data::new().with("a", "x".repeat(100));
    let merged = inputs.clone().merged(&Data::new().with("b", 1));
    assert!(std::ptr::eq(inputs.value("a").unwrap().unwrap(), merged.value("a").unwrap().unwrap()));
    assert_eq!((inputs.len(), merged.len()), (1, 2));
}

#[test]
fn a_position_and_a_name_of_the_same_digits_are_two_entries() {
    let data = Data::new().with(0, "position").with("0", "name");
    assert_eq!(data.len(), 2);
    assert_eq!(data.payload(&Key::Position(0)).unwrap().value().unwrap().as_str(), Some("position"));
    let twice = CodecError::KeyTwice("0".to_owned());
    assert_eq!(data.to_json(), Err(twice.clone()));
    assert_eq!(Payload::from_fields(data).value(), Err(twice));
}

#[test]
fn fields_become_one_map_with_positions_as_names() {
    let fields = Data::new().with("a", 1).with(7, "seven");
    let expected = Value::Map(Map::from_iter([("a", Value::from(1)), ("7", "seven".into())]));
    let payload = Payload::from_fields(fields);
    assert_eq!(payload.value().unwrap(), &expected);
    assert_eq!(payload.encoded().unwrap(), &wire(&expected));
    assert_eq!(payload.fields().unwrap().unwrap().len(), 2);
}

#[test]
fn looking_at_one_field_of_an_encoded_map_decodes_no_other() {
    let fields = Data::from_iter([
        ("good", Payload::from(Value::from(1))),
        ("large", Payload::from(Value::from("x".repeat(10_000)))),
    ]);
    let encoded = Payload::from_fields(fields).encoded().unwrap().clone();
    let received = Payload::from_encoded(encoded.clone());
    let fields = received.fields().unwrap().expect("a map");
    assert_eq!(fields.value("good").unwrap(), Some(&Value::Int(1)));
    let large = fields.named("large").unwrap();
    assert_eq!(format!("{large:?}"), "<10004 bytes encoded>");
    assert!(encoded.as_ptr_range().contains(&large.encoded().unwrap().as_ptr()), "the value was copied");
}

#[test]
fn only_maps_have_fields() {
    for value in [Value::Null, Value::from("text"), Value::from(vec![Value::Null])] {
        assert!(Payload::from_encoded(wire(&value)).fields().unwrap().is_none());
        assert!(Payload::from(value.clone()).fields().unwrap().is_none());
        assert!(Data::from_map(value).is_none());
    }
    let map = Value::Map(Map::from_iter([("a", 1)].map(|(name, value)| (name, Value::from(value)))));
    assert_eq!(Payload::from(map.clone()).fields().unwrap().unwrap().value("a").unwrap(), Some(&Value::Int(1)));
    assert_eq!(Data::from_map(map).unwrap().value("a").unwrap(), Some(&Value::Int(1)));
}

#[test]
fn a_form_is_made_once() {
    let payload = Payload::from(Value::from("text"));
    let copy = payload.clone();
    assert!(std::ptr::eq(payload.encoded().unwrap(), copy.encoded().unwrap()));
    let received = Payload::from_encoded(payload.encoded().unwrap().clone());
    assert!(std::ptr::eq(received.value().unwrap(), received.clone().value().unwrap()));
}

#[test]
fn no_payload_is_ever_formatted() {
    let secret = || Value::from("secret");
    let fields = Payload::from_fields(Data::new().with("inner", secret()));
    let mut data = Data::new().with("name", secret()).with(1, Value::Bytes(b"secret".to_vec().into()));
    data.insert("list".into(), Payload::from(Value::from(vec![secret()])));
    data.insert("fields".into(), fields);
    data.insert("encoded".into(), Payload::from_encoded(wire(&secret())));
    let text = format!("{data:?} {data:#?}");
    assert!(text.contains("name") && text.contains("<8 bytes encoded>") && text.contains("<a map of 1>"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn fields_inside_fields_are_limited_and_dropped_without_overflow() {
    on_a_small_stack(|| {
        let nest = |levels| {
            (0..levels)
                .fold(Payload::from(Value::Null), |inside, _| Payload::from_fields(Data::from_iter([("in", inside)])))
        };
        assert_eq!(nest(MAX_DEPTH).value().unwrap(), &maps_around(Value::Null, MAX_DEPTH));
        assert_eq!(nest(MAX_DEPTH + 1).value(), Err(CodecError::TooDeep));
        assert_eq!(nest(BOTTOMLESS / 10).encoded(), Err(CodecError::TooDeep));
    });
}

#[test]
fn fields_looked_at_one_level_at_a_time_are_limited_all_the_same() {
    let mut payload = Payload::from(Value::Null);
    for _ in 0..MAX_DEPTH {
        payload = Payload::from_fields(Data::from_iter([("in", payload)]));
        payload.value().unwrap();
    }
    assert_eq!(Payload::from_fields(Data::from_iter([("in", payload)])).value(), Err(CodecError::TooDeep));
}

#[test]
fn a_bottomless_value_has_no_fields_and_fits_in_none() {
    on_a_small_stack(|| {
        let map = Payload::from(maps_around(Value::Null, BOTTOMLESS));
        assert_eq!(map.fields().map(|_| ()), Err(CodecError::TooDeep));
        let list = Payload::from(lists_around(Value::Null, BOTTOMLESS));
        assert_eq!(Payload::from_fields(Data::from_iter([("in", list)])).value(), Err(CodecError::TooDeep));
    });
}

#[test]
fn a_value_takes_no_more_room_than_a_text_and_its_tag() {
    assert_eq!(size_of::<Value>(), 32);
}
