//! The code that `#[task]` writes: the function itself, its registration, and the type with `spec()`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, Ident, ItemFn, Path, Result, ReturnType, Signature};

use crate::function::{self, Function, Parameter};
use crate::options::Options;

/// The unchanged function, followed by the generated code, or by an error if the function can't be a task.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let generated = generate(options, item.clone()).unwrap_or_else(|error| error.into_compile_error());
    quote!(#item #generated)
}

/// The registration and the type with `spec()`.
fn generate(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options = Options::parse(options)?;
    let item = function::parse(item)?;
    // A refused function gets the type too: without it, each use of `spec()` would be a further error.
    let spec = spec(&options, &item);
    let registration = register(&options, item).unwrap_or_else(|error| error.into_compile_error());
    Ok(quote!(#registration #spec))
}

/// The registration alone.
pub(crate) fn register(options: &Options, item: ItemFn) -> Result<TokenStream> {
    let function = Function::check(item)?;
    let name = name(options, &function.item);
    let krate = &options.krate;
    let cfgs = function.item.attrs.iter().filter(|attribute| is_cfg(attribute));
    let adapter = adapter(&name, krate, &function);
    Ok(quote! {
        #(#cfgs)*
        const _: () = {
            #adapter
            #krate::__private::inventory::submit! {
                #krate::__private::RegisteredTask {
                    name: #name,
                    file: ::core::file!(),
                    line: ::core::line!(),
                    run: __pushflow_run,
                }
            }
        };
    })
}

/// The type that makes `greet::spec()` of `fn greet`.
///
/// An enum without variants has its name in the type namespace only, so it does not clash with the function. It resolves
/// paths as the function does. A module would not: relative paths would need a `super`, and inside a function's body the
/// names of that body would be out of reach.
pub(crate) fn spec(options: &Options, item: &ItemFn) -> Option<TokenStream> {
    // An `impl`, where methods are, can't hold a type.
    if item.sig.inputs.iter().any(|argument| matches!(argument, FnArg::Receiver(_))) {
        return None;
    }
    let (name, krate, visibility) = (name(options, item), &options.krate, &item.vis);
    // Located at the attribute: if the name is taken, the error points at `#[task]`, which defines it once more.
    let mut task = item.sig.ident.clone();
    task.set_span(Span::call_site().resolved_at(task.span()));
    let attributes: Vec<&Attribute> = item.attrs.iter().filter(|a| is_cfg(a) || is_doc_hidden(a)).collect();
    let cfgs = item.attrs.iter().filter(|attribute| is_cfg(attribute));
    let (about_type, about_spec) =
        (format!("The task `{name}`: [`spec`](Self::spec) describes it."), format!("Describes the task `{name}`."));
    Some(quote! {
        #(#attributes)*
        #[doc = #about_type]
        #[allow(
            dead_code, missing_copy_implementations, missing_debug_implementations, non_camel_case_types, unreachable_pub,
            clippy::all, clippy::pedantic, clippy::restriction
        )]
        #visibility enum #task {}

        #(#cfgs)*
        #[allow(dead_code, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]
        impl #task {
            #[doc = #about_spec]
            #[must_use]
            pub fn spec() -> #krate::__private::TaskSpec {
                #krate::__private::TaskSpec::rust(#name)
            }
        }
    })
}

/// The name of the task: the one that `name = "..."` gives, or the function's.
fn name(options: &Options, item: &ItemFn) -> String {
    options.name.as_ref().map_or_else(|| item.sig.ident.unraw().to_string(), |name| name.value())
}

/// The adapter, which has the same signature for every task: it takes the arguments from the inputs, calls the task and
/// packs its result.
fn adapter(name: &str, krate: &Path, function: &Function) -> TokenStream {
    // Mixed-site hygiene: a task called `inputs` is not shadowed by the variable.
    let [call, inputs, context] = ["call", "inputs", "context"].map(|name| Ident::new(name, Span::mixed_site()));
    let arguments = function.parameters.iter().map(|parameter| argument(parameter, krate, &call));
    let task = &function.item.sig.ident;
    let result = result_span(&function.item.sig);
    let returned = quote_spanned!(result=> #krate::__private::Returned(#task(#(#arguments),*)).split());
    let output = quote_spanned!(result=> #returned.map_err(|failure| failure.describe())?);
    let packed = quote_spanned!(result=> #krate::__private::Output(#output).pack(#call));
    quote! {
        fn __pushflow_run(
            #inputs: &#krate::__private::Data,
            #context: &#krate::__private::TaskContext,
        ) -> #krate::__private::TaskResult {
            #[allow(unused_imports)]
            use #krate::__private::{DescribeFailure as _, PackOutput as _, SplitReturned as _, TakeInput as _};
            let #call = &mut #krate::__private::Call::new(#name, #inputs, #context);
            #packed
        }
    }
}

/// One argument of the call. An error about the parameter's type is reported at that type.
fn argument(parameter: &Parameter, krate: &Path, call: &Ident) -> TokenStream {
    let Parameter { input, ty } = parameter;
    let place = ty.span().resolved_at(Span::mixed_site());
    let krate = located_at(krate, place);
    quote_spanned!(place=> #krate::__private::Input::<#ty>::new(#input).take(#call)?)
}

/// The place at which an error about the type of the result is reported: the return type of the function.
fn result_span(signature: &Signature) -> Span {
    let place = match &signature.output {
        ReturnType::Type(_, ty) => ty.span(),
        ReturnType::Default => signature.ident.span(),
    };
    place.resolved_at(Span::mixed_site())
}

/// The path with its hygiene, but located at this place: the compiler reports an expression where its first token is.
fn located_at(path: &Path, place: Span) -> TokenStream {
    let tokens = path.to_token_stream().into_iter();
    let located = tokens.map(|mut token| {
        token.set_span(token.span().located_at(place));
        token
    });
    located.collect()
}

fn is_cfg(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
}

fn is_doc_hidden(attribute: &Attribute) -> bool {
    attribute.path().is_ident("doc") && attribute.parse_args::<Ident>().is_ok_and(|argument| argument == "hidden")
}
