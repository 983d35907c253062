//! The channels between the scheduler and one worker: ipc-channel, with what it does badly kept in here.
//!
//! Three frames may be on their way to a worker before it says that it received them, so that sending never blocks the
//! scheduler (`window.rs`). A message longer than a frame is cut into several; the first byte of each says whether there
//! is more. A worker may block when it sends: the scheduler has one thread for each worker that does nothing but receive.
//! Handles travel in the first message only. Long values do not travel in messages at all, where that is possible (see
//! [`crate::slabs`]). What a worker sends that is no message, also what makes ipc-channel wait for ever or panic
//! (`validate.rs`), is the loss of that worker and of nothing else.

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
