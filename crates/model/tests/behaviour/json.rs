//! JSON: exact in both directions, and precise in its refusals.

use proptest::prelude::*;
use pushflow_model::{CodecError, Data, JsonError, MAX_DEPTH, Map, Value, parse_json};

use crate::values::{BOTTOMLESS, any_value, lists_around, maps_around, on_a_small_stack, wire, with_plain_nan};

fn print(value: &Value) -> String {
    value.to_json().expect("the value is shallow").to_string()
}

#[track_caller]
fn refused(text: &str, message: &str) {
    assert_eq!(parse_json(text).unwrap_err().to_string(), message);
}

fn map_of(name: &str, value: impl Into<Value>) -> Value {
    Value::Map(Map::from_iter([(name, value.into())]))
}

proptest! {
    #[test]
    fn a_value_survives_json_bit_by_bit(value in any_value().prop_map(with_plain_nan)) {
        let compact = print(&value);
        let pretty = serde_json::to_string_pretty(&value.to_json().unwrap()).unwrap();
        prop_assert_eq!(wire(&parse_json(&compact).unwrap()), wire(&value));
        prop_assert_eq!(wire(&parse_json(&pretty).unwrap()), wire(&value));
    }

    #[test]
    fn every_truncation_of_a_list_is_an_error(value in any_value()) {
        let text = print(&Value::from(vec![value]));
        for (end, _) in text.char_indices() {
            prop_assert!(parse_json(&text[..end]).is_err(), "{}", &text[..end]);
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "[\\[\\]{}\",:0-9eE.+\\-\\\\ \n$a-z\u{e9}]{0,40}") {
        if let Err(JsonError { line, column, .. }) = parse_json(&text) {
            prop_assert!(line >= 1 && column >= 1);
        }
    }

    #[test]
    fn integer_literals_are_integers_or_refused(number in any::<i128>(), shift in 0u32..120) {
        let number = number >> shift;
        match i64::try_from(number) {
            Ok(expected) => prop_assert_eq!(parse_json(&number.to_string()).unwrap(), Value::Int(expected)),
            Err(_) => refused(
                &format!("[\"1\", {number}]"),
                &format!(
                    "the integer {number} does not fit 64 bits with sign: pass it as text, at line 1 column {}",
                    6 + number.to_string().len()
                ),
            ),
        }
    }
}

#[test]
fn numbers_keep_their_kind_and_their_sign() {
    for (text, value) in [("1", Value::Int(1)), ("1.0", Value::Float(1.0)), ("0.0", Value::Float(0.0))] {
        assert_eq!(print(&value), text);
        assert_eq!(wire(&parse_json(text).unwrap()), wire(&value));
    }
    assert_eq!(print(&Value::Float(-0.0)), "-0.0");
    assert_eq!(wire(&parse_json("-0.0").unwrap()), wire(&Value::Float(-0.0)));
    assert_eq!(wire(&parse_json("-0").unwrap()), wire(&Value::Float(-0.0)));
    assert_eq!(parse_json("1e3").unwrap(), Value::Float(1000.0));
    assert_eq!(parse_json("0.1").unwrap(), Value::Float(0.1));
    assert_eq!(parse_json("1e19").unwrap(), Value::Float(1e19));
}

#[test]
fn an_integer_beyond_64_bits_is_refused_wherever_it_stands() {
    assert_eq!(parse_json("9223372036854775807").unwrap(), Value::Int(i64::MAX));
    assert_eq!(parse_json("-9223372036854775808").unwrap(), Value::Int(i64::MIN));
    let message =
        |number, place| format!("the integer {number} does not fit 64 bits with sign: pass it as text, at {place}");
    refused("-9223372036854775809", &message("-9223372036854775809", "line 1 column 20"));
    refused(
        "{\"a\": \"99999999999999999999\\\"\",\n \"b\": [1.5, 99999999999999999999]}",
        &message("99999999999999999999", "line 2 column 32"),
    );
    let in_texts = r#"["99999999999999999999", "\\", "\"99999999999999999999", {"99999999999999999999": 1}]"#;
    assert!(parse_json(in_texts).is_ok());
    assert!(parse_json("99999999999999999999.0").is_ok());
}

#[test]
fn what_json_cannot_hold_has_a_tagged_form() {
    for (text, value) in [
        (r#"{"$bytes":""}"#, Value::Bytes(vec![].into())),
        (r#"{"$bytes":"/+8A"}"#, Value::Bytes(vec![0xff, 0xef, 0].into())),
        (r#"{"$float":"nan"}"#, Value::Float(f64::NAN)),
        (r#"{"$float":"inf"}"#, Value::Float(f64::INFINITY)),
        (r#"{"$float":"-inf"}"#, Value::Float(f64::NEG_INFINITY)),
    ] {
        assert_eq!(print(&value), text);
        assert_eq!(wire(&parse_json(text).unwrap()), wire(&value));
    }
}

#[test]
fn a_map_that_looks_like_a_tagged_form_is_escaped() {
    for (name, text) in [
        ("$bytes", r#"{"$$bytes":"AAE="}"#),
        ("$float", r#"{"$$float":"AAE="}"#),
        ("$$bytes", r#"{"$$$bytes":"AAE="}"#),
        ("$other", r#"{"$other":"AAE="}"#),
        ("bytes", r#"{"bytes":"AAE="}"#),
    ] {
        let map = map_of(name, "AAE=");
        assert_eq!(print(&map), text);
        assert_eq!(parse_json(text).unwrap(), map);
    }
    let two = r#"{"$bytes":"AAE=","$float":"nan"}"#;
    assert_eq!(print(&parse_json(two).unwrap()), two);
    let data = Data::new().with("$bytes", "AAE=");
    assert_eq!(parse_json(&data.to_json().unwrap().to_string()).unwrap(), map_of("$bytes", "AAE="));
}

#[test]
fn a_tagged_form_that_cannot_be_read_is_refused() {
    refused(r#"{"$bytes": "?"}"#, "\"$bytes\" holds no base64: Invalid symbol 63, offset 0., at line 1 column 15");
    refused(r#"{"$float": "1"}"#, "\"$float\" holds neither \"nan\", \"inf\" nor \"-inf\", at line 1 column 15");
    refused(
        r#"{"$bytes": 1}"#,
        "\"$bytes\" holds an integer instead of a text: if a map with this one key is meant, write \"$$bytes\", at line 1 column 13",
    );
}

#[test]
fn a_key_twice_in_one_object_is_refused_by_name() {
    refused("{\"a\": {\"b\": 1,\n \"b\": 2}}", "the key \"b\" comes twice in one map: remove one, at line 2 column 4");
    assert!(parse_json(r#"{"a": {"a": 1}}"#).is_ok());
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    refused("", "the text is no JSON: EOF while parsing a value, at line 1 column 1");
    refused("[1, 2", "the text is no JSON: EOF while parsing a list, at line 1 column 5");
    refused("{\"a\":\n nul}", "the text is no JSON: expected ident, at line 2 column 5");
    refused("[1] 2", "the text is no JSON: trailing characters, at line 1 column 5");
    refused("[1,]", "the text is no JSON: trailing comma, at line 1 column 4");
    refused("NaN", "the text is no JSON: expected value, at line 1 column 1");
    refused("1e400", "the text is no JSON: number out of range, at line 1 column 5");
}

#[test]
fn as_many_levels_as_documented_go_through_json_and_no_more() {
    on_a_small_stack(|| {
        for around in [lists_around, maps_around] {
            for core in [Value::Int(1), Value::Bytes(vec![1].into()), Value::Float(f64::INFINITY)] {
                let deepest = around(core.clone(), MAX_DEPTH);
                assert_eq!(parse_json(&print(&deepest)).unwrap(), deepest);
                assert_eq!(around(core, MAX_DEPTH + 1).to_json(), Err(CodecError::TooDeep));
            }
            assert_eq!(around(Value::Null, BOTTOMLESS).to_json(), Err(CodecError::TooDeep));
            let data = |levels| Data::new().with("in", around(Value::Null, levels)).to_json();
            assert!(parse_json(&data(MAX_DEPTH - 1).unwrap().to_string()).is_ok());
            assert_eq!(data(MAX_DEPTH), Err(CodecError::TooDeep));
        }
    });
}

#[test]
fn a_text_that_nests_too_deep_is_refused_where_it_does() {
    on_a_small_stack(|| {
        let message = "the value nests deeper than 128 levels";
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"$$bytes\":", "}")] {
            let text = |levels: usize| format!("{}0{}", open.repeat(levels), close.repeat(levels));
            assert!(parse_json(&text(MAX_DEPTH)).is_ok(), "{open}");
            for levels in [MAX_DEPTH + 1, MAX_DEPTH + 2, BOTTOMLESS] {
                let error = parse_json(&text(levels)).unwrap_err();
                assert_eq!(error.message, message, "{open} {levels}");
                assert!(error.column <= open.len() * (MAX_DEPTH + 2) + 2, "{error}");
            }
        }
        let bytes_one_level_too_deep = format!("{}{{\"$bytes\":\"\"}}{}", "[".repeat(129), "]".repeat(129));
        assert_eq!(parse_json(&bytes_one_level_too_deep).unwrap_err().message, message);
    });
}

#[test]
fn data_becomes_an_object_in_its_order() {
    let data = Data::new().with("b", 1).with(2, Value::Bytes(vec![0].into())).with("a", ());
    assert_eq!(data.to_json().unwrap().to_string(), r#"{"b":1,"2":{"$bytes":"AA=="},"a":null}"#);
}
