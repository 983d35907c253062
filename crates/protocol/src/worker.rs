//! The messages between the scheduler and its workers, and what a worker is started with.
//!
//! # Start
//! A worker is started with a control socket as file 3, a page of shared words as file 4, and a socket of the guardian
//! as file 5.
//!
//! 1. The worker opens a one-shot server, and sends [`Hello`] over the control socket.
//! 2. The scheduler checks the build, connects to the server, and hands over the worker's ends of the channels together
//!    with the [`WorkerSettings`].
//! 3. The worker sends `Ready`.
//!
//! From then on the control socket carries the files of slabs, from the scheduler to the worker only.
//!
//! # Replies
//! Each [`Job`] has one reply: `Finished` or `Failed`, or `GivenBack` if the scheduler asked the attempt back before it
//! began. A worker may send several replies together. Replies that wait for that are also in the shared words
//! ([`crate::UnsentReplies`]), so that they are not lost when the next attempt ends the worker.

use std::ffi::OsString;

use pushflow_model::{AttemptId, ProcessClass, PythonOptions, TaskError, TaskSpec};
use serde::{Deserialize, Serialize};

use crate::slabs::{PackedData, Reference, SlabId};

/// The file descriptor of a worker's control socket.
pub const CONTROL_SOCKET: i32 = 3;

/// The file descriptor of the words that a worker shares with the scheduler.
pub const SHARED_WORDS: i32 = 4;

/// The file descriptor of a worker's socket to the guardian.
pub const GUARDIAN_SOCKET: i32 = 5;

/// The shared word into which a worker writes the number of each attempt before the attempt begins; 0 before the first.
/// It is no message, since a message costs time and may be in transit when the worker dies.
pub const CURRENT_ATTEMPT: usize = 0;

/// The shared words of standard output and of standard error. Each is not 0 while the scheduler has read output from
/// that pipe that it has not yet reported under its attempt; see [`crate::marker`].
pub const UNREPORTED_OUTPUT: [usize; 2] = [1, 2];

/// The shared word with the number of the first message in the [`UnsentReplies`](crate::UnsentReplies).
pub(crate) const UNSENT_FIRST: usize = 3;

/// The shared word with the number of words that the messages in [`UnsentReplies`](crate::UnsentReplies) take.
pub(crate) const UNSENT_LENGTH: usize = 4;

/// The first of the shared words that hold these messages.
pub(crate) const UNSENT_MESSAGES: usize = 5;

/// The first message of a worker, on its control socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of pushflow from which the worker was built.
    pub version: String,
    /// The build, which only programs built from the same sources have in common.
    pub build: String,
    /// The name of the one-shot server to which the scheduler is to connect.
    pub server: String,
}

/// The settings of a worker, which it gets once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSettings {
    /// The identity of the worker.
    pub identity: Identity,
    /// The guardian, which the worker asks for processes.
    pub guardian: GuardianAddress,
    /// The token in the markers that separate the output of one attempt from that of the next; see [`crate::marker`].
    pub marker: String,
    /// How to run Python tasks; `None` where there is no interpreter.
    pub python: Option<PythonOptions>,
    /// Whether the worker starts the interpreter before it sends `Ready`, so that a failure to start it shows at once.
    pub start_python: bool,
}

/// The identity of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its name, unique in its pool, such as `billiard-3`.
    pub name: String,
    /// The pid of the process that has the pool.
    pub parent: u32,
    /// The class of the worker, which says what it may start.
    pub class: ProcessClass,
}

/// The guardian of a worker: what the worker needs beside its socket to the guardian.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardianAddress {
    /// Its pid.
    pub pid: u32,
    /// The program that the guardian runs, and that workers are to run.
    pub program: OsString,
    /// The folder for sockets.
    pub run_directory: OsString,
}

/// A message of the scheduler to a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// The worker is to run these jobs, one after another.
    Run(Vec<Job>),
    /// The worker is to give back those of these attempts that have not begun.
    AskBack {
        /// The attempts.
        attempts: Vec<AttemptId>,
    },
    /// The worker is to interrupt this attempt if it runs, or to give it back if it has not begun.
    Interrupt {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The answer to [`FromWorker::RequestGrant`].
    Granted {
        /// The memory that the worker may write; `None` if there is none.
        region: Option<Reference>,
    },
    /// The scheduler has removed these slabs, and the worker is to unmap them.
    UnmapSlabs {
        /// The slabs.
        slabs: Vec<SlabId>,
    },
}

/// One attempt to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The attempt.
    pub attempt: AttemptId,
    /// The name of the actor that asked for it.
    pub actor: String,
    /// The task to run.
    pub task: TaskSpec,
    /// The encoded inputs.
    pub inputs: PackedData,
}

/// A message of a worker to the scheduler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// The worker waits for jobs. The pid is in this message, since the report of the worker's keeper may come later,
    /// or never.
    Ready {
        /// The worker's pid.
        pid: u32,
    },
    /// An attempt succeeded.
    Finished {
        /// The attempt.
        attempt: AttemptId,
        /// The encoded result.
        result: PackedData,
        /// Whether a marker ends the output of the attempt, in both streams; see [`crate::marker`].
        marked: bool,
    },
    /// An attempt failed.
    Failed {
        /// The attempt.
        attempt: AttemptId,
        /// The failure.
        error: TaskError,
        /// Whether a marker ends the output of the attempt. It does, unless a task made the pipes unusable for the
        /// worker.
        marked: bool,
    },
    /// These attempts had not begun, and the worker has removed them.
    GivenBack {
        /// The attempts.
        attempts: Vec<AttemptId>,
    },
    /// The worker has a result to write, or expects to have one soon, and requests memory for it; see [`crate::slabs`].
    RequestGrant {
        /// How many bytes of memory it requests.
        bytes: u64,
    },
    /// The worker can't serve. This is its last message.
    Unable {
        /// Why.
        reason: String,
    },
}
