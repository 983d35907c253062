//! Graphs as `ewokscore` saves them: the values that JSON can't hold, by each of its serializers.

use pushflow_model::{Opaque, Value};

use crate::{load, refused, task};

fn saved(serializer: &str, value: &str) -> String {
    format!(
        r#"{{"nodes": [{{"id": "a", "task_type": "ppfport", "default_inputs": [{{"name": "x", "value": {value}}}]}}],
            "__ewoks_serialize__": {{"serializer": {serializer}, "serializer_version": "1.0.0"}}}}"#
    )
}

fn value(serializer: &str, value: &str) -> Value {
    let graph = load(&saved(serializer, value)).unwrap();
    task(&graph, "a").defaults.value("x").unwrap().unwrap().clone()
}

#[test]
fn without_a_serializer_values_are_what_they_look_like() {
    let tagged = r#"{"__ewoks__": "bytes", "data": "YWI="}"#;
    for serializer in ["null", r#""json""#] {
        assert!(matches!(value(serializer, tagged), Value::Map(_)), "{serializer}");
    }
}

#[test]
fn what_json_can_not_hold_is_put_back() {
    let pickled = |saved: &str| value(r#""json_pickle""#, saved);
    assert_eq!(pickled(r#"{"__ewoks__": "bytes", "data": "YWI="}"#), Value::Bytes(b"ab".to_vec().into()));
    let pair = |name: &str| Value::from(Opaque::new("python", name).with_view(vec![1.into(), Value::Null].into()));
    assert_eq!(pickled(r#"[{"__ewoks__": "tuple", "items": [1, null]}]"#), vec![pair("tuple")].into());
    assert_eq!(pickled(r#"{"__ewoks__": "set", "items": [1, null]}"#), pair("set"));
    let object = pickled(r#"{"__ewoks__": "pickle", "data": "Ti4="}"#);
    assert_eq!(object, Opaque::new("pickle", "object").with_text("<a pickled object>").with_content("N.").into());
    assert_eq!(pickled(r#"{"plain": 1.5}"#).to_json().unwrap().to_string(), r#"{"plain":1.5}"#);
}

#[test]
fn a_value_that_is_saved_wrong_is_refused() {
    let message = |value: &str| refused(&saved(r#""json_pickle""#, value));
    let no_data = r#"graph: a value saved as "__ewoks__" has no "data" that is base64"#;
    assert_eq!(message(r#"{"__ewoks__": "pickle", "data": "?"}"#), no_data);
    assert_eq!(message(r#"{"__ewoks__": "bytes"}"#), no_data);
    let unknown = r#"graph: a value saved as "__ewoks__" is no tuple, set, bytes or pickle"#;
    for value in [r#"{"__ewoks__": "list", "items": []}"#, r#"{"__ewoks__": 1}"#, r#"{"__ewoks__": "tuple"}"#] {
        assert_eq!(message(value), unknown, "{value}");
    }
}

#[test]
fn a_serializer_that_only_ewokscore_reads_is_refused() {
    let expected = "graph: the graph was saved with the serializer \"hdf5_pickle\", which only ewokscore reads; save it \
                    without one, or with \"json_pickle\"";
    assert_eq!(refused(&saved(r#""hdf5_pickle""#, "1")), expected);
    let version = refused(r#"{"__ewoks_serialize__": {"serializer": null, "serializer_version": "2.0.0"}}"#);
    let expected = r#"graph: "__ewoks_serialize__" has the version "2.0.0", and this program reads "1.0.0""#;
    assert_eq!(version, expected);
    assert!(load(r#"{"__ewoks_serialize__": null}"#).is_ok());
}

#[test]
fn each_file_or_inline_graph_has_its_own_serializer() {
    let inner = saved(r#""json_pickle""#, r#"{"__ewoks__": "bytes", "data": "YWI="}"#);
    let outer = format!(r#"{{"nodes": [{{"id": "g", "task_type": "graph", "task_identifier": {inner}}}]}}"#);
    let graph = load(&outer).unwrap();
    let value = task(&graph, "g:a").defaults.value("x").unwrap().unwrap().clone();
    assert_eq!(value, Value::Bytes(b"ab".to_vec().into()));
}
