//! [`python_text`] and [`is_true`]: Python's `str()` and truth of values, by which ewoks reads the inputs of scripts.

use std::fmt::Write;

use pushflow_model::{Opaque, Value};

/// The text that Python's `str()` returns for a value.
///
/// ```text
/// null -> None    true -> True    1e16 -> 1e+16    [1, "it's"] -> [1, "it's"]
/// ```
pub fn python_text(value: &Value) -> String {
    match value.plain() {
        Value::Str(text) => text.clone(),
        _ => {
            let mut text = String::new();
            write_repr(&mut text, value);
            text
        }
    }
}

/// Whether a value is true for Python.
pub fn is_true(value: &Value) -> bool {
    match value.plain() {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Int(number) => *number != 0,
        Value::Float(number) => *number != 0.0,
        Value::Str(text) => !text.is_empty(),
        Value::Bytes(bytes) => !bytes.is_empty(),
        Value::List(list) => !list.is_empty(),
        Value::Map(map) => !map.is_empty(),
        Value::Opaque(_) => true,
    }
}

fn write_repr(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) => write_float(out, *number),
        Value::Str(text) => write_text(out, text),
        Value::Bytes(bytes) => write_bytes(out, bytes),
        Value::List(list) => write_between(out, ('[', ']'), list.iter(), write_repr),
        Value::Map(map) => write_between(out, ('{', '}'), map.iter(), |out, (name, value)| {
            write_text(out, name);
            out.push_str(": ");
            write_repr(out, value);
        }),
        Value::Opaque(opaque) => write_opaque(out, opaque),
    }
}

fn write_opaque(out: &mut String, opaque: &Opaque) {
    match (opaque.type_name.as_str(), opaque.view()) {
        ("tuple", Some(Value::List(items))) if items.len() == 1 => {
            out.push('(');
            write_repr(out, &items[0]);
            out.push_str(",)");
        }
        ("tuple", Some(Value::List(items))) => write_between(out, ('(', ')'), items.iter(), write_repr),
        ("set", Some(Value::List(items))) if !items.is_empty() => {
            write_between(out, ('{', '}'), items.iter(), write_repr);
        }
        (_, Some(view)) => write_repr(out, view),
        (_, None) => out.push_str(&opaque.text),
    }
}

fn write_between<T>(
    out: &mut String,
    (open, close): (char, char),
    items: impl Iterator<Item = T>,
    write: impl Fn(&mut String, T),
) {
    out.push(open);
    for (position, item) in items.enumerate() {
        if position > 0 {
            out.push_str(", ");
        }
        write(out, item);
    }
    out.push(close);
}

/// The shortest digits that read back as the number, with an exponent below 0.0001 and from 1e16 on.
fn write_float(out: &mut String, number: f64) {
    if !number.is_finite() {
        let sign = if number == f64::NEG_INFINITY { "-" } else { "" };
        out.push_str(sign);
        out.push_str(if number.is_nan() { "nan" } else { "inf" });
        return;
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').expect("the format of `e` has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    if (-4..16).contains(&exponent) {
        out.push_str(&format!("{number:?}"));
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        out.push_str(&format!("{digits}e{sign}{:02}", exponent.unsigned_abs()));
    }
}

fn quote_for(has_single: bool, has_double: bool) -> char {
    if has_single && !has_double { '"' } else { '\'' }
}

fn write_text(out: &mut String, text: &str) {
    let quote = quote_for(text.contains('\''), text.contains('"'));
    out.push(quote);
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            character if character == quote => out.extend(['\\', quote]),
            character if is_printable(character) => out.push(character),
            character => out.push_str(&escaped(character)),
        }
    }
    out.push(quote);
}

fn escaped(character: char) -> String {
    match u32::from(character) {
        code @ 0..=0xff => format!("\\x{code:02x}"),
        code @ 0x100..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// Whether Rust would print the character as it is. A combining mark counts as printable, since it follows another
/// character.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    let text: String = ['a', character].into_iter().collect();
    text.escape_debug().count() == 2
}

fn write_bytes(out: &mut String, bytes: &[u8]) {
    let quote = quote_for(bytes.contains(&b'\''), bytes.contains(&b'"'));
    out.extend(['b', quote]);
    for byte in bytes {
        match byte {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b'\\' => out.push_str("\\\\"),
            byte if char::from(*byte) == quote => out.extend(['\\', quote]),
            0x20..=0x7e => out.push(char::from(*byte)),
            byte => write!(out, "\\x{byte:02x}").expect("writing to a String can't fail"),
        }
    }
    out.push(quote);
}
