//! What a task function returned: the entries that its value becomes, and the value that the entries become.

use std::collections::BTreeMap;

use pushflow_model::{Data, Opaque, Value};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i64,
    y: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct OneField {
    return_value: i64,
}

fn returned<T: Serialize>(value: T) -> Data {
    Data::from_returned(pushflow_model::to_value(&value).unwrap())
}

#[test]
fn a_map_gives_its_entries_and_any_other_value_is_one() {
    assert_eq!(returned(Point { x: 1, y: 2 }).to_json().unwrap().to_string(), r#"{"x":1,"y":2}"#);
    assert_eq!(returned((1, "one")).to_json().unwrap().to_string(), r#"{"return_value":[1,"one"]}"#);
    assert_eq!(returned(None::<Point>).to_json().unwrap().to_string(), r#"{"return_value":null}"#);
}

#[test]
fn each_value_is_read_back() {
    assert_eq!(returned(42).returned(), Ok(42));
    assert_eq!(returned(vec!["a"]).returned(), Ok(vec!["a".to_owned()]));
    assert_eq!(returned(None::<i64>).returned(), Ok(None::<i64>));
    assert_eq!(returned(Point { x: 1, y: 2 }).returned(), Ok(Point { x: 1, y: 2 }));
    assert_eq!(returned(Value::Int(1)).returned(), Ok(Value::Int(1)));
    assert_eq!(Data::new().returned(), Ok(()));
    assert_eq!(Data::new().returned(), Ok(None::<i64>));
    assert_eq!(Data::new().returned(), Ok(BTreeMap::<String, i64>::new()));
}

#[test]
fn a_struct_whose_only_field_has_the_name_of_the_entry_is_read_back() {
    assert_eq!(returned(OneField { return_value: 7 }).returned(), Ok(OneField { return_value: 7 }));
}

#[test]
fn what_does_not_fit_is_refused_with_its_place() {
    let error = |data: Data| data.returned::<i64>().unwrap_err().to_string();
    assert_eq!(error(returned("text")), r#"expected i64, found the text "text", at return_value"#);
    assert!(error(returned(Point { x: 1, y: 2 })).starts_with("expected i64, found a map"));
}

#[test]
fn an_opaque_value_without_a_map_as_its_view_is_one_entry() {
    let opaque = || Opaque::new("codec", "Point");
    let returned = |opaque: Opaque| Data::from_returned(Value::from(opaque));
    assert!(returned(opaque()).named("return_value").is_some());
    assert!(returned(opaque().with_view(Value::Int(1))).named("return_value").is_some());
    let view = Value::Map([("x", Value::Int(1))].into_iter().collect());
    assert_eq!(returned(opaque().with_view(view)).get::<i64>("x"), Ok(1));
}
