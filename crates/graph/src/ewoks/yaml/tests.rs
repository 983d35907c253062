//! YAML is read as ewoks reads it.

use pushflow_model::{Value, parse_json};

use super::{MAX_VALUES, parse};

fn json(text: &str) -> Value {
    parse_json(text).unwrap()
}

fn refused(text: &str) -> String {
    let (at, message) = parse(text).expect_err("the text was accepted");
    format!("{}:{} {message}", at.line, at.column)
}

#[test]
fn maps_lists_and_scalars_are_read() {
    let text = "graph:\n  id: demo\nnodes:\n- {id: a, x: [1, 2.5, 'three', \"f\\tour\"]}\n- id: b\n  text: |\n    two\n    lines\n";
    let expected = r#"{"graph": {"id": "demo"},
        "nodes": [{"id": "a", "x": [1, 2.5, "three", "f\tour"]}, {"id": "b", "text": "two\nlines\n"}]}"#;
    assert_eq!(parse(text), Ok(json(expected)));
    assert_eq!(parse("{\"a\": [true, null]}"), Ok(json(r#"{"a": [true, null]}"#)), "JSON is YAML");
    assert_eq!(parse(""), Ok(Value::Null));
}

#[test]
fn plain_scalars_are_what_yaml_1_1_says() {
    let cases = [
        ("yes", Value::Bool(true)),
        ("Off", Value::Bool(false)),
        ("~", Value::Null),
        ("0x1F", Value::Int(31)),
        ("0b101", Value::Int(5)),
        ("017", Value::Int(15)),
        ("1_000", Value::Int(1000)),
        ("-12", Value::Int(-12)),
        ("1:30", Value::Int(90)),
        ("1.", Value::Float(1.0)),
        (".5", Value::Float(0.5)),
        ("-1.5e+3", Value::Float(-1500.0)),
        ("-.inf", Value::Float(f64::NEG_INFINITY)),
        ("1e5", "1e5".into()),
        ("1.5e3", "1.5e3".into()),
        ("08", "08".into()),
        ("y", "y".into()),
        ("1:99", "1:99".into()),
        ("2024-01-01", "2024-01-01".into()),
        ("'1'", "1".into()),
        ("!!str 1", "1".into()),
        ("!!float 1", Value::Float(1.0)),
        ("9223372036854775807", Value::Int(i64::MAX)),
        ("-9223372036854775808", Value::Int(i64::MIN)),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text), Ok(expected), "{text}");
    }
}

#[test]
fn aliases_are_copied_and_merge_keys_take_entries_over() {
    let text = "base: &b {x: 1, y: 2}\ncopy: *b\nmore: {<<: *b, y: 3}\n";
    let expected = r#"{"base": {"x": 1, "y": 2}, "copy": {"x": 1, "y": 2}, "more": {"y": 3, "x": 1}}"#;
    assert_eq!(parse(text), Ok(json(expected)));
}

#[test]
fn what_is_no_plain_data_is_refused_with_its_place() {
    assert_eq!(refused("a: 1\na: 2\n"), "2:1 the key \"a\" comes twice in one map: remove one");
    assert_eq!(refused("a: 9223372036854775808\n"), "1:4 the integer 9223372036854775808 does not fit 64 bits");
    assert_eq!(refused("[1]: 2\n"), "1:1 a key must be a text, not a list: write it in quotes");
    assert_eq!(
        refused("a: !!python/object:os.system x"),
        refused_tag("1:4", "tag:yaml.org,2002:python/object:os.system")
    );
    assert_eq!(refused("a: !thing [1]"), refused_tag("1:4", "!thing"));
    assert_eq!(refused("a: !!int x"), "1:4 \"x\" is no int, as its tag says");
    assert_eq!(refused("<<: 1"), "1:5 \"<<\" takes over the entries of maps, not of an integer");
    assert_eq!(refused("a\n---\nb"), "2:1 a graph is one YAML document, and here a second one begins");
    assert!(refused("a: [1\nb: }").contains("the text is no YAML: "));
}

fn refused_tag(at: &str, tag: &str) -> String {
    format!("{at} the tag \"{tag}\" has no meaning in a graph: leave it out")
}

#[test]
fn what_grows_or_nests_without_end_is_refused() {
    let brackets = refused(&"[".repeat(10_000));
    assert!(brackets.contains("nests deeper than 128 levels"), "{brackets}");
    assert!(
        refused(&(0..10_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect::<String>()).contains("nests")
    );
    let laughs: String = (1..12)
        .map(|level| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", ")))
        .collect();
    assert!(
        refused(&format!("a0: &a0 x\n{laughs}")).contains(&format!("more than {MAX_VALUES} values by its aliases"))
    );
    let deep: String = (1..100).map(|level| format!("a{level}: &a{level} [[*a{}]]\n", level - 1)).collect();
    assert!(refused(&format!("a0: &a0 x\n{deep}")).contains("nests deeper than 128 levels"));
    assert_eq!(refused("&a [1, *a]"), "1:8 this alias stands for something that contains it");
}
