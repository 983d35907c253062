//! The values of plain scalars of YAML 1.1, as the YAML library of ewoks reads them: `yes` is true, `1e5` is a text.
//!
//! There is one difference: a scalar that looks like a date stays a text, because plain data has no dates.

use pushflow_model::Value;

/// The value of a scalar without quotes and tag.
pub(super) fn plain(text: &str) -> Result<Value, String> {
    if let Some(value) = word(text) {
        return Ok(value);
    }
    match integer(text) {
        Some(value) => value,
        None => Ok(float(text).map_or_else(|| Value::from(text), Value::Float)),
    }
}

/// The value of a scalar with a tag of YAML itself; `None` if YAML has no such tag.
pub(super) fn tagged(tag: &str, text: &str) -> Option<Result<Value, String>> {
    let fitting = |fits: fn(&Value) -> bool| {
        let value = plain(text).map_or_else(Err, |value| if fits(&value) { Ok(value) } else { Err(String::new()) });
        value.map_err(|_| format!("{text:?} is no {tag}, as its tag says"))
    };
    Some(match tag {
        "str" => Ok(Value::from(text)),
        "null" => fitting(|value| *value == Value::Null),
        "bool" => fitting(|value| matches!(value, Value::Bool(_))),
        "int" => fitting(|value| matches!(value, Value::Int(_))),
        "float" => match plain(text) {
            Ok(Value::Int(number)) => Ok(Value::Float(number as f64)),
            Ok(Value::Float(number)) => Ok(Value::Float(number)),
            _ => text.parse().map(Value::Float).map_err(|_| format!("{text:?} is no float, as its tag says")),
        },
        _ => return None,
    })
}

fn word(text: &str) -> Option<Value> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

/// A whole number: decimal, `0x1f`, `0b101`, octal with a leading zero, or in base sixty (`1:30`).
fn integer(text: &str) -> Option<Result<Value, String>> {
    let (sign, digits) = signed(text);
    let all = |digits: &str, fits: fn(&u8) -> bool| {
        !digits.is_empty() && digits.bytes().all(|digit| digit == b'_' || fits(&digit))
    };
    let parsed =
        if let Some(digits) = digits.strip_prefix("0b").filter(|digits| all(digits, |d| matches!(d, b'0'..=b'1'))) {
            number(sign, digits, 2)
        } else if let Some(digits) = digits.strip_prefix("0x").filter(|digits| all(digits, u8::is_ascii_hexdigit)) {
            number(sign, digits, 16)
        } else if digits.len() > 1 && digits.starts_with('0') && all(digits, |d| matches!(d, b'0'..=b'7')) {
            number(sign, digits, 8)
        } else if digits == "0" || (!digits.starts_with(['0', '_']) && all(digits, u8::is_ascii_digit)) {
            number(sign, digits, 10)
        } else {
            base_sixty(sign, digits)?
        };
    Some(parsed.map(Value::Int).ok_or_else(|| format!("the integer {text} does not fit 64 bits")))
}

fn signed(text: &str) -> (i128, &str) {
    match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// The number; `None` if it does not fit 64 bits.
fn number(sign: i128, digits: &str, base: u32) -> Option<i64> {
    let digits = digits.replace('_', "");
    let magnitude = if digits.is_empty() { 0 } else { i128::from_str_radix(&digits, base).ok()? };
    i64::try_from(sign * magnitude).ok()
}

/// A number in base sixty: `1:30` is 90. `None` if the text is no such number, `Some(None)` if it does not fit 64 bits.
fn base_sixty(sign: i128, text: &str) -> Option<Option<i64>> {
    let (first, rest) = text.split_once(':')?;
    let leading = matches!(first.bytes().next()?, b'1'..=b'9') && first.bytes().all(|digit| digit.is_ascii_digit());
    let small = |part: &str| {
        let value = Some(part).filter(|part| part.bytes().all(|digit| digit.is_ascii_digit()) && part.len() <= 2);
        value?.parse::<i128>().ok().filter(|value| *value < 60)
    };
    let parts: Vec<i128> = rest.split(':').map(small).collect::<Option<_>>()?;
    if !leading {
        return None;
    }
    let start = first.parse::<i128>().ok();
    let total = parts.into_iter().try_fold(start?, |total, part| total.checked_mul(60)?.checked_add(part));
    Some(total.and_then(|total| i64::try_from(sign * total).ok()))
}

/// A float must have a point, and its exponent must have a sign.
fn float(text: &str) -> Option<f64> {
    let (_, digits) = signed(text);
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let digits = |part: &str| part.bytes().all(|digit| digit == b'_' || digit.is_ascii_digit());
    let begins = |part: &str| part.bytes().next().is_some_and(|digit| digit.is_ascii_digit());
    let fits = digits(whole) && digits(fraction) && if whole.is_empty() { begins(fraction) } else { begins(whole) };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
    });
    if fits && exponent_fits { text.replace('_', "").parse().ok() } else { None }
}
