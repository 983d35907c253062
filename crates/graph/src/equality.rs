//! Equality of values: Python's `==` for ewoks graphs, and keys that equal values share.

use pushflow_model::Value;

/// A number by its value. `1` and `1.0` are the same number; integers that no float can hold stay exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Number {
    /// A whole number that fits 64 bits, from an integer or a float.
    Whole(i64),
    /// Any other number, as the bits of its float.
    Real(u64),
}

impl Number {
    /// The number that a float stands for; `None` for NaN, which equals nothing.
    pub(crate) fn of_float(float: f64) -> Option<Number> {
        const BEYOND: f64 = 9_223_372_036_854_775_808.0; // 2 to the power of 63
        if float.is_nan() {
            return None;
        }
        let whole = float.trunc() == float && (-BEYOND..BEYOND).contains(&float);
        Some(if whole { Number::Whole(float as i64) } else { Number::Real(float.to_bits()) })
    }

    /// The number that a value is in Python, where a boolean is a number too.
    fn of_python(value: &Value) -> Option<Number> {
        match value.plain() {
            Value::Bool(truth) => Some(Number::Whole((*truth).into())),
            Value::Int(whole) => Some(Number::Whole(*whole)),
            Value::Float(float) => Number::of_float(*float),
            _ => None,
        }
    }
}

/// A key that two values share exactly when they are hashable in Python and equal there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Hashable<'a> {
    Null,
    Number(Number),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl Hashable<'_> {
    /// The key of a value; `None` for lists, maps and NaN.
    pub(crate) fn of(value: &Value) -> Option<Hashable<'_>> {
        match value.plain() {
            Value::Null => Some(Hashable::Null),
            Value::Str(text) => Some(Hashable::Text(text)),
            Value::Bytes(bytes) => Some(Hashable::Bytes(bytes)),
            number => Number::of_python(number).map(Hashable::Number),
        }
    }
}

/// Python's `==` between plain values: `1 == 1.0 == True` (`docs/parity.md` P146).
///
/// An integer and a float are equal only if they are exactly the same number. NaN equals nothing, and text never equals
/// bytes. The order of the entries of maps does not matter.
///
/// ```
/// use pushflow_graph::ewoks_equal;
/// use pushflow_model::Value;
///
/// assert!(ewoks_equal(&Value::from(true), &Value::from(1.0)));
/// assert!(!ewoks_equal(&Value::from("1"), &Value::from(1)));
/// ```
pub fn ewoks_equal(left: &Value, right: &Value) -> bool {
    let mut pending = vec![(left, right)];
    while let Some(pair) = pending.pop() {
        let equal = match (pair.0.plain(), pair.1.plain()) {
            (Value::List(left), Value::List(right)) => {
                pending.extend(left.iter().zip(right.iter()));
                left.len() == right.len()
            }
            (Value::Map(left), Value::Map(right)) => {
                let before = pending.len();
                pending.extend(left.iter().filter_map(|(name, value)| Some((value, right.get(name)?))));
                left.len() == right.len() && pending.len() - before == left.len()
            }
            (left, right) => Hashable::of(left).is_some_and(|key| Hashable::of(right) == Some(key)),
        };
        if !equal {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use pushflow_model::{List, Map};

    use super::*;

    const LIMIT: i64 = 1 << 53;

    fn equal(left: impl Into<Value>, right: impl Into<Value>) -> bool {
        let (left, right) = (left.into(), right.into());
        let equal = ewoks_equal(&left, &right);
        assert_eq!(equal, ewoks_equal(&right, &left), "equality is not the same in both directions");
        equal
    }

    #[test]
    fn booleans_integers_and_floats_of_one_value_are_equal() {
        assert!(equal(true, 1) && equal(1, 1.0) && equal(1.0, true));
        assert!(equal(false, 0) && equal(0, -0.0));
        assert!(!equal(true, 2) && !equal(false, ()) && !equal(1, 1.5));
    }

    #[test]
    fn an_integer_that_a_float_cant_hold_equals_no_float() {
        assert!(equal(LIMIT, LIMIT as f64));
        assert!(!equal(LIMIT + 1, (LIMIT + 1) as f64));
        assert!(equal(i64::MIN, i64::MIN as f64));
        assert!(!equal(i64::MAX, i64::MAX as f64));
        assert!(!equal(i64::MAX, f64::INFINITY));
        assert!(equal(f64::INFINITY, f64::INFINITY) && !equal(f64::INFINITY, f64::NEG_INFINITY));
    }

    #[test]
    fn not_a_number_equals_nothing() {
        assert!(!equal(f64::NAN, f64::NAN));
        assert!(!equal(vec![Value::from(f64::NAN)], vec![Value::from(f64::NAN)]));
    }

    #[test]
    fn text_bytes_null_and_numbers_are_never_equal_to_each_other() {
        assert!(equal("a", "a") && equal((), ()));
        assert!(!equal("a", Value::Bytes(b"a".to_vec().into())));
        assert!(!equal("1", 1) && !equal("", ()) && !equal(0, ()) && !equal("true", true));
        assert!(equal(Value::Bytes(b"a".to_vec().into()), Value::Bytes(b"a".to_vec().into())));
    }

    #[test]
    fn lists_are_compared_element_by_element() {
        let list = |values: [Value; 2]| Value::List(List::from_iter(values));
        assert!(equal(list([1.into(), true.into()]), list([1.0.into(), 1.into()])));
        assert!(!equal(list([1.into(), 2.into()]), list([2.into(), 1.into()])));
        assert!(!equal(list([1.into(), 2.into()]), vec![Value::from(1)]));
        assert!(!equal(List::default(), Map::default()));
    }

    #[test]
    fn maps_are_compared_by_their_entries_whatever_the_order() {
        let map =
            |entries: &[(&str, i32)]| Map::from_iter(entries.iter().map(|(name, value)| (*name, (*value).into())));
        assert!(equal(map(&[("a", 1), ("b", 2)]), map(&[("b", 2), ("a", 1)])));
        assert!(!equal(map(&[("a", 1)]), map(&[("b", 1)])));
        assert!(!equal(map(&[("a", 1)]), map(&[("a", 1), ("b", 2)])));
        assert!(!equal(map(&[("a", 1)]), map(&[("a", 2)])));
    }

    #[test]
    fn values_nested_deeper_than_any_stack_are_compared() {
        let deep = || (0..1_000_000).fold(Value::Null, |inner, _| Value::from(vec![inner]));
        assert!(ewoks_equal(&deep(), &deep()));
    }
}
