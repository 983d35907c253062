//! Reads the pipes of a process until the process has ended, and not longer.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use pushflow_green::wait_readable;
use pushflow_guardian::Child;
use pushflow_model::{Exit, Value};

/// How long the pipes are read after the process has ended. Processes that it started may hold the pipes open for ever.
const DRAIN: Duration = Duration::from_millis(100);

/// How often the status of the process is checked while its pipes are open. Only where another process holds the pipes
/// does the process end long before they do.
const LOOK: Duration = Duration::from_millis(50);

/// The capacity of a pipe.
const CHUNK: usize = 64 * 1024;

/// Reads the pipes of `child` to their ends, at most until 100 ms after the end of the process, and reaps the process.
///
/// # Errors
/// When the process can't be waited for.
pub(super) fn read_until_exit(child: &dyn Child, pipes: Vec<OwnedFd>) -> io::Result<(Vec<Vec<u8>>, Exit)> {
    let mut pipes: Vec<Pipe> = pipes.into_iter().map(Pipe::new).collect();
    let mut exit = None;
    let mut next_look = Instant::now() + LOOK;
    while pipes.iter().any(Pipe::is_open) {
        read_what_is_ready(&mut pipes, next_look)?;
        if Instant::now() < next_look {
            continue;
        }
        if exit.is_some() {
            break;
        }
        exit = child.wait(Some(Duration::ZERO))?;
        next_look = Instant::now() + if exit.is_some() { DRAIN } else { LOOK };
    }
    let exit = match exit {
        Some(exit) => exit,
        None => child.wait(None)?.expect("a wait without a limit ends with the process"),
    };
    Ok((pipes.into_iter().map(|pipe| pipe.read).collect(), exit))
}

/// Waits until a pipe is readable, or until the deadline, and reads once from each readable pipe.
fn read_what_is_ready(pipes: &mut [Pipe], deadline: Instant) -> io::Result<()> {
    let mut open: Vec<&mut Pipe> = pipes.iter_mut().filter(|pipe| pipe.is_open()).collect();
    let files: Vec<BorrowedFd<'_>> = open.iter().filter_map(|pipe| Some(pipe.file.as_ref()?.as_fd())).collect();
    let ready = wait_readable(&files, Some(deadline))?;
    for (pipe, ready) in open.iter_mut().zip(ready) {
        if ready {
            pipe.read_once()?;
        }
    }
    Ok(())
}

/// The reading end of a pipe, and the bytes that were read from it.
struct Pipe {
    file: Option<File>,
    read: Vec<u8>,
}

impl Pipe {
    fn new(file: OwnedFd) -> Self {
        Pipe { file: Some(file.into()), read: Vec::new() }
    }

    fn is_open(&self) -> bool {
        self.file.is_some()
    }

    fn read_once(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let end = self.read.len();
        self.read.resize(end + CHUNK, 0);
        let count = file.read(&mut self.read[end..]);
        self.read.truncate(end + *count.as_ref().unwrap_or(&0));
        match count {
            Ok(0) => self.file = None,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The output of a program as a value: text, or bytes where it is not UTF-8.
pub(super) fn text_or_bytes(written: Vec<u8>) -> Value {
    String::from_utf8(written).map_or_else(|error| Value::Bytes(error.into_bytes().into()), Value::Str)
}

/// The last lines of the output of a program, oldest first; at most `count`.
pub(super) fn last_lines(written: &[u8], count: usize) -> Vec<String> {
    let text = written.strip_suffix(b"\n").unwrap_or(written);
    if text.is_empty() {
        return Vec::new();
    }
    let mut lines: Vec<String> =
        text.rsplit(|byte| *byte == b'\n').take(count).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_come_oldest_first() {
        assert_eq!(last_lines(b"one\ntwo\nthree\n", 2), ["two", "three"]);
        assert_eq!(last_lines(b"no end", 20), ["no end"]);
        assert_eq!(last_lines(b"", 20), [""; 0]);
    }

    #[test]
    fn output_that_is_no_text_stays_bytes() {
        assert_eq!(text_or_bytes(vec![0xff, 0]), Value::Bytes(vec![0xff, 0].into()));
        assert_eq!(text_or_bytes("é".into()), Value::from("é"));
    }
}
