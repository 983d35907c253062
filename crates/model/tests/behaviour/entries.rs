//! Entries of data as Rust types: written, read, missing and refused.

use pushflow_model::{Data, MAX_DEPTH, Opaque, Payload, Value};
use serde::{Deserialize, Serialize};

use crate::values::lists_around;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Scan {
    energy: f32,
    counts: Vec<u16>,
    label: Option<String>,
}

fn scan() -> Scan {
    Scan { energy: 12.5, counts: vec![3, 4], label: None }
}

#[track_caller]
fn refused<'de, T: Deserialize<'de> + std::fmt::Debug>(data: &'de Data, name: &str, message: &str) {
    assert_eq!(data.get::<T>(name).unwrap_err().to_string(), message);
}

#[test]
fn an_entry_is_written_and_read_back_also_behind_the_wire() {
    let data = Data::new().with_serialized("scan", &scan()).unwrap().with_serialized(0, "text").unwrap();
    let arrived = Data::decode(&data.encode().unwrap()).unwrap();
    for data in [data, arrived] {
        assert_eq!(data.get::<Scan>("scan"), Ok(scan()));
        assert_eq!(data.get::<&str>(0), Ok("text"));
        assert_eq!(data.get::<Option<Scan>>("scan"), Ok(Some(scan())));
    }
}

#[test]
fn an_entry_of_the_same_key_is_replaced_in_its_place() {
    let data = Data::new().with("a", 1).with("b", 2).with_serialized("a", &[3]).unwrap();
    assert_eq!(data.to_json().unwrap().to_string(), r#"{"a":[3],"b":2}"#);
}

#[test]
fn a_missing_entry_is_none_only_where_an_option_is_asked_for() {
    let data = Data::new().with("value", 1).with("0", 2).with(0, 3);
    assert_eq!(data.get::<Option<i64>>("limit"), Ok(None));
    assert_eq!(data.get::<Option<Value>>("limit"), Ok(None));
    let message = r#"expected the entry "limit", found only "value", "0", 0"#;
    refused::<i64>(&data, "limit", message);
    refused::<()>(&data, "limit", message);
    refused::<Value>(&data, "limit", message);
    refused::<Vec<Option<i64>>>(&data, "limit", message);
    refused::<Scan>(&data, "limit", message);
    refused::<i64>(&Data::new(), "limit", r#"expected the entry "limit", found no entry"#);
    assert_eq!(data.get::<i64>(1).unwrap_err().to_string(), r#"expected the entry 1, found only "value", "0", 0"#);
}

#[test]
fn the_error_about_a_missing_entry_stays_short() {
    let data = (0..12).fold(Data::new(), |data, number| data.with(number, ()));
    refused::<i64>(&data, "x", r#"expected the entry "x", found only 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"#);
}

#[test]
fn a_refusal_names_the_entry() {
    let broken = Payload::from_encoded(vec![].into());
    let mut data = Data::new().with("scan", Value::from([1])).with("null", ());
    data.insert("broken".into(), broken);
    refused::<Vec<String>>(&data, "scan", "expected a string, found the integer 1, at scan[0]");
    refused::<i64>(&data, "null", "expected i64, found null, at null");
    refused::<i64>(&data, "broken", "the bytes are no encoded value: it ends too early, at byte 0 of 0, at broken");
    let error = Data::new().with_serialized("ids", &[u64::MAX]).unwrap_err().to_string();
    assert!(error.ends_with("at ids[0]"), "{error}");
    let error = Data::new().with_serialized(7, &lists_around(().into(), MAX_DEPTH + 1)).unwrap_err().to_string();
    assert!(error.contains(", at 7[0]"), "{error}");
}

#[test]
fn an_opaque_value_is_read_as_it_is_or_through_its_view() {
    let pair = Value::from(Opaque::new("python", "tuple").with_view([1, 2].into()));
    let data = Data::new().with_serialized("pair", &pair).unwrap();
    assert_eq!(data.get::<Value>("pair"), Ok(pair));
    assert_eq!(data.get::<(u8, u8)>("pair"), Ok((1, 2)));
}
