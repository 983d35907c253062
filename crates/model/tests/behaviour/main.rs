//! Tests of the public interface.
//!
//! - `codec`: the wire form, and malformed bytes
//! - `convert`: values and Rust types
//! - `entries`: entries of data as Rust types
//! - `errors`: errors and their causes
//! - `from`: values from Rust types, without serde
//! - `json`: values and JSON
//! - `opaque`: opaque values and their views
//! - `payload`: the forms of a payload, merging data, and that no payload gets into a log
//! - `returned`: the result of a task function and the value that it returned
//! - `values`: values for the other tests

mod codec;
mod convert;
mod entries;
mod errors;
mod from;
mod json;
mod opaque;
mod payload;
mod returned;
mod values;
