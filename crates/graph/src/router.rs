//! [`Router`]: chooses the port from which data leaves (`docs/parity.md` P44-P51).

use std::fmt;

use pushflow_model::{CodecError, Data, Value};

use crate::equality::Number;

/// The name of the port for all values without a port of their own.
const OTHER: &str = "other";

/// Chooses a port by the value of one entry of the data.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Router {
    /// The name of the entry.
    pub item: String,
    /// The values that have a port. Data with any other value leaves from the port "other".
    pub ports: Vec<Value>,
}

/// A port of a router.
#[derive(Clone, Debug, PartialEq)]
pub enum Port {
    /// Data leaves from it when the entry of the router has this value.
    Value(Value),
    /// Data leaves from it when the entry is missing or has a value without a port.
    Other,
}

impl Router {
    /// A router by the entry `item`, with a port for each of the values and the port "other".
    pub fn new(item: impl Into<String>, ports: impl IntoIterator<Item = impl Into<Value>>) -> Self {
        Router { item: item.into(), ports: ports.into_iter().map(Into::into).collect() }
    }

    /// The port from which data leaves, spelt as in [`Router::ports`] and as in the links of this router.
    ///
    /// Numbers match by value (`1` and `1.0`), and a boolean is no number. A text matches the same text only, with
    /// these exceptions: null, `"null"` and `"None"` are one value, and so are true and `"true"`, false and `"false"`
    /// (`docs/parity.md` P47). Lists, maps and bytes match no port. The reactor sends data for a port without links to
    /// the port "other" (`docs/parity.md` P50).
    ///
    /// ```
    /// use pushflow_graph::{Port, Router};
    /// use pushflow_model::{Data, Value};
    ///
    /// let router = Router::new("done", ["true"]);
    /// let port = router.port_of(&Data::new().with("done", true))?;
    /// assert_eq!(port, Port::Value(Value::from("true")));
    /// assert_eq!(router.port_of(&Data::new())?, Port::Other);
    /// # Ok::<(), pushflow_model::CodecError>(())
    /// ```
    ///
    /// # Errors
    /// When the bytes of the entry can't be decoded.
    pub fn port_of(&self, data: &Data) -> Result<Port, CodecError> {
        let value = data.value(&self.item)?;
        Ok(value.and_then(|value| self.declared(value)).map_or(Port::Other, |declared| declared.clone().into()))
    }

    /// The same port as this router spells it; `None` if the router does not have it.
    pub(crate) fn own_port(&self, port: &Port) -> Option<Port> {
        match port {
            Port::Other => Some(Port::Other),
            Port::Value(value) => self.declared(value).map(|declared| declared.clone().into()),
        }
    }

    /// The ports, as the list in a message.
    pub(crate) fn port_list(&self) -> String {
        let ports = self.ports.iter().map(|value| Port::from(value.clone())).filter(|port| *port != Port::Other);
        let mut words: Vec<String> = ports.map(|port| port.to_string()).collect();
        words.push(Port::Other.to_string());
        words.join(", ")
    }

    fn declared(&self, value: &Value) -> Option<&Value> {
        let wanted = RouterKey::of(value)?;
        self.ports.iter().find(|port| RouterKey::of(port).as_ref() == Some(&wanted))
    }
}

/// The text `"other"` is the port "other" (`docs/parity.md` P46).
impl From<Value> for Port {
    fn from(value: Value) -> Self {
        if value.as_str() == Some(OTHER) { Port::Other } else { Port::Value(value) }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Port::Value(value) => match value.to_json() {
                Ok(json) => write!(f, "{json}"),
                Err(_) => f.write_str(value.type_name()),
            },
            Port::Other => write!(f, "{OTHER:?}"),
        }
    }
}

/// The key by which a router compares: two values have the same key exactly if they belong to the same port.
#[derive(Debug, PartialEq, Eq)]
enum RouterKey<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(&'a str),
}

impl RouterKey<'_> {
    /// The key of a value; `None` for a value that matches no port.
    fn of(value: &Value) -> Option<RouterKey<'_>> {
        match value.plain() {
            Value::Null => Some(RouterKey::Null),
            Value::Bool(truth) => Some(RouterKey::Bool(*truth)),
            Value::Int(whole) => Some(RouterKey::Number(Number::Whole(*whole))),
            Value::Float(float) => Number::of_float(*float).map(RouterKey::Number),
            Value::Str(text) => Some(match text.as_str() {
                "None" | "null" => RouterKey::Null,
                "true" => RouterKey::Bool(true),
                "false" => RouterKey::Bool(false),
                other => RouterKey::Text(other),
            }),
            Value::Bytes(_) | Value::List(_) | Value::Map(_) | Value::Opaque(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(router: &Router, value: impl Into<Value>) -> Port {
        router.port_of(&Data::new().with("item", value)).unwrap()
    }

    #[test]
    fn null_and_its_texts_leave_from_one_port() {
        for spelling in [Value::Null, "None".into(), "null".into()] {
            let router = Router::new("item", [spelling.clone()]);
            for value in [Value::Null, "None".into(), "null".into()] {
                assert_eq!(port(&router, value), Port::Value(spelling.clone()));
            }
        }
    }

    #[test]
    fn booleans_and_their_texts_leave_from_one_port() {
        let router = Router::new("item", [Value::from("true"), false.into()]);
        assert_eq!(port(&router, true), Port::Value("true".into()));
        assert_eq!(port(&router, "false"), Port::Value(false.into()));
        assert_eq!(port(&router, "True"), Port::Other);
    }

    #[test]
    fn numbers_match_by_value_and_a_boolean_is_no_number() {
        let router = Router::new("item", [1]);
        assert_eq!(port(&router, 1.0), Port::Value(1.into()));
        assert_eq!(port(&router, true), Port::Other);
        assert_eq!(port(&router, "1"), Port::Other);
        let huge = Router::new("item", [9_007_199_254_740_993_i64]);
        assert_eq!(port(&huge, 9_007_199_254_740_992.0), Port::Other);
    }

    #[test]
    fn a_text_matches_only_the_same_text() {
        let router = Router::new("item", ["1", "red"]);
        assert_eq!(port(&router, "red"), Port::Value("red".into()));
        assert_eq!(port(&router, "Red"), Port::Other);
        assert_eq!(port(&router, 1), Port::Other);
    }

    #[test]
    fn lists_maps_bytes_and_not_a_number_match_no_port() {
        let odd = [
            Value::List(Default::default()),
            Value::Map(Default::default()),
            Value::Bytes(vec![1].into()),
            f64::NAN.into(),
        ];
        let router = Router::new("item", odd.clone());
        for value in odd {
            assert_eq!(port(&router, value), Port::Other);
        }
    }

    #[test]
    fn a_missing_entry_leaves_from_other() {
        let router = Router::new("item", [Value::Null]);
        assert_eq!(router.port_of(&Data::new()).unwrap(), Port::Other);
    }

    #[test]
    fn a_value_other_is_the_port_other_even_if_it_is_declared() {
        assert_eq!(port(&Router::new("item", ["other"]), "other"), Port::Other);
        assert_eq!(Router::new("item", ["other", "a"]).port_list(), r#""a", "other""#);
    }
}
