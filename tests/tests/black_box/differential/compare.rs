//! The outcome of a run, in one form for both engines, compared with the outcome in the model.
//!
//! The engines differ in these points on purpose (`docs/ewoks.md`). Only these are made equal before the comparison:
//! - an error link's `WorkflowException` has the task's own message here, which the original wraps in a sentence, and a
//!   traceback that differs by it; so the message is compared, without the wrapping. Of the instance, its presence is;
//! - with an error that nothing handled and no good result, the result is empty here, and is the error in the original;
//! - positions that were left open are not among the inputs here, and are null in the original;
//! - a `ppfmethod` that gets a position is called with it here, and not in the original: these tasks take none, and fail;
//! - that a class lacks a required input is said in other words.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::model::{Execution, Expected, POSITION};
use super::tasks::{EXCEPTION, INSTANCE, MISSING};

/// The outcome of a run.
#[derive(Debug, Default)]
pub struct Seen {
    pub executions: BTreeMap<String, Vec<Execution>>,
    pub result: Value,
    /// How the run ended and its errors, which only pushflow tells.
    pub outcome: Option<String>,
    pub errors: Vec<(String, String, bool)>,
}

impl Seen {
    pub fn of_original(answer: &Value) -> Self {
        let mut seen = Seen { result: good(&answer["result"]), ..Seen::default() };
        for execution in array(&answer["executions"]) {
            let node = text(&execution["node"]);
            seen.executions.entry(node).or_default().push(made(execution));
        }
        seen
    }

    /// Reads the output of `pushflow run --format json --output all`.
    pub fn of_pushflow(object: &Value) -> Self {
        let mut seen = Seen { result: good(&object["result"]), ..Seen::default() };
        for (node, listed) in object["nodes"].as_object().expect("the nodes are listed") {
            seen.executions.insert(node.clone(), array(&listed["executions"]).iter().map(made).collect());
        }
        for error in array(&object["errors"]) {
            let handled = error["handled"].as_bool().expect("it is said");
            seen.errors.push((text(&error["node"]), message(&error["message"]), handled));
        }
        seen.errors.sort();
        seen.outcome = Some(text(&object["outcome"]));
        seen
    }

    /// The differences to the expected outcome; empty if there are none.
    pub fn difference(&self, expected: &Expected) -> Option<String> {
        let mut found = Vec::new();
        let none = Vec::new();
        let nodes: BTreeSet<_> = self.executions.keys().chain(expected.executions.keys()).collect();
        for node in nodes {
            let seen = self.executions.get(node).unwrap_or(&none);
            let wanted = expected.executions.get(node);
            let in_order = wanted.is_some_and(|wanted| wanted.in_order);
            let listed = wanted.map_or(&[][..], |wanted| &wanted.list);
            let same = if in_order { *seen == plain(listed) } else { sorted(seen) == sorted(&plain(listed)) };
            if !same {
                let order = if in_order { "in this order" } else { "in any order" };
                found.push(format!("node {node}:\n  ran    {}\n  not {order} {}", shown(seen), shown(&plain(listed))));
            }
        }
        let results: Vec<Value> = expected.results.iter().map(canonical).collect();
        if !results.contains(&self.result) {
            found.push(format!("the result is {}, not one of {}", self.result, json!(results)));
        }
        if let Some(outcome) = &self.outcome {
            let failed = expected.errors.iter().any(|(.., handled)| !handled);
            let wanted = if failed { "failed" } else { "finished" };
            if outcome != wanted {
                found.push(format!("the run has {outcome}, not {wanted}"));
            }
            if self.errors != expected.errors {
                found.push(format!("the errors are {:?}, not {:?}", self.errors, expected.errors));
            }
        }
        if found.is_empty() { None } else { Some(found.join("\n")) }
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn made(execution: &Value) -> Execution {
    let outputs = match execution.get("error").filter(|error| !error.is_null()) {
        None => Ok(canonical(&execution["outputs"])),
        Some(error) => Err(message(&error["message"])),
    };
    Execution { inputs: canonical(&execution["inputs"]), outputs }
}

fn plain(executions: &[Execution]) -> Vec<Execution> {
    let plain = |execution: &Execution| Execution {
        inputs: canonical(&execution.inputs),
        outputs: execution.outputs.as_ref().map(canonical).map_err(Clone::clone),
    };
    executions.iter().map(plain).collect()
}

/// What an error says.
fn message(said: &Value) -> String {
    let said = text(said);
    let is_position =
        said == "keywords must be strings" || said.starts_with("dictionary() takes 1 positional argument");
    let is_missing =
        said.starts_with("Missing inputs for ") || said.starts_with("['") || said.contains(" lacks the required ");
    match (is_position, is_missing) {
        (true, _) => POSITION.to_owned(),
        (_, true) => MISSING.to_owned(),
        _ => said,
    }
}

/// A result, which is empty if it is an error.
fn good(result: &Value) -> Value {
    if result.get(EXCEPTION).is_some() { json!({}) } else { canonical(result) }
}

/// A value with its entries in one order and exceptions in one form.
fn canonical(value: &Value) -> Value {
    let is_gap = |(name, value): &(&String, &Value)| value.is_null() && name.parse::<usize>().is_ok();
    let entry = |(name, value): (&String, &Value)| {
        (name.clone(), if name == INSTANCE { json!("an instance") } else { canonical(value) })
    };
    match value {
        Value::Object(entries) if entries.contains_key("errorMessage") => {
            json!({"errorMessage": message(&entries["errorMessage"])})
        }
        Value::Object(entries) => {
            entries.iter().filter(|entry| !is_gap(entry)).map(entry).collect::<BTreeMap<_, _>>().into_iter().collect()
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        other => other.clone(),
    }
}

fn sorted(executions: &[Execution]) -> Vec<String> {
    let mut lines: Vec<String> = executions.iter().map(line).collect();
    lines.sort();
    lines
}

fn line(execution: &Execution) -> String {
    match &execution.outputs {
        Ok(outputs) => format!("{} -> {outputs}", execution.inputs),
        Err(message) => format!("{} raised {message:?}", execution.inputs),
    }
}

fn shown(executions: &[Execution]) -> String {
    let lines: Vec<String> = executions.iter().map(line).collect();
    format!("{} times: {}", lines.len(), lines.join("; "))
}
