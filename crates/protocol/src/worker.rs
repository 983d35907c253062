//! What the scheduler and its workers say to each other.
//!
//! A worker is started with a control socket as file 3, a page of shared words as file 4, and a socket of the guardian's as
//! file 5. It opens a one-shot server and says [`Hello`] on the socket; the scheduler checks the build, connects, and
//! hands over the two ends of the channels with the [`WorkerSettings`]. Then the worker says `Ready`. From then on the
//! control socket carries the files of slabs, to the worker only. Each [`Job`] is answered once: by `Finished` or
//! `Failed`, or, asked back before it began, by `GivenBack`. Answers may be sent several at a time; what waits for that is
//! written into the shared words ([`crate::UnsentReplies`]), so that it is not lost when the next attempt ends the worker.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use crate::slabs::{PackedData, Reference, SlabId};
use crate::{AttemptId, ProcessClass, TaskError, TaskSpec};

/// The file at which a worker finds its control socket.
pub const CONTROL_SOCKET: i32 = 3;

/// The file at which a worker finds the words that it shares with the scheduler.
pub const SHARED_WORDS: i32 = 4;

/// The file at which a worker finds its socket to the guardian.
pub const GUARDIAN_SOCKET: i32 = 5;

/// The shared word in which a worker writes the number of each attempt before it begins it; 0 before the first.
pub const CURRENT_ATTEMPT: usize = 0;

/// The shared words, one for standard output and one for standard error, that are not 0 while the scheduler has taken
/// something out of that pipe and not yet told whose it is; see [`crate::marker`].
pub const UNREPORTED_OUTPUT: [usize; 2] = [1, 2];

/// The shared word with the number of the first message in the [`UnsentReplies`](crate::UnsentReplies).
pub(crate) const UNSENT_FIRST: usize = 3;

/// The shared word that says how many words the messages in [`UnsentReplies`](crate::UnsentReplies) take.
pub(crate) const UNSENT_LENGTH: usize = 4;

/// Where these begin.
pub(crate) const UNSENT_MESSAGES: usize = 5;

/// The first words of a worker, on its control socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of pushflow that the worker was built from.
    pub version: String,
    /// The build: the same only for programs built from the same sources.
    pub build: String,
    /// Where to connect to.
    pub server: String,
}

/// What a worker is told once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSettings {
    /// Who it is.
    pub identity: Identity,
    /// Who the guardian is that it may ask for processes.
    pub guardian: GuardianAddress,
    /// What separates the output of one attempt from that of the next; see [`crate::marker`].
    pub marker: String,
    /// How to run Python tasks; `None` where there is no interpreter.
    pub python: Option<PythonOptions>,
    /// Whether to start the interpreter before saying `Ready`, so that it is known at once if it can't be.
    pub start_python: bool,
}

/// Who a worker is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its name, unique in its pool, such as `billiard-3`.
    pub name: String,
    /// The pid of the process whose pool it belongs to.
    pub parent: u32,
    /// What it may start.
    pub class: ProcessClass,
}

/// What a worker needs to know of the guardian beside the socket to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardianAddress {
    /// Its pid.
    pub pid: u32,
    /// The program that it runs and that workers are to run.
    pub program: OsString,
    /// The folder for sockets.
    pub run_directory: OsString,
}

/// How to run Python tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonOptions {
    /// The interpreter, an absolute path.
    pub interpreter: OsString,
    /// Folders in which modules are looked for before anywhere else.
    pub search_path: Vec<OsString>,
    /// What an interpreter imports before its first task.
    pub modules: Vec<TaskModule>,
    /// Whether interpreters are copies of one that has imported the modules, where that is possible.
    pub warm: bool,
}

impl PythonOptions {
    /// An interpreter that finds modules in these folders, and imports none before a task needs it.
    pub fn new(interpreter: impl Into<OsString>, search_path: Vec<OsString>) -> PythonOptions {
        PythonOptions { interpreter: interpreter.into(), search_path, modules: Vec::new(), warm: false }
    }
}

/// A module that tasks need.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskModule {
    /// Its dotted name, or the path of a `.py` file.
    pub module: String,
    /// What a task wants of it, which may be a module inside it.
    pub function: String,
}

/// What the scheduler asks of a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Run these, one after another.
    Run(Vec<Job>),
    /// Give back those of these attempts that have not begun.
    AskBack {
        /// The attempts.
        attempts: Vec<AttemptId>,
    },
    /// Interrupt this attempt, if it is the one that runs; give it back, if it has not begun.
    Interrupt {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The answer to [`FromWorker::RequestGrant`].
    Granted {
        /// Where to write; `None` if there is no room.
        region: Option<Reference>,
    },
    /// These slabs are gone.
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
    /// What to run.
    pub task: TaskSpec,
    /// The encoded inputs.
    pub inputs: PackedData,
}

/// What a worker tells the scheduler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// It waits for jobs. It says its own pid: what its keeper says of it may come later, or never.
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
        /// Whether a marker ends what it printed, in both streams; see [`crate::marker`].
        marked: bool,
    },
    /// An attempt failed.
    Failed {
        /// The attempt.
        attempt: AttemptId,
        /// How.
        error: TaskError,
        /// Whether a marker ends what it printed, as it does but where a task took the worker's files away.
        marked: bool,
    },
    /// These had not begun, and are forgotten.
    GivenBack {
        /// The attempts.
        attempts: Vec<AttemptId>,
    },
    /// It has a result to write, or will have one; see [`crate::slabs`].
    RequestGrant {
        /// For so many bytes.
        bytes: u64,
    },
    /// It can't serve; its last word.
    Unable {
        /// Why.
        reason: String,
    },
}
