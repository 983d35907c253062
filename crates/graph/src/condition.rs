//! When a link with conditions is taken (`ewoks_format.md`, `conditions`; `parity.md` P146).

use pushflow_value::{CodecError, Data, Value};

/// One condition of a link on one output of its source; all conditions of a link must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The output that is looked at; for a ppf node, a name inside its travelling dictionary.
    pub output: String,
    /// What must be true of it. An output that is not there fulfils no test.
    pub test: Test,
}

/// What must be true of an output.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// It equals this value.
    Equals(Value),
    /// It equals the source's `conditions_else_value`, or none of the values that any condition of the source on this
    /// output names.
    Else {
        /// The source's `conditions_else_value`.
        otherwise: Value,
        /// Every value that a condition of the source on this output names.
        named: Vec<Value>,
    },
}

impl Condition {
    /// Whether the condition holds for what the source produced.
    ///
    /// # Errors
    /// When the output's bytes can't be decoded.
    pub fn holds(&self, outputs: &Data) -> Result<bool, CodecError> {
        let Some(value) = outputs.value(&self.output)? else { return Ok(false) };
        Ok(match &self.test {
            Test::Equals(expected) => ewoks_equal(value, expected),
            Test::Else { otherwise, named } => {
                ewoks_equal(value, otherwise) || !named.iter().any(|other| ewoks_equal(value, other))
            }
        })
    }
}

/// Python's `==` between plain values: `1 == 1.0 == True` (`parity.md` P146).
pub fn ewoks_equal(left: &Value, right: &Value) -> bool {
    let _ = (left, right);
    todo!()
}
