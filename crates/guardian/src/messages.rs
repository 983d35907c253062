//! What the guardian and its clients say to each other, and what a keeper reports.
//!
//! The scheduler starts the guardian with one end of a socket as its standard input and sends [`ToGuardian::Watch`] with
//! a pidfd of itself; the guardian answers [`FromGuardian::Ready`]. From then on each `Start` is answered by `Started`
//! or `NotStarted`; `Started` is followed by `Exited` when the process itself has ended. The last word about a process is
//! always `Gone`: nothing below it is left either, nor what it had asked the guardian for. Either side takes the end of
//! the socket for the other's death.
//!
//! Each worker is a client too, over the socket that the guardian gives it as file [`crate::GUARDIAN_SOCKET`]: it asks
//! for commands, interpreters and the workers of pools that its tasks open. It says no `Watch`, and what it asked for
//! ends with it.

use std::ffi::OsString;
use std::time::Duration;

use pushflow_model::{Exit, ProcessClass, TaskModule};
use serde::{Deserialize, Serialize};

/// Names a process that the guardian was asked to start; chosen by the client, which never uses one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId(pub u64);

/// What a client asks of the guardian.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToGuardian {
    /// The first message; its one file is a pidfd of the scheduler.
    Watch,
    /// Start a process under a keeper of its own. The files of the message are those of [`StartRequest::numbers`], then as
    /// many as [`StartRequest::drains`] says.
    Start {
        /// What it will be called.
        process: ProcessId,
        /// What to start.
        request: StartRequest,
    },
    /// Send a signal to the process group that the process leads.
    Signal {
        /// The process.
        process: ProcessId,
        /// The signal's number.
        signal: i32,
    },
    /// Kill the process and everything below it.
    End {
        /// The process.
        process: ProcessId,
    },
}

impl ToGuardian {
    /// What the process is called that a `Start` is to start, by the beginning of that message.
    pub fn process_to_start(beginning: &[u8]) -> Option<ProcessId> {
        /// The first of the messages, as far as is needed.
        #[derive(Deserialize)]
        enum Beginning {
            Watch,
            Start { process: ProcessId },
        }
        match postcard::take_from_bytes(beginning).ok()?.0 {
            Beginning::Start { process } => Some(process),
            Beginning::Watch => None,
        }
    }
}

/// A process to start: it leads a process group of its own, with every signal let through and at its default action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRequest {
    /// What the process is made of.
    pub source: ProcessSource,
    /// The file to run: an absolute path. A copy is only named after it.
    pub program: OsString,
    /// Its arguments; the first is the name it goes by. A copy keeps those of the guardian.
    pub arguments: Vec<OsString>,
    /// Variables on top of the guardian's environment; `None` takes one away.
    pub environment: Vec<(OsString, Option<OsString>)>,
    /// The folder to run in; the guardian's own if `None`.
    pub directory: Option<OsString>,
    /// At which numbers the process finds the files of the message.
    pub numbers: Vec<i32>,
    /// How many more files come with the message: ends of pipes that the guardian empties once the scheduler is gone,
    /// so that a process that may still finish is not ended by a full or broken pipe.
    pub drains: u8,
    /// What becomes of the process when the scheduler is gone.
    pub on_scheduler_exit: OnSchedulerExit,
    /// What it is to the rule on who may have children; it also makes the process a client of the guardian. `None` for
    /// what is no worker.
    pub class: Option<ProcessClass>,
}

impl StartRequest {
    /// This program as it is: without arguments, environment and files, and ended with whoever asks for it.
    pub fn of(program: impl Into<OsString>) -> StartRequest {
        StartRequest {
            source: ProcessSource::Program,
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
            numbers: Vec::new(),
            drains: 0,
            on_scheduler_exit: OnSchedulerExit::End,
            class: None,
        }
    }
}

/// What a process is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessSource {
    /// The program, by `exec`.
    Program,
    /// A copy of the guardian that serves as a worker, without `exec`.
    Guardian,
    /// A copy of a Python interpreter that has imported what tasks need; the program, by `exec`, where there is none.
    Warm(Box<WarmStart>),
}

/// How to start the interpreter of which copies are made, and what such a copy is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmStart {
    /// The arguments of the interpreter; the first is the name it goes by.
    pub arguments: Vec<OsString>,
    /// What it imports.
    pub modules: Vec<TaskModule>,
    /// What `multiprocessing` is to call the copy.
    pub name: String,
}

/// The variable that tells commands and interpreters the pid of the worker that they work for: all that may differ in the
/// environments of copies of one interpreter.
pub const WORKER_PID: &str = "PUSHFLOW_WORKER_PID";

/// What becomes of a process when the scheduler is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnSchedulerExit {
    /// It and everything below it are killed at once.
    End,
    /// It may finish, but no longer than this.
    Grace(Duration),
}

impl OnSchedulerExit {
    /// The rule for a grace that may be nothing.
    pub fn after(grace: Duration) -> OnSchedulerExit {
        if grace.is_zero() { OnSchedulerExit::End } else { OnSchedulerExit::Grace(grace) }
    }
}

/// What the guardian tells a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromGuardian {
    /// It watches the scheduler, and has made the run directory.
    Ready {
        /// The build it is of.
        build: String,
        /// A folder of this scheduler's own that only its user can enter; gone when the guardian is.
        run_directory: OsString,
    },
    /// It could not begin; its last word.
    Unable {
        /// Why.
        reason: String,
    },
    /// The process runs.
    Started {
        /// The process.
        process: ProcessId,
        /// Its pid.
        pid: u32,
    },
    /// The process could not be started.
    NotStarted {
        /// The process.
        process: ProcessId,
        /// Why.
        reason: StartFailure,
    },
    /// The process, or another one that it had asked for, was stopped by a signal (SIGSTOP, say), so that it does
    /// nothing until it is continued or ended. Told to the scheduler only.
    Stopped {
        /// The scheduler's process.
        process: ProcessId,
        /// The pid of the one that was stopped.
        pid: u32,
        /// The signal's number.
        signal: i32,
    },
    /// What was stopped goes on.
    Continued {
        /// The scheduler's process.
        process: ProcessId,
        /// The pid of the one that goes on.
        pid: u32,
    },
    /// The process has ended; the guardian ends what is left below it.
    Exited {
        /// The process.
        process: ProcessId,
        /// How it ended.
        exit: Exit,
        /// The most memory it had resident, in KiB; it and what it has waited for.
        peak_memory_kib: u64,
    },
    /// The process, which is a client too, sent what is no message: it is being ended.
    Garbled {
        /// The process.
        process: ProcessId,
    },
    /// Nothing below the process is left.
    Gone {
        /// The process.
        process: ProcessId,
    },
    /// Processes belong to another user and can't be ended; they are not waited for. Told to the scheduler only.
    Unkillable {
        /// The scheduler's process below which they are, or in which that was asked for; `None` where nobody knows, since
        /// their keeper was killed.
        process: Option<ProcessId>,
        /// Their pids.
        pids: Vec<u32>,
    },
}

/// Why a process was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartFailure {
    /// A system call failed with this error number.
    Errno(i32),
    /// Who asked is daemonic, and may not have such a child.
    Daemonic,
}

/// What a keeper tells the guardian that it is a copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeeperReport {
    /// The process runs.
    Started {
        /// Its pid.
        pid: u32,
    },
    /// The process could not be started.
    NotStarted {
        /// The error number of the system call that failed.
        errno: i32,
    },
    /// The process was stopped by the signal of this number.
    Stopped {
        /// The number.
        signal: i32,
    },
    /// The process goes on.
    Continued,
    /// The process has ended.
    Exited {
        /// How.
        exit: Exit,
        /// The most memory it had resident, in KiB.
        peak_memory_kib: u64,
    },
}

/// What a program asks of the copy of itself that its `init()` made, the zygote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToZygote {
    /// Become a guardian, in a copy of yours; the one file of the message is the guardian's socket.
    Guardian,
}

/// What the zygote answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromZygote {
    /// The guardian runs, as a child of the program.
    Forked {
        /// Its pid.
        pid: u32,
    },
    /// There is no guardian.
    NotForked {
        /// The error number of the system call that failed.
        errno: i32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_start_says_what_is_to_be_started() {
        let request = StartRequest::of("/bin/true");
        let process = ProcessId(u64::MAX - 7);
        let start = postcard::to_stdvec(&ToGuardian::Start { process, request }).unwrap();
        assert_eq!(ToGuardian::process_to_start(&start[..11]), Some(process));
        let others = [ToGuardian::Watch, ToGuardian::Signal { process, signal: 2 }, ToGuardian::End { process }];
        for other in others.map(|other| postcard::to_stdvec(&other).unwrap()) {
            assert_eq!(ToGuardian::process_to_start(&other), None);
        }
    }
}
