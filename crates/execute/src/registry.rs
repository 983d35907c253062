//! The registry of this program's `#[task]` functions: finds them by name, and runs them so that neither an `Err` nor a
//! panic leaves the call.

mod available_names;
pub mod call;

mod panics;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use pushflow_model::{Data, ErrorKind, Key, TaskError};

use self::available_names::available_names;
use crate::context::TaskContext;

/// Makes a plain `fn` a task, which workflows and workers find by its name. The function stays callable as it is.
///
/// # Parameters
/// `limit: T`, where `T` is deserialized by serde, takes the input `limit`. An input of type `Option<T>` may be missing;
/// [`Value`] takes the input as it arrived. [`Data`] takes all inputs, and `&TaskContext` is the attempt. Inputs that no
/// parameter names are ignored. An input that is missing by name is taken by position: the first parameter that takes an
/// input has position 0. `r#type` takes the input `type`, and `_limit` (a parameter that the function does not use) takes
/// the input `limit`.
///
/// # Its description
/// For the function `greet` the macro makes `greet::spec()`, the `TaskSpec` of the task, with the visibility of the
/// function. So no module and no type beside the function may be called `greet`; where one is, rename the function and
/// give the task its name.
///
/// # What it returns
/// Anything that serde serializes, or a `Result` of that with any error type that converts to `Box<dyn Error>`, such as
/// `String`. The returned value becomes the outputs of the task, by its form:
///
/// | returned | outputs |
/// |---|---|
/// | a map with text keys: a struct, a `HashMap`, a [`Value`] that is a map | each field or entry under its name |
/// | [`Data`] | its entries |
/// | `()` | none |
/// | any other value: a number, a text, a `Vec`, a tuple, `None` | the value under the name `return_value` |
///
/// An `Option` has the form of its content, and `None` is the `return_value` null. [`Data::returned`] makes the outputs the
/// Rust value again.
///
/// # Options
/// `#[task(name = "other.name")]` registers the function under another name. `#[task(crate = path)]` gives the path of
/// pushflow, if that is not `::pushflow`.
///
/// ```
/// # extern crate pushflow_execute as pushflow;
/// use pushflow::task;
/// use serde::Serialize;
///
/// #[derive(Serialize)]
/// struct Greeting {
///     text: String,
/// }
///
/// #[task]
/// fn greet(name: String, shout: Option<bool>) -> Greeting {
///     let text = format!("hello {name}");
///     Greeting { text: if shout == Some(true) { text.to_uppercase() } else { text } }
/// }
///
/// # fn main() {
/// assert_eq!(greet("you".into(), Some(true)).text, "HELLO YOU");
/// assert_eq!(pushflow::find_task("greet").unwrap().name, "greet");
/// assert_eq!(greet::spec(), pushflow_model::TaskSpec::rust("greet"));
/// # }
/// ```
///
/// The linker keeps the tasks of a library crate only if the program uses an item of that crate: `use my_tasks as _;` is
/// enough.
///
/// [`Value`]: pushflow_model::Value
pub use pushflow_task_macros::task;

/// One `#[task]` function of this program.
#[derive(Debug)]
pub struct RegisteredTask {
    /// The name by which the task is found.
    pub name: &'static str,
    /// The source file of the function.
    pub file: &'static str,
    /// The line of the `#[task]` attribute, counted from 1.
    pub line: u32,
    /// Calls the function with its inputs, and packs the result. A panic of the function leaves this call; see
    /// [`run_rust`].
    pub run: fn(&Data, &TaskContext) -> Result<Data, TaskError>,
}

inventory::collect!(RegisteredTask);

/// Why a name does not find one task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindTaskError {
    /// This program has no task of the name.
    #[error(
        "no task named {name:?} is in this program ({choices}): a #[task] function must be part of the program that runs as \
         worker, whose main calls pushflow::init() first"
    )]
    Unknown {
        /// The name that was looked for.
        name: String,
        /// The names of this program's tasks, in words.
        choices: String,
    },
    /// Several tasks have the name.
    #[error(
        "the task name {name:?} is given twice, at {first} and at {second}: rename one with #[task(name = \"...\")]"
    )]
    Ambiguous {
        /// The name that was looked for.
        name: String,
        /// `file:line` of the first task.
        first: String,
        /// `file:line` of the second task.
        second: String,
    },
}

/// The prefix of the names of tasks that are part of pushflow's own programs.
const BUILT_IN: &str = "pushflow.";

/// Every `#[task]` function of this program, in no particular order.
pub fn registered_tasks() -> impl Iterator<Item = &'static RegisteredTask> {
    inventory::iter::<RegisteredTask>.into_iter()
}

/// The `#[task]` functions of this program, without those that are part of pushflow.
pub fn own_tasks() -> impl Iterator<Item = &'static RegisteredTask> {
    registered_tasks().filter(|task| !task.name.starts_with(BUILT_IN))
}

/// The task with this name.
///
/// # Errors
/// When this program has no task with the name, or several.
pub fn find_task(name: &str) -> Result<&'static RegisteredTask, FindTaskError> {
    let index = index();
    match index.get(name).map(Vec::as_slice) {
        Some([task]) => Ok(task),
        Some([first, second, ..]) => {
            Err(FindTaskError::Ambiguous { name: name.to_owned(), first: first.place(), second: second.place() })
        }
        Some([]) | None => {
            let (built_in, own): (Vec<&str>, Vec<&str>) = index.keys().partition(|name| name.starts_with(BUILT_IN));
            let own: Vec<Key> = own.into_iter().map(Key::from).collect();
            Err(FindTaskError::Unknown { name: name.to_owned(), choices: available_names(name, &own, &built_in) })
        }
    }
}

/// Runs the task with this name.
///
/// ```
/// use pushflow_execute::{TaskContext, run_rust, task};
/// use pushflow_green::Cancellation;
/// use pushflow_model::{Data, Value};
///
/// #[task(crate = pushflow_execute)]
/// fn double(value: i64) -> Data {
///     Data::new().with("value", 2 * value)
/// }
///
/// let context = TaskContext::new("doubler", 1, Cancellation::new());
/// let result = run_rust("double", &Data::new().with("value", 21), &context).unwrap();
/// assert_eq!(result.value("value").unwrap(), Some(&Value::Int(42)));
///
/// let error = run_rust("double", &Data::new().with("valu", 21), &context).unwrap_err();
/// assert_eq!(
///     error.message,
///     r#"task "double" needs the input "value", which is missing (there is: "valu")"#
/// );
/// ```
///
/// # Errors
/// `NotFound` when not exactly one task has the name, `BadInput` when the inputs do not fit the parameters, `Raised` when
/// the task returns an `Err`, `Panicked` when it panics, `BadResult` when the returned value can't travel (an integer
/// beyond 64 bits, say).
pub fn run_rust(name: &str, inputs: &Data, context: &TaskContext) -> Result<Data, TaskError> {
    let task = find_task(name).map_err(|error| TaskError::new(ErrorKind::NotFound, error.to_string()))?;
    panics::catch(|| (task.run)(inputs, context))
}

impl RegisteredTask {
    fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

/// All tasks by name; the tasks of one name are in the order of their source locations.
fn index() -> &'static BTreeMap<&'static str, Vec<&'static RegisteredTask>> {
    static INDEX: OnceLock<BTreeMap<&'static str, Vec<&'static RegisteredTask>>> = OnceLock::new();
    INDEX.get_or_init(|| {
        let mut index = BTreeMap::<_, Vec<_>>::new();
        for task in registered_tasks() {
            index.entry(task.name).or_default().push(task);
        }
        index.values_mut().for_each(|tasks| tasks.sort_by_key(|task| (task.file, task.line)));
        index
    })
}
