//! The messages between a scheduler and its workers, and the transport under them.
//!
//! Each direction is one enum, [`ToWorker`] and [`FromWorker`], over ipc-channel ([`transport`]). Long values go
//! through shared memory ([`slabs`]). [`marker`] keeps apart the output of different attempts of one worker.
//! [`fd_message`] carries messages with file descriptors over a socket.

pub mod fd_message;
pub mod marker;
pub mod slabs;
pub mod transport;
mod unsent;
mod window;
mod worker;

pub use unsent::UnsentReplies;
pub use worker::{
    CONTROL_SOCKET, CURRENT_ATTEMPT, FromWorker, GUARDIAN_SOCKET, GuardianAddress, Hello, Identity, Job, SHARED_WORDS,
    ToWorker, UNREPORTED_OUTPUT, WorkerSettings,
};
