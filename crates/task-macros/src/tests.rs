//! Tests of the refusals, with their messages and places, and of the shape of the generated code. Tests of `pushflow` and
//! of the crate with the task registry run the generated code.

use proc_macro2::TokenStream;

use crate::expand::{self, expand};
use crate::function;
use crate::options::Options;

fn tokens(source: &str) -> TokenStream {
    source.parse().expect("the test's source is Rust")
}

fn register(options: &str, item: &str) -> syn::Result<TokenStream> {
    expand::register(&Options::parse(tokens(options))?, function::parse(tokens(item))?)
}

/// The message about a function that can't be a task, and the piece of source at which the error points.
fn refusal(options: &str, item: &str) -> (String, String) {
    let error = register(options, item).expect_err("this can't be a task");
    (error.to_string(), error.span().source_text().unwrap_or_default())
}

fn assert_refused(item: &str, place: &str, message: &str) {
    assert_eq!(refusal("", item), (message.to_owned(), place.to_owned()));
}

fn registration(options: &str, item: &str) -> String {
    register(options, item).expect("this can be a task").to_string()
}

#[test]
fn an_async_function_is_refused() {
    let message = "a task can't be async: use a plain `fn`, and block on the future inside it";
    assert_refused("async fn answer() {}", "async", message);
}

#[test]
fn an_unsafe_function_is_refused() {
    let message = "a task can't be unsafe to call: use a plain `fn` with the unsafe block inside it";
    assert_refused("unsafe fn answer() {}", "unsafe", message);
}

#[test]
fn a_foreign_calling_convention_is_refused() {
    let message = "a task can't have a foreign calling convention: use a plain `fn` that calls this one";
    assert_refused("extern \"C\" fn answer() {}", "extern \"C\"", message);
}

#[test]
fn generics_and_lifetimes_are_refused() {
    let message = "a task can't be generic nor name lifetimes: write the types out, without `<...>`";
    assert_refused("fn answer<T>(value: T) {}", "<T>", message);
    assert_refused("fn answer<'a>(context: &'a TaskContext) {}", "<'a>", message);
    let message = "a task can't be generic: write the type out instead of `impl ...`";
    assert_refused("fn answer(value: impl Clone) {}", "impl Clone", message);
}

#[test]
fn a_method_is_refused() {
    let message = "a task can't be a method: make it a function outside of the `impl`, without `self`";
    assert_refused("fn answer(&self) {}", "&self", message);
    assert_refused("fn answer(self: Box<Self>) {}", "self: Box<Self>", message);
}

#[test]
fn a_pattern_in_place_of_a_name_is_refused() {
    let message = "a parameter's name is the name of its input: write a plain name, take it apart in the body";
    assert_refused("fn answer((a, b): (i64, i64)) {}", "(a, b)", message);
    assert_refused("fn answer(_: i64) {}", "_", message);
    assert_refused("fn answer(ref a: i64) {}", "ref a", message);
}

#[test]
fn a_borrowed_input_is_refused() {
    let message = "a task takes its inputs by value: write `String` for `&str` and `Vec<T>` for `&[T]`; \
                   only `&TaskContext` is borrowed";
    assert_refused("fn answer(name: &str) {}", "&str", message);
    assert_refused("fn answer(context: &mut TaskContext) {}", "&mut TaskContext", message);
    assert_refused("fn answer(context: &'static TaskContext) {}", "&'static TaskContext", message);
}

#[test]
fn a_function_that_never_returns_is_refused() {
    assert_refused("fn answer() -> ! { loop {} }", "!", "a task's result can't be `!`: leave the return type out");
}

#[test]
fn anything_but_a_function_is_refused() {
    let message = "only a function with a body can be a task: put `#[task]` on a `fn`";
    assert_refused("struct Answer;", "struct Answer;", message);
    assert_refused("fn answer();", "fn answer();", message);
}

#[test]
fn an_unknown_a_repeated_and_an_empty_option_are_refused() {
    let item = "fn answer() {}";
    let (message, place) = refusal("nam = \"x\"", item);
    assert_eq!(message, "no such option: `#[task]` takes `name = \"...\"` and `crate = path`");
    assert_eq!(place, "nam");
    let (message, _) = refusal("name = \"x\", name = \"y\"", item);
    assert_eq!(message, "this option is given twice: leave one out");
    let (message, place) = refusal("name = \"\"", item);
    assert_eq!(message, "the name of a task can't be empty: leave `name` out to use the function's");
    assert_eq!(place, "\"\"");
}

#[test]
fn a_refused_function_is_still_there_for_its_callers() {
    let expanded = expand(tokens(""), tokens("async fn answer() {}")).to_string();
    assert!(expanded.starts_with("async fn answer () { }"), "{expanded}");
    assert!(expanded.contains(":: core :: compile_error !"), "{expanded}");
}

#[test]
fn the_function_is_kept_as_it_is() {
    let source = "#[inline] pub const fn answer(mut value: i64) -> Answer { Answer { value } }";
    let expanded = expand(tokens(""), tokens(source)).to_string();
    assert!(expanded.starts_with(&tokens(source).to_string()), "{expanded}");
}

#[test]
fn names_lose_the_marks_that_only_rust_needs() {
    let code = registration("", "fn r#move(r#type: i64, _unused: i64, __private: i64) {}");
    for name in ["name : \"move\"", "new (\"type\")", "new (\"unused\")", "new (\"_private\")"] {
        assert!(code.contains(name), "{name} is missing in {code}");
    }
}

#[test]
fn the_generated_paths_start_at_pushflow_or_at_the_given_crate() {
    assert!(registration("", "fn answer() {}").contains(":: pushflow :: __private"));
    let code = registration("crate = crate::inner", "fn answer() {}");
    assert!(code.contains("crate :: inner :: __private") && !code.contains(":: pushflow ::"), "{code}");
}

#[test]
fn a_registration_is_left_out_together_with_its_function() {
    let code = registration("", "#[cfg(feature = \"x\")] #[inline] fn answer() {}");
    assert!(code.starts_with("# [cfg (feature = \"x\")] const _"), "{code}");
}

/// The type with `spec()` alone.
fn spec(options: &str, item: &str) -> Option<String> {
    let options = Options::parse(tokens(options)).expect("these are options");
    expand::spec(&options, &function::parse(tokens(item)).expect("this is a function")).map(|code| code.to_string())
}

#[test]
fn a_task_has_a_type_of_its_name_and_visibility_with_its_spec() {
    for visibility in ["", "pub", "pub (crate)", "pub (in super :: super)"] {
        let code = spec("", &format!("{visibility} fn answer() {{}}")).unwrap();
        assert!(code.contains(format!("{visibility} enum answer {{ }}").trim_start()), "{code}");
        assert!(code.contains("impl answer"), "{code}");
        assert!(code.contains("pub fn spec () -> :: pushflow :: __private :: TaskSpec"), "{code}");
        assert!(code.contains("TaskSpec :: rust (\"answer\")"), "{code}");
    }
}

#[test]
fn a_spec_has_the_name_that_the_task_is_registered_under() {
    let code = spec("name = \"other.name\", crate = self::inner", "fn answer() {}").unwrap();
    assert!(code.contains("enum answer { }"), "{code}");
    assert!(code.contains("self :: inner :: __private :: TaskSpec :: rust (\"other.name\")"), "{code}");
    let code = spec("", "fn r#move() {}").unwrap();
    assert!(code.contains("enum r#move { }") && code.contains("TaskSpec :: rust (\"move\")"), "{code}");
}

#[test]
fn a_spec_is_left_out_and_hidden_together_with_its_function() {
    let code = spec("", "#[cfg(unix)] #[doc(hidden)] #[doc = \"x\"] #[inline] fn answer() {}").unwrap();
    assert!(code.starts_with("# [cfg (unix)] # [doc (hidden)] # [doc = \"The task"), "{code}");
    assert!(code.contains("# [cfg (unix)] # [allow"), "{code}");
    assert!(!code.contains("inline"), "{code}");
}

#[test]
fn a_refused_function_has_a_spec_too_so_that_its_uses_are_no_further_errors() {
    let expanded = expand(tokens(""), tokens("async fn answer() {}")).to_string();
    assert!(expanded.contains("compile_error") && expanded.contains("enum answer { }"), "{expanded}");
    assert_eq!(spec("", "fn answer(&self) {}"), None, "an impl can't hold a type");
}
