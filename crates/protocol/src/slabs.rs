//! Long values between the scheduler and its workers, in memory that both have mapped.
//!
//! A message holds [`PackedData`]: the encoded data without its long values, and for each long value a [`Reference`]
//! to a range of a slab. A slab is a file of memory. The scheduler owns all slabs ([`SlabStore`]). It sends the file
//! of a slab to a worker once, over the control socket, before the first message that names the slab.
//!
//! Each long value has a reference of its own. So a task that looks at one of its inputs passes the others on without a
//! copy.
//!
//! # Inputs
//! ```text
//!         the scheduler names it                the worker drops its last copy
//!   used ────────────────────────▶ lent ──────────────────────────────────────▶ released
//! ```
//! The scheduler writes a value into a region of a slab. If the value lies in a slab already, such as the result of
//! another worker, the scheduler names it there. The region is *lent* to the worker, and stays until the worker
//! releases it. The worker does so when it drops its last copy of the value. Its releases travel with its next
//! message; before it waits for a job, it sends those that are left. A task that keeps a value beyond its attempt
//! keeps that region, and no other.
//!
//! # Results
//! ```text
//!           the worker requests              the worker names a part in a result
//!   free ──────────────────────▶ granted ──────────────────────────────────────▶ the scheduler's
//!    ▲                              │ the worker releases it                       │ last copy dropped
//!    └──────────────────────────────┴──────────────────────────────────────────────┘
//! ```
//! The worker requests memory and is *granted* a region. It writes results there one after another, and names them. A
//! part that is named belongs to the scheduler, which frees it when the last copy of the value is dropped. While its
//! results are short, the worker requests ahead, so that it need not wait for the answer. It releases what it does not
//! use. A value that was lent to the worker is named where it lies when it is in a result.
//!
//! When a worker has ended, nothing is lent or granted to it any more.
//!
//! # Values that contain long bytes
//! Long bytes inside a value (see [`APART_ABOVE`](pushflow_model::APART_ABOVE)) have references of their own. So a
//! value that contains arrays travels without a copy of the arrays. A Python interpreter writes long bytes into a
//! [`Grant`] of its worker, and reads them where they lie ([`GrantSource`]).
//!
//! # Without a slab
//! There may be no memory and no file descriptor, or the worker may be stopped with a full control socket. Then the
//! value travels in the message itself, in frames. That is slower, and always possible. Only a
//! worker waits for memory, and only for the answer to its request. That wait also ends with the channel.
//!
//! # What is not trusted
//! A worker may name only memory that was granted or lent to it. The scheduler gives up a worker that names anything
//! else, as one that sends something that is no message. A worker leaves when it gets a reference outside the slabs
//! that it has.

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
