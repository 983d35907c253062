//! The tasks of random graphs, written a second time. The first version is `random_tasks.py`, which explains the names.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What travels on a link: values by name. Positions are names, too.
pub type Data = BTreeMap<String, Value>;

/// The name under which `ppfmethod` tasks hand on everything.
pub const TRAVELLING: &str = "_ppfdict";
/// The entry that an error link adds.
pub const EXCEPTION: &str = "WorkflowException";
/// What an error link adds, too: the exception itself, of which only the presence is compared.
pub const INSTANCE: &str = "WorkflowExceptionInstance";

/// The form of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// `ppfmethod`
    Dictionary,
    /// `ppfport`
    Port,
    /// `method`
    Method,
    /// `class`
    Class,
}

/// The inputs of classes.
const NAMES: [&str; 6] = ["x", "y", "z", "p", "q", "s"];
/// The message of a class that lacks a required input.
pub const MISSING: &str = "an input is missing";

/// The required inputs of a class.
pub fn required_inputs(program: &str) -> impl Iterator<Item = &str> {
    program.split("_then_").filter_map(|step| step.strip_prefix("need_"))
}

/// The outputs of a class.
pub fn class_outputs(program: &str) -> Vec<String> {
    let made = program.split("_then_").filter_map(|step| {
        let words: Vec<&str> = step.split('_').collect();
        match words[0] {
            "add" | "test" | "set" | "sum" | "names" => Some(words[1]),
            "copy" => Some(words[2]),
            _ => None,
        }
    });
    made.map(str::to_owned).collect()
}

/// The result of a task for its inputs, or the message of its error.
pub fn outputs(form: Form, program: &str, inputs: &Data) -> Result<Data, String> {
    let one = |name: &str, value: Value| Data::from([(name.to_owned(), value)]);
    match form {
        Form::Port => Ok(one(TRAVELLING, object(inputs))),
        Form::Dictionary => {
            let (changed, _) = work(program, inputs)?;
            let mut all = inputs.clone();
            all.extend(changed);
            Ok(one(TRAVELLING, object(&all)))
        }
        Form::Class if required_inputs(program).any(|name| !inputs.contains_key(name)) => Err(MISSING.to_owned()),
        Form::Class => {
            let known = inputs.iter().filter(|(name, _)| NAMES.contains(&name.as_str()));
            let known = known.map(|(name, value)| (name.clone(), value.clone())).collect();
            work(program, &known).map(|(changed, _)| changed)
        }
        Form::Method => work(program, inputs).map(|(_, given)| one("return_value", given)),
    }
}

/// What the steps change of the data, and what a method gives back.
fn work(program: &str, data: &Data) -> Result<(Data, Value), String> {
    let mut data = data.clone();
    let mut changed = Data::new();
    let mut given = Value::Null;
    for step in program.split("_then_") {
        let words: Vec<&str> = step.split('_').collect();
        let at = |place: usize| number(data.get(words[place]));
        let count = |place: usize| words[place].parse::<i64>().expect("the step has a number there");
        let public = || data.iter().filter(|(name, _)| *name != EXCEPTION && *name != INSTANCE);
        let new = match words[0] {
            "add" => Some((words[1], json!((at(1) + count(2)).rem_euclid(1000)))),
            "test" => Some((words[1], json!(at(2) < count(3)))),
            "set" => Some((words[1], constant(words[2]))),
            "copy" => Some((words[2], data.get(words[1]).cloned().unwrap_or_default())),
            "sum" => {
                Some((words[1], json!(data.values().map(|value| number(Some(value))).sum::<i64>().rem_euclid(10))))
            }
            "names" => {
                let names: Vec<&str> = public().map(|(name, _)| name.as_str()).collect();
                Some((words[1], json!(names.join(" "))))
            }
            "raiseif" if at(1) == count(2) => return Err(format!("{} is {}", words[1], words[2])),
            "raiseif" | "need" => None,
            "raise" => return Err("always".to_owned()),
            "give" => {
                given = data.get(words[1]).cloned().unwrap_or_default();
                None
            }
            "giveall" => {
                given = public().map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>().into();
                None
            }
            other => panic!("there is no step {other:?}"),
        };
        if let Some((name, value)) = new {
            data.insert(name.to_owned(), value.clone());
            changed.insert(name.to_owned(), value);
        }
    }
    Ok((changed, given))
}

fn number(value: Option<&Value>) -> i64 {
    match value {
        Some(Value::Bool(truth)) => i64::from(*truth),
        Some(Value::Number(number)) => number.as_i64().unwrap_or(0),
        _ => 0,
    }
}

fn constant(word: &str) -> Value {
    match word {
        "true" => json!(true),
        "false" => json!(false),
        "none" => Value::Null,
        "one" => json!(1.0),
        "half" => json!(1.5),
        "zero" => json!(0),
        "two" => json!(2),
        "text" => json!("text"),
        "empty" => json!(""),
        other => panic!("there is no constant {other:?}"),
    }
}

/// The data as one value.
pub fn object(data: &Data) -> Value {
    data.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>().into()
}

/// Whether Python holds two values for equal: numbers by value, true and false among them.
pub fn equal(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        Value::Number(number) => number.as_f64(),
        _ => None,
    };
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one.total_cmp(&other).is_eq(),
        (None, None) => one == other,
        _ => false,
    }
}
