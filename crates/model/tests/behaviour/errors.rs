//! Errors: `Display` gives the whole reason and `source` gives none, so a printed chain of causes repeats nothing.

use std::error::Error;

use pushflow_model::{CodecError, Value, from_value, parse_json};

#[test]
fn no_error_says_its_cause_twice() {
    let errors: [Box<dyn Error + Send + Sync>; 3] = [
        Box::new(CodecError::Malformed("it ends too early".to_owned())),
        Box::new(from_value::<i64>(&Value::Null).unwrap_err()),
        Box::new(parse_json("[").unwrap_err()),
    ];
    for error in errors {
        assert!(error.source().is_none() && !error.to_string().contains('\n'), "{error}");
    }
}
