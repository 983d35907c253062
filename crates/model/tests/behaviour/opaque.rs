//! Opaque values: readers see their views, and conversions pass them on whole.

use std::collections::BTreeMap;

use pushflow_model::{CodecError, Data, MAX_DEPTH, Map, Opaque, Payload, Value, from_value, parse_json, to_value};
use serde::{Deserialize, Serialize};

use crate::values::{BOTTOMLESS, on_a_small_stack, opaque_around};

fn array() -> Value {
    Opaque::new("pickle", "numpy.ndarray").with_text("array([1, 2])").with_content(vec![7; 3]).into()
}

fn tuple(elements: Vec<Value>) -> Value {
    Opaque::new("python", "tuple").with_view(elements.into()).into()
}

fn dict(entries: [(&str, Value); 1]) -> Value {
    Opaque::new("python", "dict").with_content(vec![1]).with_view(Map::from_iter(entries).into()).into()
}

#[test]
fn a_typed_reader_sees_the_view_wherever_it_is() {
    let value = tuple(vec![dict([("1", tuple(vec![1.into(), "a".into()]))])]);
    let read: Vec<BTreeMap<i64, (i32, String)>> = from_value(&value).unwrap();
    assert_eq!(read, [BTreeMap::from([(1, (1, "a".to_owned()))])]);
}

#[test]
fn a_typed_reader_of_a_value_without_view_is_told_its_type_and_place() {
    let error = from_value::<Vec<i64>>(&tuple(vec![1.into(), array()])).unwrap_err().to_string();
    assert_eq!(error, "expected i64, found an opaque value of type numpy.ndarray, at [1]");
}

#[test]
fn a_struct_with_values_in_it_hands_them_on_unchanged() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Scan {
        image: Value,
        more: Vec<Value>,
        last: Option<Value>,
    }
    let scan = Scan { image: array(), more: vec![tuple(vec![array()])], last: Some(array()) };
    let value = to_value(&scan).unwrap();
    assert_eq!(value.as_map().unwrap()["image"], array());
    assert_eq!(from_value::<Scan>(&value).unwrap(), scan);
}

#[test]
fn json_shows_the_view_or_type_and_text_which_is_read_as_a_map() {
    let value = tuple(vec![dict([("1", ().into())]), array()]);
    let json = value.to_json().unwrap().to_string();
    assert_eq!(json, r#"[{"1":null},{"$type":"numpy.ndarray","$repr":"array([1, 2])"}]"#);
    assert!(matches!(parse_json(&json), Ok(Value::List(list)) if matches!(list[1], Value::Map(_))));
}

#[test]
fn the_words_about_a_value_are_those_of_its_view() {
    assert_eq!((tuple(vec![]).type_name(), array().type_name()), ("a list", "an opaque value"));
    assert_eq!(dict([("x", 1.into())]).as_map().unwrap()["x"], Value::Int(1));
}

#[test]
fn a_view_of_a_view_is_the_view_itself() {
    let inner = Opaque::new("a", "b").with_view(1.into());
    assert_eq!(Opaque::new("c", "d").with_view(inner.into()).view(), Some(&Value::Int(1)));
    assert_eq!(Opaque::new("c", "d").with_view(array()).view(), None);
    // Wire form: codec, type, text, content, then a view that is opaque.
    let refused = Payload::from_encoded(vec![8, 0, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0].into());
    let expected = CodecError::Malformed("a view is opaque, at byte 6 of 12".into());
    assert_eq!(refused.value(), Err(expected));
}

#[test]
fn the_fields_of_an_opaque_map_are_those_of_its_view() {
    let decoded = Payload::from(dict([("x", array())]));
    let encoded = Payload::from_encoded(decoded.encoded().unwrap().clone());
    for payload in [decoded, encoded] {
        assert_eq!(payload.fields().unwrap().unwrap().value("x").unwrap(), Some(&array()));
    }
    assert!(Payload::from(array()).fields().unwrap().is_none());
    assert_eq!(Data::from_map(dict([("x", 1.into())])).unwrap().value("x").unwrap(), Some(&Value::Int(1)));
}

#[test]
fn the_levels_of_an_opaque_value_are_those_of_its_view() {
    on_a_small_stack(|| {
        let deepest = opaque_around(array(), MAX_DEPTH);
        assert_eq!(to_value(&deepest).unwrap(), deepest);
        assert_eq!(from_value::<Value>(&deepest).unwrap(), deepest);
        assert!(deepest.to_json().is_ok());
        for levels in [MAX_DEPTH + 1, BOTTOMLESS] {
            let too_deep = opaque_around(array(), levels);
            assert!(to_value(&too_deep).is_err() && from_value::<Value>(&too_deep).is_err());
            assert_eq!(too_deep.to_json(), Err(CodecError::TooDeep));
        }
        // One level more than there may be, half of it outside of the opaque value.
        let around = |value: Value| (0..64).fold(value, |inside, _| Value::from(vec![inside]));
        assert!(to_value(&around(opaque_around(array(), MAX_DEPTH - 64))).is_ok());
        assert!(to_value(&around(opaque_around(array(), MAX_DEPTH - 63))).is_err());
    });
}
