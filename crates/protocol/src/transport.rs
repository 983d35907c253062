//! The channels between the scheduler and one worker, made of ipc-channel.
//!
//! # Protocol
//! - *Connecting* (`connect.rs`): the worker opens a one-shot server, and the scheduler connects to it. The first
//!   message hands over the worker's ends of the channels. It is the only message with handles.
//! - *Frames* (`frames.rs`): a message longer than a frame is cut into several. The first byte of a frame says whether
//!   more of its message follows.
//! - *The scheduler never blocks when it sends* (`window.rs`): frames wait in the scheduler until the worker has
//!   received enough of those before. A worker may block when it sends, since the scheduler has one thread for each
//!   worker that does nothing but receive.
//! - *Long values* are in slabs, where that is possible, and not in messages (see [`crate::slabs`]).
//! - *Nothing from a worker is trusted*: if it sends something that is no message, the scheduler gives up this worker
//!   and no other. That includes packets that would make ipc-channel wait for ever or panic (`validate.rs`).

mod connect;
mod envelope;
mod error;
mod frames;
mod scheduler_side;
mod spin;
mod validate;
mod worker_side;

pub use connect::{WorkerServer, connect};
pub use envelope::MessageBatch;
pub use error::TransportError;
pub use scheduler_side::{FromWorkerReceiver, Received, ToWorkerSender};
pub use worker_side::{FromWorkerSender, Incoming, ToWorkerReceiver};

#[cfg(test)]
mod tests;
