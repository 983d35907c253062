//! What the scheduler, its guardian and its workers say to each other, and the transport under it.
//!
//! Two conversations, each an enum a direction: [`ToWorker`] and [`FromWorker`] over ipc-channel ([`transport`]),
//! [`ToGuardian`] and [`FromGuardian`] over a socket that also carries files ([`courier`]). Long values of the first go
//! through shared memory ([`slabs`]). [`marker`] keeps apart what the attempts of one worker print.

mod class;
mod codecs;
pub mod courier;
mod error;
mod exit;
mod guardian;
mod ids;
pub mod marker;
mod pool_names;
pub mod slabs;
mod task;
pub mod transport;
mod unsent;
mod window;
mod worker;

pub use class::{Family, NO_CHILDREN, ProcessClass};
pub use codecs::{PICKLE_CODEC, PYTHON_CODEC};
pub use error::{ERROR_CODEC, ErrorCause, ErrorDetails, ErrorKind, TaskError};
pub use exit::Exit;
pub use guardian::{
    FromGuardian, FromSnapshot, KeeperReport, Launch, OnOrphan, ProcessId, Source, StartFailure, ToGuardian,
    ToSnapshot, WORKER_PID, Warm,
};
pub use ids::AttemptId;
pub use pool_names::POOL_NAMES;
pub use task::{CommandTask, EwoksClass, EwoksTask, EwoksWork, PythonTask, Returns, ScriptTask, TaskSpec};
pub use unsent::UnsentReplies;
pub use worker::{
    CONTROL_SOCKET, CURRENT_ATTEMPT, FromWorker, GUARDIAN_SOCKET, GuardianAddress, Hello, Identity, Job, PythonOptions,
    SHARED_WORDS, TaskModule, ToWorker, UNREPORTED_OUTPUT, WorkerSettings,
};
