//! Checks that a function can be a task. Each refusal points at the piece of source that is in the way.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Error, FnArg, Item, ItemFn, Pat, PatIdent, Result, ReturnType, Signature, Type, TypeReference};

/// A function that can be a task.
pub(crate) struct Function {
    pub(crate) item: ItemFn,
    pub(crate) parameters: Vec<Parameter>,
}

/// One parameter of a task: the name of its input, and its type.
pub(crate) struct Parameter {
    pub(crate) input: String,
    pub(crate) ty: Type,
}

/// Parses the item below `#[task]`.
///
/// # Errors
/// When the item is no function with a body.
pub(crate) fn parse(tokens: TokenStream) -> Result<ItemFn> {
    match syn::parse2::<Item>(tokens.clone())? {
        Item::Fn(item) => Ok(item),
        _ => refuse(tokens, "only a function with a body can be a task: put `#[task]` on a `fn`"),
    }
}

impl Function {
    /// # Errors
    /// When the function can't be a task.
    pub(crate) fn check(item: ItemFn) -> Result<Self> {
        check_signature(&item.sig)?;
        let parameters = item.sig.inputs.iter().map(Parameter::read).collect::<Result<_>>()?;
        Ok(Function { item, parameters })
    }
}

impl Parameter {
    fn read(argument: &FnArg) -> Result<Self> {
        match argument {
            FnArg::Receiver(receiver) => {
                refuse(receiver, "a task can't be a method: make it a function outside of the `impl`, without `self`")
            }
            FnArg::Typed(typed) => {
                check_type(&typed.ty)?;
                Ok(Parameter { input: input_name(&typed.pat)?, ty: (*typed.ty).clone() })
            }
        }
    }
}

fn check_signature(signature: &Signature) -> Result<()> {
    if let Some(asyncness) = &signature.asyncness {
        return refuse(asyncness, "a task can't be async: use a plain `fn`, and block on the future inside it");
    }
    if let syn::Safety::Unsafe(safety) = &signature.safety {
        return refuse(safety, "a task can't be unsafe to call: use a plain `fn` with the unsafe block inside it");
    }
    if let Some(abi) = &signature.abi {
        return refuse(abi, "a task can't have a foreign calling convention: use a plain `fn` that calls this one");
    }
    if !signature.generics.params.is_empty() {
        let generics = &signature.generics;
        return refuse(generics, "a task can't be generic nor name lifetimes: write the types out, without `<...>`");
    }
    if let ReturnType::Type(_, ty) = &signature.output
        && matches!(**ty, Type::Never(_))
    {
        return refuse(ty, "a task's result can't be `!`: leave the return type out");
    }
    Ok(())
}

/// An input's name is its parameter's, without the `r#` of a raw identifier and the `_` of an unused one.
fn input_name(pattern: &Pat) -> Result<String> {
    match pattern {
        Pat::Ident(PatIdent { by_ref: None, subpat: None, ident, .. }) => {
            let name = ident.unraw().to_string();
            Ok(name.strip_prefix('_').map(str::to_owned).unwrap_or(name))
        }
        _ => refuse(
            pattern,
            "a parameter's name is the name of its input: write a plain name, take it apart in the body",
        ),
    }
}

fn check_type(ty: &Type) -> Result<()> {
    match ty {
        Type::Reference(reference) if !is_context(reference) => refuse(
            ty,
            "a task takes its inputs by value: write `String` for `&str` and `Vec<T>` for `&[T]`; only `&TaskContext` is borrowed",
        ),
        Type::ImplTrait(_) => refuse(ty, "a task can't be generic: write the type out instead of `impl ...`"),
        _ => Ok(()),
    }
}

fn is_context(reference: &TypeReference) -> bool {
    let named = |path: &syn::Path| path.segments.last().is_some_and(|segment| segment.ident == "TaskContext");
    reference.mutability.is_none()
        && reference.lifetime.is_none()
        && matches!(&*reference.elem, Type::Path(elem) if named(&elem.path))
}

fn refuse<T>(place: impl ToTokens, message: &str) -> Result<T> {
    Err(Error::new_spanned(place, message))
}
