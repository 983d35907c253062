//! The `#[task]` attribute: checks a function, keeps it as it is, and registers it beside.
//!
//! What the generated code calls lives in `pushflow-pool` (`registry::call`), where types decide what a parameter means;
//! this crate only looks at the shape of the function.

mod expand;
mod function;
mod options;
#[cfg(test)]
mod tests;

/// Makes a plain `fn` a task: registers it under its name, or under `name = "..."`.
///
/// `crate = path` says where pushflow is, if not at `::pushflow`.
#[proc_macro_attribute]
pub fn task(options: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand::expand(options.into(), item.into()).into()
}
