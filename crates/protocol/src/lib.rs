//! What the scheduler and its workers say to each other, and the transport under it.
//!
//! Each direction is one enum, [`ToWorker`] and [`FromWorker`], over ipc-channel ([`transport`]). Long values go through
//! shared memory ([`slabs`]). [`marker`] keeps apart what the attempts of one worker print.

pub mod courier;
mod journal;
pub mod marker;
pub mod slabs;
pub mod transport;
mod window;
mod worker;

pub use journal::Journal;
pub use worker::{
    BEGUN, CONTROL_SOCKET, FromWorker, GUARDIAN_SOCKET, GuardianAddress, Hello, Identity, Job, SHARED_WORDS, ToWorker,
    UNTOLD, WorkerSettings,
};
