//! `MISSING_DATA` of ewokscore: the value that a task class hands on for an output that it has not set.
//!
//! Task classes receive it. For every other task of an ewoks graph an input with this value is absent, together with
//! any default of the same name.

use pushflow_graph::{Graph, Work};
use pushflow_model::{Data, Key, Payload, TaskSpec, Value};

const TYPE: &str = "ewokscore.missing_data.MissingData";

/// Its encoded form is short: a longer payload is not decoded to look for it.
const LONGEST: usize = 512;

/// Whether the graph has tasks that may hand on `MISSING_DATA`.
pub(super) fn is_possible(graph: &Graph) -> bool {
    graph.tasks().any(|(_, task)| matches!(task, TaskSpec::Ewoks(_)))
}

/// Whether a task runs a class of ewokscore.
pub(super) fn is_of_ewoks(work: &Work) -> bool {
    matches!(work, Work::Attempt(TaskSpec::Ewoks(_)))
}

/// The inputs without those that are `MISSING_DATA`.
pub(super) fn without(mut inputs: Data) -> Data {
    let missing: Vec<Key> =
        inputs.iter().filter(|(_, payload)| is_missing(payload)).map(|(key, _)| key.clone()).collect();
    for key in &missing {
        inputs.remove(key);
    }
    inputs
}

fn is_missing(payload: &Payload) -> bool {
    let is_short = payload.encoded_form().is_none_or(|encoded| encoded.len() <= LONGEST);
    is_short && matches!(payload.value(), Ok(Value::Opaque(opaque)) if opaque.type_name == TYPE)
}

#[cfg(test)]
mod tests {
    use pushflow_model::Opaque;

    use super::*;

    #[test]
    fn only_what_is_missing_is_left_out_and_the_order_stays() {
        let missing = || Value::from(Opaque::new("pickle", TYPE).with_text("<MISSING_DATA>"));
        let long = Opaque::new("pickle", "decimal.Decimal").with_text("9".repeat(1000));
        let inputs = Data::new().with("a", 1).with("gone", missing()).with("b", long).with("c", vec![missing()]);
        let sent: Data = inputs
            .iter()
            .map(|(key, payload)| (key.clone(), Payload::from_encoded(payload.encoded().unwrap().clone())))
            .collect();
        for inputs in [inputs, sent] {
            let left: Vec<String> = without(inputs).iter().map(|(key, _)| key.to_string()).collect();
            assert_eq!(left, ["a", "b", "c"]);
        }
    }
}
