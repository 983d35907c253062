//! Values from Rust types, without serde: the same values as with serde, or a refusal.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use indexmap::IndexMap;
use proptest::prelude::*;
use pushflow_model::{Blob, ConvertError, Data, Value, parse_json, to_value};
use serde::Serialize;

#[track_caller]
fn same_as_with_serde<T: Serialize + Into<Value>>(rust: T) {
    let with_serde = to_value(&rust).unwrap();
    assert_eq!(rust.into(), with_serde);
}

#[track_caller]
fn refused<T: TryInto<Value, Error = ConvertError>>(integer: T, message: &str) {
    assert_eq!(integer.try_into().unwrap_err().to_string(), message);
}

proptest! {
    #[test]
    fn integers_that_fit_are_values(number in any::<i64>()) {
        same_as_with_serde(number as i8);
        same_as_with_serde(number as i16);
        same_as_with_serde(number as i32);
        same_as_with_serde(number);
        same_as_with_serde(number as isize);
        same_as_with_serde(number as u8);
        same_as_with_serde(number as u16);
        same_as_with_serde(number as u32);
    }

    #[test]
    fn integers_that_may_not_fit_are_values_or_refused(number in any::<i128>(), shift in 0u32..127) {
        let number = number >> shift;
        let expected = to_value(&number);
        prop_assert_eq!(Value::try_from(number), expected.clone());
        if let Ok(number) = u128::try_from(number) {
            prop_assert_eq!(Value::try_from(number), expected.clone());
        }
        if let Ok(number) = u64::try_from(number) {
            prop_assert_eq!(Value::try_from(number), expected.clone());
        }
        if let Ok(number) = usize::try_from(number) {
            prop_assert_eq!(Value::try_from(number), expected);
        }
    }

    #[test]
    fn an_f32_is_the_same_number(number in any::<f32>()) {
        same_as_with_serde(number);
    }
}

#[test]
fn the_largest_integers_are_refused_by_their_digits() {
    assert_eq!(Value::try_from(i64::MAX as u64), Ok(Value::Int(i64::MAX)));
    refused(u64::MAX, "the integer 18446744073709551615 does not fit 64 bits with sign: pass it as text");
    refused(
        i128::from(i64::MIN) - 1,
        "the integer -9223372036854775809 does not fit 64 bits with sign: pass it as text",
    );
}

#[test]
fn options_lists_and_maps_are_what_serde_makes_of_them() {
    same_as_with_serde(Some(1));
    same_as_with_serde(None::<i32>);
    same_as_with_serde(vec![Some(1.5), None]);
    same_as_with_serde(Vec::<bool>::new());
    same_as_with_serde(["a", "b"]);
    same_as_with_serde([[1u8, 2], [3, 4]]);
    same_as_with_serde(BTreeMap::from([("b".to_owned(), vec![1]), ("a".to_owned(), vec![])]));
    same_as_with_serde(BTreeMap::from([("a", true)]));
    same_as_with_serde(HashMap::from([("a".to_owned(), "x"), ("b".to_owned(), "y")]));
}

#[test]
fn a_map_keeps_its_order() {
    let value = Value::from(IndexMap::from([("b", 1), ("a", 2)]));
    assert_eq!(value.to_json().unwrap().to_string(), r#"{"b":1,"a":2}"#);
}

#[test]
fn a_list_of_small_integers_stays_a_list_and_bytes_stay_bytes() {
    same_as_with_serde(vec![1u8, 255]);
    assert_eq!(Value::from(vec![1u8, 255]), parse_json("[1, 255]").unwrap());
    assert_eq!(Value::from(Bytes::from_static(&[1, 255])), Value::from(Blob::from(vec![1, 255])));
    assert_eq!(Value::from(Blob::from(vec![1, 255])).type_name(), "bytes");
}

#[test]
fn data_takes_whatever_becomes_a_value() {
    let data = Data::new().with("sizes", vec![1u32, 2]).with("limit", None::<f32>).with("names", ["a", "b"]);
    assert_eq!(data.to_json().unwrap().to_string(), r#"{"sizes":[1,2],"limit":null,"names":["a","b"]}"#);
}
