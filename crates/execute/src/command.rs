//! Runs a [`CommandTask`]: a program and its arguments, with the inputs in the places of their templates.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;

use nix::sys::memfd::{MFdFlags, memfd_create};
use pushflow_guardian::{Interrupter, Launch, Launcher};
use pushflow_model::{CommandTask, Data, ErrorKind, Exit, TaskError, Value};

use crate::pipes::text_or_bytes;
use crate::program::{FinishedProgram, OutputMode, run_program};
use crate::template::render;

/// Runs a command task; see [`CommandTask`] for the rules.
///
/// # Errors
/// When an input is missing, or when the program can't be started, was interrupted, or ended with another exit code than
/// 0 that the task does not allow.
pub(super) fn run_command(
    launcher: &dyn Launcher,
    task: &CommandTask,
    inputs: &Data,
    interrupter: &Interrupter,
) -> Result<Data, TaskError> {
    let argv: Result<Vec<OsString>, TaskError> =
        task.argv.iter().map(|argument| render(argument, inputs).map(OsString::from_vec)).collect();
    let stdin = task.stdin.as_ref().map(|template| render(template, inputs)).transpose()?;
    let launch = Launch {
        argv: argv?,
        environment: task.environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        directory: task.directory.clone(),
        stdin: stdin.map(|text| file_of(&text)).transpose().map_err(|error| no_memory(&error))?,
        ..Launch::default()
    };
    if launch.argv.is_empty() {
        return Err(TaskError::new(ErrorKind::BadInput, "the command is empty: it needs at least a program"));
    }
    let finished = run_program(launcher, launch, OutputMode::Captured, interrupter)?;
    match finished.exit {
        Exit::Code(code) if code == 0 || task.any_exit_code => Ok(result(finished, code)),
        _ => Err(finished.failed()),
    }
}

fn result(finished: FinishedProgram, code: i32) -> Data {
    Data::new()
        .with("stdout", text_or_bytes(finished.stdout.unwrap_or_default()))
        .with("stderr", text_or_bytes(finished.stderr.unwrap_or_default()))
        .with("exit_code", Value::Int(code.into()))
}

/// A file in memory that holds `content`. Unlike a pipe, it needs no thread that writes.
fn file_of(content: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("pushflow-stdin", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file.into())
}

fn no_memory(error: &io::Error) -> TaskError {
    TaskError::new(ErrorKind::BadInput, format!("the text for the program's standard input could not be kept: {error}"))
}
