//! When a link with conditions is taken (`ewoks_format.md`, `conditions`; `parity.md` P146).

use pushflow_model::{CodecError, Data, Value};

use crate::ewoks_equal;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(test: Test, outputs: Data) -> bool {
        Condition { output: "size".to_owned(), test }.holds(&outputs).unwrap()
    }

    fn size(value: impl Into<Value>) -> Data {
        Data::new().with("size", value)
    }

    #[test]
    fn an_output_that_equals_the_value_fulfils_its_condition() {
        assert!(holds(Test::Equals(1.into()), size(true)));
        assert!(!holds(Test::Equals(1.into()), size(2)));
    }

    #[test]
    fn an_output_that_is_not_there_fulfils_no_condition() {
        let otherwise = Test::Else { otherwise: Value::Null, named: vec![Value::Null] };
        assert!(!holds(Test::Equals(Value::Null), Data::new()));
        assert!(!holds(otherwise, Data::new().with("other", 1)));
    }

    #[test]
    fn the_else_value_holds_for_itself_and_for_what_no_condition_names() {
        let otherwise = || Test::Else { otherwise: "rest".into(), named: vec!["rest".into(), 1.into()] };
        assert!(holds(otherwise(), size("rest")));
        assert!(holds(otherwise(), size(2)));
        assert!(!holds(otherwise(), size(1.0)));
    }
}
