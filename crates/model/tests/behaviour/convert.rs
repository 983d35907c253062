//! Conversion between values and Rust types: the forms, the refusals, and their messages.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use pushflow_model::{Data, List, MAX_DEPTH, Map, Value, from_value, parse_json, to_value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::values::{BOTTOMLESS, any_value_or_opaque, lists_around, maps_around, on_a_small_stack, wire};

/// The value of a JSON text, for expectations.
fn json(text: &str) -> Value {
    parse_json(text).expect("the test's own JSON is right")
}

#[track_caller]
fn both_ways<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(rust: T, value: Value) {
    assert_eq!(to_value(&rust).unwrap(), value);
    assert_eq!(from_value::<T>(&value).unwrap(), rust);
}

#[track_caller]
fn refused<T: DeserializeOwned + std::fmt::Debug>(value: &Value, message: &str) {
    assert_eq!(from_value::<T>(value).unwrap_err().to_string(), message);
}

#[track_caller]
fn cannot_travel(rust: impl Serialize, message: &str) {
    assert_eq!(to_value(&rust).unwrap_err().to_string(), message);
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i32,
    y: Option<f64>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Meters(f64);

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
struct Id(u32);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Pair(i8, String);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    Round(f64),
    Box(i32, i32),
    Named { name: String },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Inner {
    Dot { at: Point },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(i64),
    Text(String),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Open {
    known: bool,
    #[serde(flatten)]
    rest: BTreeMap<String, i64>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nest(Option<Box<(Nest,)>>);

#[derive(Serialize)]
enum Holder {
    Pair(Value, u8),
    Named { inside: Value },
}

/// Bytes that are serde's bytes, not a sequence.
#[derive(Debug, PartialEq)]
struct Raw(Vec<u8>);

impl Serialize for Raw {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Raw;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Raw, E> {
                Ok(Raw(bytes.to_vec()))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = access.next_element()? {
                    bytes.push(byte);
                }
                Ok(Raw(bytes))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

proptest! {
    #[test]
    fn a_value_converts_to_itself(value in any_value_or_opaque()) {
        let encoded = wire(&value);
        prop_assert_eq!(wire(&to_value(&value).unwrap()), encoded.clone());
        prop_assert_eq!(wire(&from_value::<Value>(&value).unwrap()), encoded);
    }

    #[test]
    fn every_integer_type_goes_there_and_back(number in any::<i64>()) {
        both_ways(number, Value::Int(number));
        both_ways(number as i32, Value::Int((number as i32).into()));
        both_ways(number as u8, Value::Int((number as u8).into()));
        both_ways(number as i128, Value::Int(number));
        both_ways(number.unsigned_abs() >> 1, Value::Int((number.unsigned_abs() >> 1) as i64));
    }

    #[test]
    fn an_f32_is_the_same_number_as_a_float(number in any::<f32>()) {
        both_ways(number, Value::Float(f64::from(number)));
    }

    #[test]
    fn maps_with_keys_of_many_types_go_there_and_back(
        integers in prop::collection::hash_map(any::<i64>(), any::<bool>(), 0..5),
        large in prop::collection::hash_map(any::<u128>(), any::<()>(), 0..5),
        chars in prop::collection::hash_map(any::<char>(), any::<u8>(), 0..5),
        flags in prop::collection::hash_map(any::<bool>(), any::<Option<u8>>(), 0..3),
        texts in prop::collection::hash_map(any::<String>(), any::<String>(), 0..5),
    ) {
        let all = (integers, large, chars, flags, texts);
        prop_assert_eq!(from_value::<(HashMap<i64, bool>, HashMap<u128, ()>, _, _, _)>(&to_value(&all).unwrap()).unwrap(), all);
    }
}

#[test]
fn types_have_the_forms_that_serde_json_gives_them() {
    both_ways((), Value::Null);
    both_ways(None::<i32>, Value::Null);
    both_ways(Some(4), Value::Int(4));
    both_ways(true, Value::Bool(true));
    both_ways('ß', Value::from("ß"));
    both_ways("text".to_owned(), Value::from("text"));
    both_ways(Unit, Value::Null);
    both_ways(Meters(1.5), Value::Float(1.5));
    both_ways(Pair(1, "b".to_owned()), json(r#"[1, "b"]"#));
    both_ways((1, 2.0, "c".to_owned()), json(r#"[1, 2.0, "c"]"#));
    both_ways(Point { x: 1, y: None }, json(r#"{"x": 1, "y": null}"#));
    both_ways(vec![Point { x: 1, y: Some(0.5) }], json(r#"[{"x": 1, "y": 0.5}]"#));
    both_ways(Raw(vec![0, 255]), Value::Bytes(vec![0, 255].into()));
    both_ways(BTreeMap::from([(Id(7), 'x')]), json(r#"{"7": "x"}"#));
    both_ways(Either::Text("t".to_owned()), Value::from("t"));
    both_ways(Open { known: true, rest: BTreeMap::from([("a".to_owned(), 1)]) }, json(r#"{"known": true, "a": 1}"#));
}

#[test]
fn enums_are_tagged_by_their_variant() {
    both_ways(Shape::Empty, Value::from("Empty"));
    both_ways(Shape::Round(1.0), json(r#"{"Round": 1.0}"#));
    both_ways(Shape::Box(1, 2), json(r#"{"Box": [1, 2]}"#));
    both_ways(Shape::Named { name: "n".to_owned() }, json(r#"{"Named": {"name": "n"}}"#));
    both_ways(Inner::Dot { at: Point { x: 1, y: None } }, json(r#"{"kind": "dot", "at": {"x": 1, "y": null}}"#));
    assert_eq!(from_value::<Shape>(&json(r#"{"Empty": null}"#)).unwrap(), Shape::Empty);
}

#[test]
fn numbers_are_widened_and_never_narrowed() {
    assert_eq!(from_value::<f64>(&Value::Int(3)).unwrap(), 3.0);
    assert_eq!(from_value::<f32>(&Value::Int(3)).unwrap(), 3.0);
    refused::<i64>(&Value::Float(3.0), "expected i64, found the float 3.0");
    refused::<u8>(&Value::Int(256), "expected u8, found the integer 256");
    refused::<u64>(&Value::Int(-1), "expected u64, found the integer -1");
    refused::<i32>(&Value::Bool(true), "expected i32, found the boolean true");
    refused::<bool>(&Value::Int(1), "expected a boolean, found the integer 1");
}

#[test]
fn an_integer_beyond_64_bits_cannot_travel() {
    assert_eq!(to_value(&(i64::MAX as u64)).unwrap(), Value::Int(i64::MAX));
    cannot_travel(u64::MAX, "the integer 18446744073709551615 does not fit 64 bits with sign: pass it as text");
    cannot_travel(
        HashMap::from([("a", vec![i128::MIN])]),
        "the integer -170141183460469231731687303715884105728 does not fit 64 bits with sign: pass it as text, at a[0]",
    );
}

#[test]
fn bytes_and_lists_of_small_integers_stand_for_each_other() {
    assert_eq!(from_value::<Vec<u8>>(&Value::Bytes(vec![1, 2].into())).unwrap(), [1, 2]);
    assert_eq!(from_value::<[u8; 2]>(&Value::Bytes(vec![1, 2].into())).unwrap(), [1, 2]);
    assert_eq!(from_value::<Raw>(&json("[1, 255]")).unwrap(), Raw(vec![1, 255]));
    refused::<Raw>(&json("[1, 256]"), "expected u8, found the integer 256, at [1]");
    assert!(from_value::<[u8; 1]>(&Value::Bytes(vec![1, 2].into())).is_err());
}

#[test]
fn texts_and_bytes_can_be_borrowed() {
    let value = json(r#"["text", {"$bytes": "AAE="}]"#);
    let (text, bytes) = from_value::<(&str, &[u8])>(&value).unwrap();
    assert_eq!((text, bytes), ("text", &[0u8, 1][..]));
}

#[test]
fn a_refusal_says_what_was_expected_what_was_found_and_where() {
    refused::<i32>(&Value::from("7"), "expected i32, found the text \"7\"");
    refused::<i32>(&Value::from("s".repeat(41)), "expected i32, found a text of 41 bytes");
    refused::<String>(&Value::Bytes(vec![1].into()), "expected a string, found 1 bytes");
    refused::<Raw>(&Value::from("text"), "expected bytes, found the text \"text\"");
    refused::<String>(&Value::Null, "expected a string, found null");
    refused::<()>(&json("[]"), "expected unit, found a list");
    refused::<Vec<Point>>(&json(r#"[{"x": 1}, {"x": "a"}]"#), "expected i32, found the text \"a\", at [1].x");
    refused::<Point>(&json(r#"{"y": 1}"#), "missing field `x`");
    refused::<(i32, i32)>(&json("[1, 2, 3]"), "expected 2 elements, found a list of 3");
    refused::<HashMap<u8, u8>>(&json(r#"{"01": 1}"#), "expected u8, found the text \"01\"");
    refused::<Shape>(
        &Value::from("Oval"),
        "expected one of the variants Empty, Round, Box, Named, found the text \"Oval\"",
    );
    refused::<Shape>(&json(r#"{"Empty": 1}"#), "expected nothing in the variant \"Empty\", found an integer");
    refused::<Shape>(&json(r#"{"Box": [1, "b"]}"#), "expected i32, found the text \"b\", at Box[1]");
    refused::<Shape>(
        &Value::Int(1),
        "expected a variant's name, or a map with the name as its one key, found an integer",
    );
}

#[test]
fn what_is_no_key_is_refused_by_name() {
    cannot_travel(
        BTreeMap::from([(vec![1], 1)]),
        "a list can't be the key of a map: only texts, integers, booleans and chars can",
    );
    cannot_travel(
        BTreeMap::from([(Some(1), 1)]),
        "an option can't be the key of a map: only texts, integers, booleans and chars can",
    );
}

#[test]
fn a_key_that_comes_twice_is_refused() {
    let flattened = Open { known: true, rest: BTreeMap::from([("known".to_owned(), 1)]) };
    cannot_travel(flattened, "the key \"known\" comes twice");
    let error = serde_json::from_str::<Value>(r#"{"a": 1, "a": 2}"#).unwrap_err();
    assert!(error.to_string().starts_with("the key \"a\" comes twice"), "{error}");
}

#[test]
fn a_value_read_from_another_format_has_no_integer_beyond_64_bits() {
    let error = serde_json::from_str::<Value>("[9223372036854775808]").unwrap_err();
    assert!(error.to_string().starts_with("the integer 9223372036854775808 does not fit"), "{error}");
}

fn nest(levels: usize) -> Nest {
    (0..levels).fold(Nest(None), |inside, _| Nest(Some(Box::new((inside,)))))
}

#[test]
fn as_many_levels_as_documented_are_converted_and_no_more() {
    on_a_small_stack(|| {
        let too_deep = "the value nests deeper than 128 levels";
        let deepest = lists_around(Value::Null, MAX_DEPTH);
        assert_eq!(to_value(&nest(MAX_DEPTH)).unwrap(), deepest);
        assert_eq!(from_value::<Nest>(&deepest).unwrap(), nest(MAX_DEPTH));
        assert_eq!(from_value::<Value>(&deepest).unwrap(), deepest);
        assert_eq!(to_value(&deepest).unwrap(), deepest);

        let error = to_value(&nest(MAX_DEPTH + 1)).unwrap_err().to_string();
        assert!(error.starts_with(too_deep), "{error}");
        for around in [lists_around, maps_around] {
            for levels in [MAX_DEPTH + 1, BOTTOMLESS] {
                let value = around(Value::Null, levels);
                assert!(from_value::<Value>(&value).unwrap_err().to_string().starts_with(too_deep));
                assert!(to_value(&value).unwrap_err().to_string().starts_with(too_deep));
                assert!(serde_json::to_string(&value).unwrap_err().to_string().starts_with(too_deep));
            }
        }
        assert!(
            from_value::<Nest>(&lists_around(Value::Null, MAX_DEPTH + 1))
                .unwrap_err()
                .to_string()
                .starts_with(too_deep)
        );
    });
}

#[test]
fn the_levels_of_an_enum_are_those_of_its_form() {
    let inside = |levels| lists_around(Value::Null, levels);
    assert!(to_value(&Ok::<Value, ()>(inside(MAX_DEPTH - 1))).is_ok());
    assert!(to_value(&Ok::<Value, ()>(inside(MAX_DEPTH))).is_err());
    let tuple = |levels| to_value(&Holder::Pair(inside(levels), 0));
    let fields = |levels| to_value(&Holder::Named { inside: inside(levels) });
    assert!(tuple(MAX_DEPTH - 2).is_ok() && fields(MAX_DEPTH - 2).is_ok());
    assert!(tuple(MAX_DEPTH - 1).is_err() && fields(MAX_DEPTH - 1).is_err());
    let tagged = |levels| Value::Map(Map::from_iter([("Ok", inside(levels))]));
    assert!(from_value::<Result<Value, ()>>(&tagged(MAX_DEPTH - 1)).is_ok());
    assert!(from_value::<Result<Value, ()>>(&tagged(MAX_DEPTH)).is_err());
}

#[test]
fn data_converts_to_a_map_and_back_to_names() {
    let data = Data::new().with("a", 1).with(0, "first");
    let value = to_value(&data).unwrap();
    assert_eq!(value, json(r#"{"a": 1, "0": "first"}"#));
    let back = from_value::<Data>(&value).unwrap();
    assert_eq!(back.value("0").unwrap(), Some(&Value::from("first")));
    refused::<Data>(&Value::List(List::default()), "expected a map, found a list");
    cannot_travel(
        data.with("0", 1),
        "the data has both the position 0 and the name \"0\", which are one key of a map: rename one",
    );
}
