//! The messages between the guardian, its clients, its keepers and the zygote.
//!
//! # Scheduler and guardian
//! The scheduler starts the guardian with one end of a socket as its standard input, and sends [`ToGuardian::Watch`]
//! with a pidfd of itself. The guardian answers [`FromGuardian::Ready`] or [`FromGuardian::Unable`]. From then on the
//! guardian answers each `Start` with `Started` or `NotStarted`. `Exited` follows `Started` when the process itself has
//! ended. The last message about a process is always `Gone`: nothing is left of the process, of its descendants, and of
//! the processes that it had asked the guardian for. Each side takes the end of the socket for the death of the other.
//!
//! # Worker and guardian
//! A worker is a client, too, over a socket that the guardian gives it as file [`GUARDIAN_SOCKET`]. It asks for
//! commands, interpreters and the workers of pools that its tasks open. It sends no `Watch`. The guardian ends the
//! processes that a worker asked for when the worker ends.
//!
//! [`GUARDIAN_SOCKET`]: pushflow_protocol::GUARDIAN_SOCKET

use std::ffi::OsString;
use std::time::Duration;

use pushflow_model::{Exit, ProcessClass, TaskModule};
use serde::{Deserialize, Serialize};

/// The name of a process, chosen by the client that asks for it. A client never uses a name twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId(pub u64);

/// A request of a client to the guardian.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToGuardian {
    /// The first message of the scheduler. Its one file is a pidfd of the scheduler.
    Watch,
    /// Start a process under a keeper of its own. The files of the message are one for each of
    /// [`StartRequest::numbers`], then [`StartRequest::drains`] more.
    Start {
        /// Its name from now on.
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
    /// Kill the process, its descendants, and the processes that it had asked for.
    End {
        /// The process.
        process: ProcessId,
    },
}

impl ToGuardian {
    /// The name of the process that a `Start` asks for, from the beginning of an encoded message. `None` if the message
    /// is no `Start`.
    pub(crate) fn process_to_start(beginning: &[u8]) -> Option<ProcessId> {
        /// The first variants of `ToGuardian`, with their first fields.
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

/// The description of a process to start.
///
/// The process leads a process group of its own. No signal is blocked, and all have their default action. A fork of the
/// guardian ignores SIGPIPE and keeps the handlers of SIGSEGV and SIGBUS, as any Rust program does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRequest {
    /// What the process is made of.
    pub source: ProcessSource,
    /// The file to execute: an absolute path. A fork of the guardian only takes its name from it.
    pub program: OsString,
    /// Its arguments, of which the first is the program's name. A fork of the guardian keeps those of the guardian.
    pub arguments: Vec<OsString>,
    /// Changes to the guardian's environment. A variable without a value is removed.
    pub environment: Vec<(OsString, Option<OsString>)>,
    /// The working directory; that of the guardian if `None`.
    pub directory: Option<OsString>,
    /// The numbers at which the process finds the files of the message.
    pub numbers: Vec<i32>,
    /// How many more files come with the message. They are the reading ends of pipes of the process. The guardian
    /// empties them after the end of the scheduler, so that a process with a grace is not blocked by a full pipe or
    /// killed by a broken one.
    pub drains: u8,
    /// What happens to the process after the end of the scheduler.
    pub on_scheduler_exit: OnSchedulerExit,
    /// The class of the process for the rule on which processes may have children. A process with a class is a worker,
    /// and becomes a client of the guardian.
    pub class: Option<ProcessClass>,
}

impl StartRequest {
    /// A request for `program` without arguments, changes and files, which is killed at the end of its client.
    #[cfg(test)]
    pub(crate) fn of(program: impl Into<OsString>) -> StartRequest {
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

/// What the image of a process is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessSource {
    /// The process executes the program.
    Program,
    /// The process is a fork of the guardian that serves as a worker, without `exec`.
    Guardian,
    /// The process is a fork of a warm interpreter. Where there is none, the process executes the program.
    Warm(Box<WarmStart>),
}

/// How to start a warm interpreter, and what a fork of it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmStart {
    /// The arguments of the warm interpreter, of which the first is the program's name.
    pub arguments: Vec<OsString>,
    /// The modules that the warm interpreter imports.
    pub modules: Vec<TaskModule>,
    /// The name of the fork in Python's `multiprocessing`.
    pub name: String,
}

/// The variable that tells commands and interpreters the pid of the worker that they work for.
///
/// It is the only variable that may differ between the environments of forks of one warm interpreter.
pub(crate) const WORKER_PID: &str = "PUSHFLOW_WORKER_PID";

/// What happens to a process after the end of the scheduler that asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnSchedulerExit {
    /// The process and its descendants are killed at once.
    End,
    /// The process may finish. What is left of it is killed after this time.
    Grace(Duration),
}

impl OnSchedulerExit {
    /// The rule for a grace, which may be zero.
    pub fn after(grace: Duration) -> OnSchedulerExit {
        if grace.is_zero() { OnSchedulerExit::End } else { OnSchedulerExit::Grace(grace) }
    }
}

/// A message of the guardian to a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum FromGuardian {
    /// The guardian watches the scheduler, and has made the run directory.
    Ready {
        /// The build of the guardian.
        build: String,
        /// A folder for this scheduler alone, which only its user can enter. The guardian removes it before it exits.
        run_directory: OsString,
    },
    /// The guardian could not begin, and exits.
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
    /// A signal such as SIGSTOP has stopped the process, or another process that it had asked for. Sent to the
    /// scheduler only.
    Stopped {
        /// The process that the scheduler asked for.
        process: ProcessId,
        /// The pid of the stopped process.
        pid: u32,
        /// The signal's number.
        signal: i32,
    },
    /// A stopped process continues. Sent to the scheduler only.
    Continued {
        /// The process that the scheduler asked for.
        process: ProcessId,
        /// The pid of the process that continues.
        pid: u32,
    },
    /// The process has ended. The guardian kills the descendants that are left.
    Exited {
        /// The process.
        process: ProcessId,
        /// How it ended.
        exit: Exit,
        /// The largest resident memory of the process and of the children that it has waited for, in KiB.
        peak_memory_kib: u64,
    },
    /// The process is a client, too, and has sent bytes that are no message. The guardian is ending it.
    Garbled {
        /// The process.
        process: ProcessId,
    },
    /// Nothing is left of the process, of its descendants, and of the processes that it had asked for.
    Gone {
        /// The process.
        process: ProcessId,
    },
    /// Processes belong to another user and can't be killed. The guardian does not wait for them. Sent to the scheduler
    /// only.
    Unkillable {
        /// The process that the scheduler asked for, of which they are descendants, directly or over processes that it
        /// had asked for. `None` if their keeper was killed, so that it is not known.
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
    /// The client is daemonic, and may not have a child of this class.
    Daemonic,
}

/// A message of a keeper to its guardian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeeperReport {
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
    /// A signal has stopped the process.
    Stopped {
        /// The signal's number.
        signal: i32,
    },
    /// The stopped process continues.
    Continued,
    /// The process has ended.
    Exited {
        /// How.
        exit: Exit,
        /// The largest resident memory of the process and of the children that it has waited for, in KiB.
        peak_memory_kib: u64,
    },
}

/// A request of a program to its zygote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToZygote {
    /// Fork a guardian. The one file of the message is the socket on which the guardian serves.
    Guardian,
}

/// An answer of the zygote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FromZygote {
    /// The guardian runs, as a child of the program.
    Forked {
        /// Its pid.
        pid: u32,
    },
    /// No guardian could be forked.
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
