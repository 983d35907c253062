//! The options in the parentheses of `#[task(...)]`.

use proc_macro2::TokenStream;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{LitStr, Path, Result, parse_quote};

/// The options of one `#[task]`.
pub(crate) struct Options {
    /// The name of the task; the function's name by default.
    pub(crate) name: Option<LitStr>,
    /// The crate whose `__private` module the generated code uses.
    pub(crate) krate: Path,
}

impl Options {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let mut name = None;
        let mut krate = None;
        syn::meta::parser(|meta| read_option(&meta, &mut name, &mut krate)).parse2(tokens)?;
        Ok(Options { name, krate: krate.unwrap_or_else(|| parse_quote!(::pushflow)) })
    }
}

fn read_option(meta: &ParseNestedMeta, name: &mut Option<LitStr>, krate: &mut Option<Path>) -> Result<()> {
    if meta.path.is_ident("name") {
        let text: LitStr = meta.value()?.parse()?;
        if text.value().is_empty() {
            return Err(syn::Error::new_spanned(
                text,
                "the name of a task can't be empty: leave `name` out to use the function's",
            ));
        }
        set_once(meta, name, text)
    } else if meta.path.is_ident("crate") {
        let path = meta.value()?.parse()?;
        set_once(meta, krate, path)
    } else {
        Err(meta.error("no such option: `#[task]` takes `name = \"...\"` and `crate = path`"))
    }
}

fn set_once<T>(meta: &ParseNestedMeta, option: &mut Option<T>, value: T) -> Result<()> {
    match option.replace(value) {
        None => Ok(()),
        Some(_) => Err(meta.error("this option is given twice: leave one out")),
    }
}
