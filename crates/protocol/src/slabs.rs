//! Long values between the scheduler and its workers: written once into memory that both have mapped, and named in the
//! message.
//!
//! # The way of a value
//! A message holds a [`PackedData`]: the encoded data without its long values, and for each of these a [`Reference`] into a
//! slab. The slabs belong to the scheduler ([`SlabStore`]), which hands each to a worker once, over its control socket,
//! before the first message that names it.
//!
//! - *Inputs.* The scheduler writes a value into a region of a slab, or finds that it lies in one already, since another
//!   worker's result is handed on as it is. The region is *lent* to the worker: it stays until the worker says that it
//!   released it, which it does when the last copy of the value there is dropped. Releases travel with the worker's
//!   next message; before it waits for work it tells those that are left. A task that keeps a value beyond its attempt
//!   keeps that region, and nothing else.
//! - *Results.* The worker asks for *room*, is granted a region, writes results there one after another, and names what it
//!   wrote; from then on that part is the scheduler's, which frees it when the last copy of the value is dropped. The
//!   worker asks ahead while its results are small, so that it need not wait for the answer. What it does not use it
//!   releases. A value that the worker was lent itself it names where it lies.
//!
//! A value's long bytes (see [`APART_ABOVE`](pushflow_value::APART_ABOVE)) are references of their own, which the value
//! names: so a value that holds an array or two travels without anybody touching these.
//!
//! A Python interpreter writes long bytes where its worker was granted [`Grant`], and reads where they lie ([`GrantSource`]).
//!
//! When a worker is gone, nothing is lent or granted to it any more.
//!
//! # When there is no slab
//! No memory, no file descriptor, a worker that is stopped and whose control socket is full: then the value travels
//! in the message itself, in frames, which is slower and always possible. Nobody waits for a slab but a worker for the
//! answer to its question, and that wait ends with its channel too.
//!
//! # What is not believed
//! A worker may name only what was granted or lent to it, and a reference to anything else is its loss, as any other
//! garbage is. A worker leaves when a reference is not in a slab that it was handed.

mod grant;
mod packed;
mod reference;
mod scheduler_side;
mod store;
mod worker_side;
mod written;

pub use grant::{Grant, GrantSource, Place};
pub use packed::{EncodedData, MAX_INLINE_BYTES, PackedData};
pub use reference::{Reference, SlabId};
pub use scheduler_side::SchedulerSide;
pub use store::SlabStore;
pub use worker_side::WorkerSide;

#[cfg(test)]
mod tests;
