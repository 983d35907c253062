//! Runs one program for an attempt: the common part of command and script tasks.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use nix::sys::signal::Signal;
use pushflow_guardian::{Child, Interrupter, Launch, Launcher};
use pushflow_model::{ErrorKind, Exit, TaskError};

use crate::pipes::{last_lines, read_until_exit};

/// How many lines of the standard error of a failed program its error quotes.
const QUOTED_LINES: usize = 20;

/// Where the output of a program is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputMode {
    /// To the same files as the output of this process.
    Inherited,
    /// Into memory.
    Captured,
    /// Into memory, with standard error in the same stream as standard output.
    Merged,
}

/// A program that has ended.
#[derive(Debug)]
pub(super) struct FinishedProgram {
    pub(super) exit: Exit,
    /// The standard output, if it was captured.
    pub(super) stdout: Option<Vec<u8>>,
    /// The standard error, if it was captured and not merged into the standard output.
    pub(super) stderr: Option<Vec<u8>>,
    name: String,
    pid: u32,
}

/// Starts a program in a process group of its own and waits until it has ended.
///
/// # Errors
/// When the program can't be started, or when it was interrupted and did not exit with 0 nevertheless.
pub(super) fn run_program(
    launcher: &dyn Launcher,
    mut launch: Launch,
    output: OutputMode,
    interrupter: &Interrupter,
) -> Result<FinishedProgram, TaskError> {
    let program = launch.argv.first().cloned().unwrap_or_default();
    check_arguments(&launch)?;
    if interrupter.is_interrupted() {
        return Err(TaskError::interrupted_before_start());
    }
    let pipes = redirect(&mut launch, output).map_err(|error| lost(&program, &error))?;
    let child = launcher.launch(launch).map_err(|error| error.into_task_error(&program))?;
    let guard = interrupter.register(Arc::clone(&child));
    let read = read_until_exit(child.as_ref(), pipes);
    drop(guard);
    let (streams, exit) = read.map_err(|error| abandon(child.as_ref(), &program, &error))?;
    let mut streams = streams.into_iter();
    let (stdout, stderr) = (streams.next(), streams.next());
    let finished =
        FinishedProgram { exit, stdout, stderr, name: program.to_string_lossy().into_owned(), pid: child.pid() };
    if interrupter.is_interrupted() && exit != Exit::Code(0) { Err(finished.interrupted()) } else { Ok(finished) }
}

impl FinishedProgram {
    /// The error of an attempt whose program failed.
    pub(super) fn failed(&self) -> TaskError {
        if self.exit == Exit::Unknown {
            let message = format!("{} (pid {}) {}", self.name, self.pid, self.exit);
            return self.with_pid_and_stderr(TaskError::new(ErrorKind::WorkerLost, message));
        }
        let error = TaskError::new(ErrorKind::Raised, format!("{} {}", self.name, self.exit));
        TaskError { type_name: "CommandFailed".into(), ..self.with_pid_and_stderr(error) }
    }

    fn interrupted(&self) -> TaskError {
        self.with_pid_and_stderr(TaskError::new(
            ErrorKind::Stopped,
            format!("{} was interrupted and {}", self.name, self.exit),
        ))
    }

    fn with_pid_and_stderr(&self, error: TaskError) -> TaskError {
        let stderr = last_lines(self.stderr.as_deref().unwrap_or_default(), QUOTED_LINES);
        TaskError { pid: Some(self.pid), stderr, ..error }
    }
}

/// Refuses arguments and variables that no process can have. The error of the operating system would not name them.
fn check_arguments(launch: &Launch) -> Result<(), TaskError> {
    let has_nul = |text: &OsStr| text.as_bytes().contains(&0);
    if let Some(position) = launch.argv.iter().position(|argument| has_nul(argument)) {
        let message = format!("argument {position} of the program has a NUL byte, which no argument can have");
        return Err(TaskError::new(ErrorKind::BadInput, message));
    }
    let is_name = |name: &OsStr| !name.is_empty() && !has_nul(name) && !name.as_bytes().contains(&b'=');
    if let Some((name, _)) = launch.environment.iter().find(|(name, value)| !is_name(name) || has_nul(value)) {
        let message = format!("the environment variable {name:?} can't be set: its name or value has a forbidden byte");
        return Err(TaskError::new(ErrorKind::BadInput, message));
    }
    Ok(())
}

/// Gives the program pipes where its output is captured; returns their reading ends.
fn redirect(launch: &mut Launch, output: OutputMode) -> io::Result<Vec<OwnedFd>> {
    if output == OutputMode::Inherited {
        return Ok(Vec::new());
    }
    let (read_stdout, stdout) = io::pipe()?;
    if output == OutputMode::Merged {
        launch.stderr = Some(stdout.try_clone()?.into());
        launch.stdout = Some(stdout.into());
        return Ok(vec![read_stdout.into()]);
    }
    let (read_stderr, stderr) = io::pipe()?;
    launch.stdout = Some(stdout.into());
    launch.stderr = Some(stderr.into());
    Ok(vec![read_stdout.into(), read_stderr.into()])
}

/// Kills a program whose pipes or end can't be waited for.
fn abandon(child: &dyn Child, program: &OsStr, cause: &io::Error) -> TaskError {
    if let Err(error) = child.signal(Signal::SIGKILL).and_then(|()| child.wait(None).map(drop)) {
        tracing::warn!(pid = child.pid(), %error, "could not end a program that was lost");
    }
    lost(program, cause)
}

fn lost(program: &OsStr, cause: &io::Error) -> TaskError {
    let message = format!("the program {:?} could not be watched: {cause}", program.to_string_lossy());
    TaskError::new(ErrorKind::WorkerLost, message)
}
