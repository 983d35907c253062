//! A `#[task]` function as a worker calls it: its inputs, its result, and the errors about inputs and results that do not
//! fit.

use std::collections::{HashMap, HashSet};

use pushflow_execute::{TaskContext, find_task, registered_tasks, run_rust};
use pushflow_green::Cancellation;
use pushflow_model::{Data, ErrorKind, Key, Payload, TaskError, Value};
use pushflow_task_macros::task;
use serde::{Deserialize, Serialize};

fn run(name: &str, inputs: Data) -> Result<Data, TaskError> {
    run_rust(name, &inputs, &TaskContext::new("node", 7, Cancellation::new()))
}

fn result(name: &str, inputs: Data) -> Data {
    run(name, inputs).expect("the task succeeds")
}

fn failure(name: &str, inputs: Data) -> TaskError {
    run(name, inputs).expect_err("the task fails")
}

fn assert_fails(name: &str, inputs: Data, kind: ErrorKind, message: &str) {
    let error = failure(name, inputs);
    assert_eq!((error.kind, error.message.as_str()), (kind, message));
}

fn text<'a>(data: &'a Data, name: &str) -> Option<&'a str> {
    data.value(name).expect("it decodes").and_then(Value::as_str)
}

fn int(data: &Data, name: &str) -> Option<i64> {
    data.value(name).expect("it decodes").and_then(Value::as_int)
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Greeting {
    text: String,
}

#[task(crate = pushflow_execute)]
fn greet(name: String, shout: Option<bool>) -> Greeting {
    let text = format!("hello {name}");
    Greeting { text: if shout == Some(true) { text.to_uppercase() } else { text } }
}

#[test]
fn inputs_reach_the_parameters_of_their_names_and_others_are_ignored() {
    let inputs = Data::new().with("shout", true).with("travelling", 3).with("name", "you");
    assert_eq!(text(&result("greet", inputs), "text"), Some("HELLO YOU"));
}

#[test]
fn an_optional_input_may_be_missing_or_null() {
    let inputs = Data::new().with("name", "you");
    assert_eq!(text(&result("greet", inputs.clone()), "text"), Some("hello you"));
    assert_eq!(text(&result("greet", inputs.with("shout", Value::Null)), "text"), Some("hello you"));
}

#[test]
fn the_function_stays_callable() {
    assert_eq!(greet("you".to_owned(), None), Greeting { text: "hello you".to_owned() });
}

#[test]
fn a_missing_input_is_named_with_those_that_are_there() {
    let inputs = Data::new().with("nam", "you").with("limit", 1);
    let message =
        r#"task "greet" needs the input "name", which is missing (there are: "nam", "limit"; did you mean "nam"?)"#;
    assert_fails("greet", inputs, ErrorKind::BadInput, message);
    let message = r#"task "greet" needs the input "name", which is missing (there is none)"#;
    assert_fails("greet", Data::new(), ErrorKind::BadInput, message);
}

#[task(crate = pushflow_execute)]
fn increment(value: i64) -> HashMap<&'static str, i64> {
    HashMap::from([("value", value + 1)])
}

#[test]
fn an_input_of_a_wrong_type_is_refused() {
    let error = failure("increment", Data::new().with("value", "one"));
    assert_eq!(error.kind, ErrorKind::BadInput);
    // The rest is the message of the conversion.
    let start = r#"task "increment": input "value" does not fit: expected i64, found "#;
    assert!(error.message.starts_with(start), "{error}");
}

#[test]
fn an_input_whose_bytes_are_damaged_is_refused() {
    let mut inputs = Data::new();
    inputs.insert("value".into(), Payload::from_encoded(vec![0xff; 3].into()));
    let error = failure("increment", inputs);
    assert_eq!(error.kind, ErrorKind::BadInput);
    assert!(error.message.starts_with(r#"task "increment" can't read the input "value": "#), "{error}");
}

#[test]
fn a_map_is_the_result_by_its_entries() {
    assert_eq!(int(&result("increment", Data::new().with("value", 1)), "value"), Some(2));
}

#[task(crate = pushflow_execute)]
fn subtract(context: &TaskContext, inputs: Data, from: i64, amount: Option<i64>) -> Data {
    let attempt = context.attempt() as i64;
    Data::new().with("left", from - amount.unwrap_or(0)).with("attempt", attempt).with("given", inputs.len() as i32)
}

#[test]
fn an_input_that_is_missing_by_name_is_taken_by_position() {
    let positions = Data::new().with(0, 10).with(1, 3);
    let all = result("subtract", positions.clone());
    assert_eq!((int(&all, "left"), int(&all, "given")), (Some(7), Some(2)));
    let named = result("subtract", positions.with("from", 20));
    assert_eq!(int(&named, "left"), Some(17), "a name wins, and later positions stay where they are");
}

#[test]
fn the_context_and_all_inputs_can_be_taken() {
    let all = result("subtract", Data::new().with("from", 1).with("other", 1));
    assert_eq!((int(&all, "attempt"), int(&all, "given")), (Some(7), Some(2)));
}

mod own_types {
    use super::*;

    /// A type of the user with the same name as a type of pushflow.
    #[derive(Deserialize)]
    pub struct Data {
        x: f64,
    }

    type Everything = pushflow_model::Data;

    #[task(crate = pushflow_execute)]
    fn measure(point: Data, everything: Everything) -> HashMap<String, f64> {
        HashMap::from([("x".to_owned(), point.x), ("inputs".to_owned(), everything.len() as f64)])
    }
}

#[test]
fn a_parameter_means_what_its_type_is_not_how_it_is_spelt() {
    let point = Value::Map([("x", Value::Float(1.5))].into_iter().collect());
    let measured = result("measure", Data::new().with("point", point));
    assert_eq!(measured.value("x"), Ok(Some(&Value::Float(1.5))));
    assert_eq!(measured.value("inputs"), Ok(Some(&Value::Float(1.0))));
}

#[task(crate = pushflow_execute, name = "shapes.move")]
fn r#move(r#type: String, _unused: i64, mut by: Vec<f64>) -> Data {
    by.push(0.0);
    Data::new().with("type", r#type).with("count", by.len() as i32)
}

#[test]
fn raw_unused_and_mutable_names_are_names() {
    let by = vec![Value::Float(1.0)];
    let inputs = Data::new().with("type", "circle").with("unused", 1).with("by", by);
    let moved = result("shapes.move", inputs);
    assert_eq!((text(&moved, "type"), int(&moved, "count")), (Some("circle"), Some(2)));
}

#[task(crate = pushflow_execute)]
fn pass(anything: Value, more: Option<Value>) -> Value {
    Value::Map([("anything", anything), ("more", Value::Bool(more.is_some()))].into_iter().collect())
}

#[test]
fn a_value_is_taken_and_given_as_it_is() {
    let passed = result("pass", Data::new().with("anything", Value::Bytes(vec![1, 255].into())));
    assert_eq!(passed.value("anything"), Ok(Some(&Value::Bytes(vec![1, 255].into()))));
    assert_eq!(passed.value("more"), Ok(Some(&Value::Bool(false))));
}

#[task(crate = pushflow_execute)]
fn nothing() {}

#[task(crate = pushflow_execute)]
fn nothing_or_error(fail: bool) -> Result<(), String> {
    if fail { Err("asked to fail".to_owned()) } else { Ok(()) }
}

#[test]
fn unit_is_a_result_without_entries() {
    assert!(result("nothing", Data::new()).is_empty());
    assert!(result("nothing_or_error", Data::new().with("fail", false)).is_empty());
}

#[task(crate = pushflow_execute)]
fn answer() -> i64 {
    42
}

#[task(crate = pushflow_execute)]
fn perhaps() -> Option<Greeting> {
    None
}

#[task(crate = pushflow_execute)]
fn too_large() -> Result<HashMap<String, u64>, String> {
    Ok(HashMap::from([("value".to_owned(), u64::MAX)]))
}

#[task(crate = pushflow_execute)]
fn double_text(value: String) -> String {
    value.repeat(2)
}

#[task(crate = pushflow_execute)]
fn squares(limit: i64) -> Vec<i64> {
    (0..limit).map(|number| number * number).collect()
}

#[task(crate = pushflow_execute)]
fn pair() -> (i64, String) {
    (1, "one".to_owned())
}

#[task(crate = pushflow_execute)]
fn half(value: i64) -> Option<i64> {
    (value % 2 == 0).then_some(value / 2)
}

#[task(crate = pushflow_execute)]
fn greet_if(name: Option<String>) -> Option<Greeting> {
    name.map(|text| Greeting { text })
}

macro_rules! checked {
    ($($name:ident: $type:ty = $value:expr;)*) => {
        $(
            #[task(crate = pushflow_execute)]
            fn $name(fail: bool) -> Result<$type, String> {
                if fail { Err("asked to fail".to_owned()) } else { Ok($value) }
            }
        )*
    };
}

checked! {
    checked_int: i64 = 42;
    checked_text: String = "text".to_owned();
    checked_list: Vec<i64> = vec![0, 1, 4];
    checked_pair: (i64, String) = (1, "one".to_owned());
    checked_option: Option<i64> = None;
    checked_unit: () = ();
    checked_struct: Greeting = Greeting { text: "hello".to_owned() };
}

/// The one entry of a result that is no map.
fn return_value(name: &str, inputs: Data) -> Value {
    let result = result(name, inputs);
    assert_eq!(result.len(), 1, "{result:?}");
    result.value("return_value").expect("it decodes").expect("it is there").clone()
}

#[test]
fn a_result_that_is_no_map_is_the_entry_return_value() {
    assert_eq!(return_value("answer", Data::new()), Value::Int(42));
    assert_eq!(return_value("double_text", Data::new().with("value", "ab")), Value::from("abab"));
    assert_eq!(return_value("squares", Data::new().with("limit", 3)), Value::from([0, 1, 4]));
    assert_eq!(return_value("pair", Data::new()), Value::from(vec![Value::Int(1), Value::from("one")]));
    assert_eq!(return_value("half", Data::new().with("value", 8)), Value::Int(4));
    assert_eq!(return_value("half", Data::new().with("value", 7)), Value::Null);
    let pass = |value: Value| return_value("pass_value", Data::new().with("value", value));
    assert_eq!(pass(Value::Float(1.5)), Value::Float(1.5));
}

#[task(crate = pushflow_execute)]
fn pass_value(value: Value) -> Value {
    value
}

#[test]
fn an_optional_struct_has_its_fields_as_outputs_or_is_null() {
    assert_eq!(text(&result("greet_if", Data::new().with("name", "you")), "text"), Some("you"));
    assert_eq!(return_value("greet_if", Data::new()), Value::Null);
    assert_eq!(return_value("perhaps", Data::new()), Value::Null);
}

#[test]
fn a_result_in_a_result_is_the_same_or_the_error() {
    let succeeds = || Data::new().with("fail", false);
    let fails = || Data::new().with("fail", true);
    assert_eq!(return_value("checked_int", succeeds()), Value::Int(42));
    assert_eq!(return_value("checked_text", succeeds()), Value::from("text"));
    assert_eq!(return_value("checked_list", succeeds()), Value::from([0, 1, 4]));
    assert_eq!(return_value("checked_pair", succeeds()), Value::from(vec![Value::Int(1), Value::from("one")]));
    assert_eq!(return_value("checked_option", succeeds()), Value::Null);
    assert!(result("checked_unit", succeeds()).is_empty());
    assert_eq!(text(&result("checked_struct", succeeds()), "text"), Some("hello"));
    for name in ["int", "text", "list", "pair", "option", "unit", "struct"] {
        assert_fails(&format!("checked_{name}"), fails(), ErrorKind::Raised, "asked to fail");
    }
}

#[test]
fn outputs_become_the_returned_value_again() {
    assert_eq!(result("answer", Data::new()).returned(), Ok(42));
    assert_eq!(result("pair", Data::new()).returned(), Ok((1, "one".to_owned())));
    assert_eq!(result("half", Data::new().with("value", 7)).returned(), Ok(None::<i64>));
    assert_eq!(result("nothing", Data::new()).returned(), Ok(()));
    let greeting = Greeting { text: "you".to_owned() };
    assert_eq!(result("greet_if", Data::new().with("name", "you")).returned(), Ok(Some(greeting)));
    assert_eq!(result("greet_if", Data::new()).returned(), Ok(None::<Greeting>));
    let increased = result("increment", Data::new().with("value", 1));
    assert_eq!(increased.returned(), Ok(HashMap::from([("value".to_owned(), 2)])));
}

#[test]
fn a_result_that_cannot_travel_is_refused() {
    let error = failure("too_large", Data::new());
    assert_eq!(error.kind, ErrorKind::BadResult);
    assert!(error.message.starts_with(r#"task "too_large" returned what can't travel: "#), "{error}");
}

#[test]
fn an_unknown_task_is_refused_with_the_nearest_name() {
    let error = failure("shapes.mvoe", Data::new());
    assert_eq!(error.kind, ErrorKind::NotFound);
    let count = registered_tasks().map(|task| task.name).collect::<HashSet<_>>().len();
    assert_eq!(
        error.message,
        format!(
            "no task named \"shapes.mvoe\" is in this program (there are {count}; did you mean \"shapes.move\"?): a #[task] \
             function must be part of the program that runs as worker, whose main calls pushflow::init() first"
        )
    );
}

mod twice {
    use super::*;

    #[task(crate = pushflow_execute, name = "twice")]
    fn one() {}

    #[task(crate = pushflow_execute, name = "twice")]
    fn other() {}

    pub const LINES: (u32, u32) = (line!() - 6, line!() - 3);
}

#[test]
fn two_tasks_of_one_name_are_an_error_that_names_both_places() {
    let (one, other) = twice::LINES;
    let message = format!(
        "the task name \"twice\" is given twice, at {0}:{one} and at {0}:{other}: rename one with #[task(name = \"...\")]",
        file!()
    );
    assert_eq!(find_task("twice").map(|task| task.name).unwrap_err().to_string(), message);
}

#[test]
fn a_task_knows_where_it_is() {
    let task = find_task("nothing").expect("it is registered");
    assert_eq!((task.name, task.file), ("nothing", file!()));
}

/// A function with the same name as a variable of the generated code.
#[task(crate = pushflow_execute)]
fn inputs(inputs: i64, call: i64) -> Data {
    Data::new().with("sum", inputs + call)
}

#[test]
fn a_task_may_be_called_as_a_variable_of_the_generated_code_is() {
    assert_eq!(int(&result("inputs", Data::new().with("inputs", 1).with("call", 2)), "sum"), Some(3));
}

#[test]
fn positions_are_listed_as_such() {
    let mut inputs = Data::new();
    inputs.insert(Key::Position(4), Payload::from(Value::Int(1)));
    let message = r#"task "increment" needs the input "value", which is missing (there is: position 4)"#;
    assert_fails("increment", inputs, ErrorKind::BadInput, message);
}
