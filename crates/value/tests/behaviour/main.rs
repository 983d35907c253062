//! What the crate promises, seen from outside.
//!
//! - `codec`: the wire form, and bytes that are none
//! - `convert`: values and Rust types
//! - `entries`: entries of data as Rust types
//! - `errors`: what an error says
//! - `from`: values from Rust types, without serde
//! - `json`: values and JSON
//! - `opaque`: values that only their own language understands
//! - `payload`: the forms of a payload, merging data, and what never gets into a log
//! - `values`: what the others test with

mod codec;
mod convert;
mod entries;
mod errors;
mod from;
mod json;
mod opaque;
mod payload;
mod values;
