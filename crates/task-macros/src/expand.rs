//! The code that `#[task]` writes: the function itself, and its registration.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Ident, Path, Result, ReturnType, Signature};

use crate::function::{Function, Parameter};
use crate::options::Options;

/// The function as it was, and after it either its registration or the reason why it can't be a task.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let registration = register(options, item.clone()).unwrap_or_else(|error| error.into_compile_error());
    quote!(#item #registration)
}

/// The registration alone.
pub(crate) fn register(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options = Options::parse(options)?;
    let function = Function::parse(item)?;
    let name = options.name.as_ref().map_or_else(|| function.name(), |name| name.value());
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

/// The function that all tasks look like: it takes the inputs apart, calls the task and packs what it returns.
fn adapter(name: &str, krate: &Path, function: &Function) -> TokenStream {
    // Of the macro's own site, so that a task called `inputs` is not hidden by the variable.
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

/// One argument; an input that can't be read from data is reported at its type.
fn argument(parameter: &Parameter, krate: &Path, call: &Ident) -> TokenStream {
    let Parameter { input, ty } = parameter;
    let place = ty.span().resolved_at(Span::mixed_site());
    quote_spanned!(place=> #krate::__private::Input::<#ty>::new(#input).take(#call)?)
}

/// A result that can't travel is reported where the function says what it returns.
fn result_span(signature: &Signature) -> Span {
    let place = match &signature.output {
        ReturnType::Type(_, ty) => ty.span(),
        ReturnType::Default => signature.ident.span(),
    };
    place.resolved_at(Span::mixed_site())
}

fn is_cfg(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
}
