//! Tests every cell of the tables in `docs/python.md`.

use super::*;

const PAGE: &str = include_str!("../../../../docs/python.md");

/// The rows of the table behind a mark, without its head. Backquotes around code are removed.
fn table(mark: &str) -> Vec<Vec<String>> {
    let (_, after) = PAGE.split_once(mark).expect("the table is marked");
    let lines = after.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    lines.skip(2).map(cells).collect()
}

#[test]
fn the_table_of_values_is_true() {
    let source = "
import collections, datetime, decimal, http, pathlib
def make(expression): return {'value': eval(expression)}
def look(value, expression):
    kind, expected = type(value), eval(expression)
    name = kind.__qualname__ if kind.__module__ == 'builtins' else kind.__module__ + '.' + kind.__qualname__
    same = value == expected or (isinstance(value, Exception) and value.args == expected.args)
    return {'type': name.replace('pathlib._local', 'pathlib'), 'same': same}
";
    let rows = table("<!-- values");
    assert!(rows.len() > 20);
    for mut python in Python::own_and_green(source) {
        rows.iter().for_each(|row| assert_values(&mut python, row.clone()));
    }
}

/// Tests one row of the table of values.
fn assert_values(python: &mut Python, row: Vec<String>) {
    let [expression, python_type, rust, json] = <[String; 4]>::try_from(row).unwrap();
    let expression = Data::new().with("expression", expression.as_str());
    let made = python.call("make", &expression).unwrap();
    let made_value = value(&made, "value");
    let shown = format!("{expression:?} {made_value:?}");
    assert_eq!(made_value.type_name(), rust, "{shown}");
    let printed = made_value.to_json().unwrap().to_string().replace("pathlib._local", "pathlib");
    assert_eq!(printed, json, "{shown}");
    let looked = python.call("look", &made.merged(&expression)).unwrap();
    assert_eq!(value(&looked, "type").as_str(), Some(python_type.as_str()), "{shown}");
    assert_eq!(value(&looked, "same"), Value::Bool(true), "{shown}");
}

#[test]
fn the_table_of_errors_is_true() {
    let rows = table("<!-- errors");
    assert!(rows.len() > 8);
    for row in rows {
        let [statement, type_name, message, handler] = <[String; 4]>::try_from(row).unwrap();
        let source = "
import os, sys
def fails(STATEMENT=None):
    global f
    STATEMENT
def handles(error): return {'type': type(error).__name__, 'text': str(error)}
";
        let source = source.replace("(STATEMENT=None)", "()").replace("STATEMENT", &statement);
        for mut python in Python::own_and_green(&source) {
            let error = python.failure("fails");
            let pid = format!("(pid {})", error.pid.unwrap());
            assert_eq!(error.type_name, type_name, "{statement}");
            assert!(error.message.replace(&pid, "(pid N)").starts_with(&message), "{statement}: {error}");
            let instance = error.instance().cloned().map(Payload::from_encoded).unwrap_or_else(|| {
                let stand_in = pushflow_model::Opaque::new(pushflow_model::ERROR_CODEC, &*error.type_name);
                Payload::from(Value::from(stand_in.with_text(error.to_string())))
            });
            let handled = python.call("handles", &Data::from_iter([("error", instance)])).unwrap();
            assert_eq!(value(&handled, "type"), Value::from(handler.as_str()), "{statement}");
        }
    }
}
