//! Values for the tests: random ones, deep ones, and a comparison down to the last bit.

use bytes::Bytes;
use proptest::prelude::*;
use pushflow_model::{List, Map, Opaque, Payload, Value};

/// A depth that overflows every stack, if a function recurses once per level.
pub const BOTTOMLESS: usize = 1_000_000;

/// Any value of a few levels. Some keys look like the tagged forms of JSON.
pub fn any_value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(6, 64, 6, |inside| {
        prop_oneof![
            prop::collection::vec(inside.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any_name(), inside), 0..6).prop_map(|entries| Value::Map(Map::from_iter(entries))),
        ]
    })
}

/// Any value of a few levels, including opaque ones with and without a view.
pub fn any_value_or_opaque() -> impl Strategy<Value = Value> {
    let content = || prop::collection::vec(any::<u8>(), 0..20);
    let buffers = prop::collection::vec(content().prop_map(Bytes::from), 0..3);
    let opaque = (any::<[String; 3]>(), content(), buffers).prop_map(|([codec, type_name, text], content, buffers)| {
        Value::from(Opaque::new(codec, type_name).with_text(text).with_content(content).with_buffers(buffers))
    });
    prop_oneof![leaf(), opaque].prop_recursive(6, 64, 6, |inside| {
        prop_oneof![
            prop::collection::vec(inside.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any_name(), inside.clone()), 0..6)
                .prop_map(|entries| Value::Map(Map::from_iter(entries))),
            inside.prop_map(|view| Value::from(Opaque::new("codec", "type").with_view(view))),
        ]
    })
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-300i64..300).prop_map(Value::Int),
        any::<u64>().prop_map(|bits| Value::Float(f64::from_bits(bits))),
        prop::sample::select(vec![0.0, -0.0, 1.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324, 1e300])
            .prop_map(Value::Float),
        any::<String>().prop_map(Value::Str),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Value::Bytes(bytes.into())),
    ]
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        prop::sample::select(vec!["$bytes", "$float", "$$bytes", "$$$float", "$other", "$", "0", ""])
            .prop_map(str::to_owned),
    ]
}

/// The same value with every "not a number" replaced by the usual one.
pub fn with_plain_nan(value: Value) -> Value {
    match value {
        Value::Float(number) if number.is_nan() => Value::Float(f64::NAN),
        Value::List(list) => Value::List(list.into_vec().into_iter().map(with_plain_nan).collect()),
        Value::Map(map) => {
            Value::Map(map.into_entries().into_iter().map(|(name, value)| (name, with_plain_nan(value))).collect())
        }
        other => other,
    }
}

/// The encoded value, for exact comparisons: it tells 0.0 from -0.0 and one order of a map from another, which `==`
/// does not, and a "not a number" is equal to itself.
pub fn wire(value: &Value) -> Bytes {
    Payload::from(value.clone()).encoded().expect("the value is shallow").clone()
}

/// Lists inside one another, `levels` of them, around `core`.
pub fn lists_around(core: Value, levels: usize) -> Value {
    (0..levels).fold(core, |inside, _| Value::List(List::from(vec![inside])))
}

/// Maps inside one another, `levels` of them, around `core`.
pub fn maps_around(core: Value, levels: usize) -> Value {
    (0..levels).fold(core, |inside, _| Value::Map(Map::from_iter([("in", inside)])))
}

/// Opaque values inside one another, `levels` of them, whose views are lists, around `core`.
pub fn opaque_around(core: Value, levels: usize) -> Value {
    (0..levels).fold(core, |inside, _| Opaque::new("codec", "tuple").with_view(Value::from(vec![inside])).into())
}

/// Runs `check` with 1 MiB of stack, which is half of what Rust gives a thread.
pub fn on_a_small_stack(check: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(check).expect("a thread starts");
    thread.join().expect("the check succeeds");
}
