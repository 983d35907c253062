//! What the code that `#[task]` writes calls: not for use by hand, and free to change with any version.
//!
//! The types decide what a parameter and a result mean, not their spelling: a method written for one type (`Input<Data>`)
//! wins over a trait's method for all types (`TakeInput for Input<T>`), so an alias of `Data` is `Data`, and a type of the
//! user's that is called `Data` is not. What a trait's method asks of its type stands at the method, not at the impl:
//! then the compiler says what `T` lacks, instead of finding no method.

use std::any::type_name;
use std::convert::Infallible;
use std::error::Error;
use std::iter::successors;
use std::marker::PhantomData;

use pushflow_model::{ErrorCause, ErrorDetails, ErrorKind, Key, Payload, TaskError, Value, from_value, to_value};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use inventory;
pub use pushflow_model::{Data, TaskSpec};

pub use super::RegisteredTask;
use super::available_names::available_names;
pub use crate::context::TaskContext;

/// What running a task gives.
pub type TaskResult = Result<Data, TaskError>;

/// How many causes of an error are told at most: a chain of them may be endless.
const CAUSES: usize = 16;

/// The type of an error that does not tell its own.
const UNKNOWN_ERROR: &str = "Error";

/// One call of one task, while its inputs are taken apart.
pub struct Call<'a> {
    task: &'static str,
    inputs: &'a Data,
    context: &'a TaskContext,
    /// The position of the next parameter that takes one input.
    position: u32,
}

impl<'a> Call<'a> {
    /// A call that took no input yet.
    pub fn new(task: &'static str, inputs: &'a Data, context: &'a TaskContext) -> Self {
        Call { task, inputs, context, position: 0 }
    }

    /// The next parameter's input: by name, else by position.
    fn next_input(&mut self, name: &str) -> Option<&'a Payload> {
        let position = Key::from(self.position);
        self.position += 1;
        self.inputs.named(name).or_else(|| self.inputs.payload(&position))
    }

    fn required_input(&mut self, name: &str) -> Result<&'a Value, TaskError> {
        match self.next_input(name) {
            Some(payload) => self.decode(name, payload),
            None => {
                let keys: Vec<Key> = self.inputs.iter().map(|(key, _)| key.clone()).collect();
                let choices = available_names(name, &keys, &[]);
                Err(self.bad_input(&format!("needs the input {name:?}, which is missing ({choices})")))
            }
        }
    }

    fn decode(&self, name: &str, payload: &'a Payload) -> Result<&'a Value, TaskError> {
        payload.value().map_err(|error| self.bad_input(&format!("can't read the input {name:?}: {error}")))
    }

    fn convert<T: DeserializeOwned>(&self, name: &str, value: &Value) -> Result<T, TaskError> {
        from_value(value).map_err(|error| {
            TaskError::new(ErrorKind::BadInput, format!("task {:?}: input {name:?} does not fit: {error}", self.task))
        })
    }

    fn bad_input(&self, what: &str) -> TaskError {
        TaskError::new(ErrorKind::BadInput, format!("task {:?} {what}", self.task))
    }

    fn bad_result(&self, what: &str) -> TaskError {
        TaskError::new(ErrorKind::BadResult, format!("task {:?} returned {what}", self.task))
    }
}

/// One parameter of type `T`, with the name of its input.
pub struct Input<T> {
    name: &'static str,
    of_type: PhantomData<T>,
}

impl<T> Input<T> {
    /// The parameter that takes the input `name`.
    pub fn new(name: &'static str) -> Self {
        Input { name, of_type: PhantomData }
    }
}

impl Input<Data> {
    /// All inputs.
    pub fn take(self, call: &mut Call<'_>) -> Result<Data, TaskError> {
        Ok(call.inputs.clone())
    }
}

impl<'a> Input<&'a TaskContext> {
    /// The context of the attempt.
    pub fn take(self, call: &mut Call<'a>) -> Result<&'a TaskContext, TaskError> {
        Ok(call.context)
    }
}

impl<T> Input<Option<T>> {
    /// One input; `None` where it is missing or null.
    pub fn take(self, call: &mut Call<'_>) -> Result<Option<T>, TaskError>
    where
        T: TaskParameter,
    {
        let Some(payload) = call.next_input(self.name) else { return Ok(None) };
        let value = call.decode(self.name, payload)?;
        call.convert(self.name, value)
    }
}

/// What serde reads as an input: a trait of its own, so that the compiler says what to do where it is not implemented.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the type of a task's parameter",
    label = "serde can't read this from an input",
    note = "a task takes `Data`, `&TaskContext` and what serde deserializes: add `#[derive(serde::Deserialize)]` to `{Self}`"
)]
pub trait TaskParameter: DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> TaskParameter for T {}

/// Every other parameter: one input, through serde.
pub trait TakeInput<T> {
    /// The input, which must be there.
    fn take(self, call: &mut Call<'_>) -> Result<T, TaskError>
    where
        T: TaskParameter;
}

impl<T> TakeInput<T> for Input<T> {
    fn take(self, call: &mut Call<'_>) -> Result<T, TaskError>
    where
        T: TaskParameter,
    {
        let value = call.required_input(self.name)?;
        call.convert(self.name, value)
    }
}

/// What a task's function returned.
pub struct Returned<T>(pub T);

impl<T, E> Returned<Result<T, E>> {
    /// The output, or the error.
    pub fn split(self) -> Result<T, Failure<E>> {
        self.0.map_err(Failure)
    }
}

/// Every return type but `Result`: it is the output.
pub trait SplitReturned<T> {
    /// The output.
    fn split(self) -> Result<T, Failure<Infallible>>;
}

impl<T> SplitReturned<T> for Returned<T> {
    fn split(self) -> Result<T, Failure<Infallible>> {
        Ok(self.0)
    }
}

/// The error that a task's function returned.
pub struct Failure<E>(E);

impl Failure<Box<dyn Error>> {
    /// The error as it travels. This type needs a method of its own, since it converts to no error that can be sent.
    pub fn describe(self) -> TaskError {
        raised(UNKNOWN_ERROR, &*self.0)
    }
}

/// What can be the error of a task: a trait of its own, so that the compiler says what to do where it is not implemented.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the error of a task",
    label = "this does not convert to `Box<dyn Error + Send + Sync>`",
    note = "a task fails with a text or an error: implement `std::error::Error` for `{Self}`, or return a `String` instead"
)]
pub trait TaskFailure: Into<Box<dyn Error + Send + Sync>> {}

#[diagnostic::do_not_recommend]
impl<E: Into<Box<dyn Error + Send + Sync>>> TaskFailure for E {}

/// Every other error type: errors, texts, `anyhow` and its like.
pub trait DescribeFailure<E> {
    /// The error as it travels.
    fn describe(self) -> TaskError
    where
        E: TaskFailure;
}

impl<E> DescribeFailure<E> for Failure<E> {
    fn describe(self) -> TaskError
    where
        E: TaskFailure,
    {
        let error: Box<dyn Error + Send + Sync> = self.0.into();
        match error.downcast::<TaskError>() {
            // The error of a task that this one waited for, or one of the user's own making: it is told as it is.
            Ok(error) => *error,
            Err(error) => raised(short_name(type_name::<E>()), &*error),
        }
    }
}

fn raised(type_name: &str, error: &(dyn Error + 'static)) -> TaskError {
    let causes = successors(error.source(), |&cause| cause.source()).take(CAUSES);
    // What type a source has nobody can tell.
    let causes: Vec<_> =
        causes.map(|cause| ErrorCause { type_name: UNKNOWN_ERROR.to_owned(), message: cause.to_string() }).collect();
    TaskError {
        type_name: type_name.to_owned(),
        traceback: causes.iter().map(|cause| format!("caused by: {}", cause.message)).collect(),
        details: (!causes.is_empty()).then(|| Box::new(ErrorDetails { causes, ..ErrorDetails::default() })),
        ..TaskError::new(ErrorKind::Raised, error.to_string())
    }
}

/// The last segment of a type's path; `Error` for a text and for a box, which tell nothing.
fn short_name(type_name: &str) -> &str {
    let path = type_name.split('<').next().unwrap_or(type_name);
    match path.rsplit("::").next().unwrap_or(path) {
        "&str" | "String" | "Cow" | "Box" => UNKNOWN_ERROR,
        name => name,
    }
}

/// What a task's function returned when it succeeded.
pub struct Output<T>(pub T);

impl Output<()> {
    /// No entries.
    pub fn pack(self, _: &Call<'_>) -> TaskResult {
        Ok(Data::new())
    }
}

impl Output<Data> {
    /// The data as it is.
    pub fn pack(self, _: &Call<'_>) -> TaskResult {
        Ok(self.0)
    }
}

/// What serde writes as a result: a trait of its own, so that the compiler says what to do where it is not implemented.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the result of a task",
    label = "serde can't write this",
    note = "a task returns `Data`, `()`, or what serde serializes, also in a `Result`: add `#[derive(serde::Serialize)]` to `{Self}`"
)]
pub trait TaskOutput: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize> TaskOutput for T {}

/// Every other output, through serde.
pub trait PackOutput<T> {
    /// The entries of what serde writes as a map; else the one entry `return_value`.
    fn pack(self, call: &Call<'_>) -> TaskResult
    where
        T: TaskOutput;
}

impl<T> PackOutput<T> for Output<T> {
    fn pack(self, call: &Call<'_>) -> TaskResult
    where
        T: TaskOutput,
    {
        let value = to_value(&self.0).map_err(|error| call.bad_result(&format!("what can't travel: {error}")))?;
        Ok(Data::from_returned(value))
    }
}
