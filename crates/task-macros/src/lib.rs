//! The `#[task]` attribute: checks a function, keeps it as it is, registers it, and makes `spec()` reachable by its name.
//!
//! The generated code calls functions of `registry::call`, hidden behind `pushflow::__private`, where types decide what a
//! parameter means. This crate sees only the tokens of the function.

mod expand;
mod function;
mod options;
#[cfg(test)]
mod tests;

/// Makes a plain `fn` a task: registers it under its name, or under `name = "..."`. The function `greet` gets
/// `greet::spec()`, which describes the task to a workflow.
///
/// `crate = path` says where pushflow is, if not at `::pushflow`.
///
/// ```
/// use pushflow::{TaskSpec, task};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize, Serialize)]
/// struct Point {
///     x: f64,
/// }
///
/// #[task]
/// fn mirror(point: Point) -> Point {
///     Point { x: -point.x }
/// }
///
/// assert_eq!(mirror::spec(), TaskSpec::rust("mirror"));
/// ```
///
/// # What the compiler refuses
///
/// A result that serde can't write, since `Point` lacks `Serialize`:
///
/// ```compile_fail,E0277
/// # use pushflow::{TaskSpec, task};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Deserialize)]
/// struct Point {
///     x: f64,
/// }
///
/// #[task]
/// fn mirror(point: Point) -> Point {
///     Point { x: -point.x }
/// }
/// ```
///
/// An input that serde can't read, since `Point` lacks `Deserialize`:
///
/// ```compile_fail,E0277
/// # use pushflow::{TaskSpec, task};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize)]
/// struct Point {
///     x: f64,
/// }
///
/// #[task]
/// fn mirror(point: Point) -> Point {
///     Point { x: -point.x }
/// }
/// ```
///
/// An error that is neither an error nor a text:
///
/// ```compile_fail,E0277
/// # use pushflow::task;
/// struct NoError;
///
/// #[task]
/// fn check(x: f64) -> Result<(), NoError> {
///     if x > 0.0 { Ok(()) } else { Err(NoError) }
/// }
/// ```
///
/// An `async` function:
///
/// ```compile_fail
/// # use pushflow::task;
/// #[task]
/// async fn check(x: f64) {
///     assert!(x > 0.0);
/// }
/// ```
///
/// A generic function:
///
/// ```compile_fail
/// # use pushflow::task;
/// #[task]
/// fn check<T: serde::de::DeserializeOwned>(x: T) {
///     drop(x);
/// }
/// ```
///
/// A method:
///
/// ```compile_fail
/// # use pushflow::task;
/// struct Limit(f64);
///
/// impl Limit {
///     #[task]
///     fn check(&self, x: f64) {
///         assert!(x > self.0);
///     }
/// }
/// ```
///
/// A function that has its name in common with a module or a type. Rename the function, and give the task its name with
/// `#[task(name = "check")]`:
///
/// ```compile_fail,E0428
/// # use pushflow::task;
/// mod check {}
///
/// #[task]
/// fn check(x: f64) {
///     assert!(x > 0.0);
/// }
/// ```
#[proc_macro_attribute]
pub fn task(options: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand::expand(options.into(), item.into()).into()
}
