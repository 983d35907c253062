//! [`Condition`]: when a link with conditions is taken (`docs/parity.md` P146).

use pushflow_model::{CodecError, Data, Value};

use crate::ewoks_equal;

/// One condition of a link on one output of its source; all conditions of a link must hold.
///
/// ```
/// use pushflow_graph::Condition;
/// use pushflow_model::Data;
///
/// let is_big = Condition::equals("size", "big");
/// assert!(is_big.holds(&Data::new().with("size", "big"))?);
/// assert!(!is_big.holds(&Data::new())?);
/// // The source has links with conditions on "big" and "small", and this one for any other value.
/// let rest = Condition::otherwise("size", (), ["big", "small"]);
/// assert!(rest.holds(&Data::new().with("size", "huge"))?);
/// # Ok::<(), pushflow_model::CodecError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Condition {
    /// The name of the output. For a ppf node it is a name in the dictionary `_ppfdict` that the node hands on.
    pub output: String,
    /// What must be true of the output. An output that the source did not hand on fulfils no test.
    pub test: Test,
}

/// What must be true of an output.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Test {
    /// The output equals this value.
    Equals(Value),
    /// The output equals the `conditions_else_value` of the source, or it equals none of the values that the conditions
    /// of the source name for this output.
    Else {
        /// The `conditions_else_value` of the source.
        otherwise: Value,
        /// The values that all links out of the source name in their conditions on this output.
        named: Vec<Value>,
    },
}

impl Condition {
    /// Holds where the output equals the value, as [`ewoks_equal`] compares.
    pub fn equals(output: impl Into<String>, value: impl Into<Value>) -> Self {
        Condition { output: output.into(), test: Test::Equals(value.into()) }
    }

    /// Holds where the output equals `otherwise`, or none of the named values: see [`Test::Else`].
    pub fn otherwise(
        output: impl Into<String>,
        otherwise: impl Into<Value>,
        named: impl IntoIterator<Item = impl Into<Value>>,
    ) -> Self {
        let test = Test::Else { otherwise: otherwise.into(), named: named.into_iter().map(Into::into).collect() };
        Condition { output: output.into(), test }
    }

    /// Whether the condition holds for these outputs of the source.
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
