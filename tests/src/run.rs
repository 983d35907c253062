//! Runs a program under test, collects its output and its exit status, and fails if the program hangs.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::binaries::{binaries, python};
use crate::processes::{Mark, Process, wait_until};

/// After this time a program counts as hanging, unless [`Program::hangs_after`] says otherwise.
const HANG: Duration = Duration::from_secs(60);

/// Environment variables that would change what a program does, if the user who runs the tests has set them.
const FOREIGN: [&str; 8] = [
    "PUSHFLOW_ENVIRONMENT",
    "PUSHFLOW_WORKER",
    "PUSHFLOW_PYTHON",
    "PUSHFLOW_LOG",
    "PUSHFLOW_ROLE",
    "PUSHFLOW_RUN_DIRECTORY",
    "PYTHONPATH",
    "VIRTUAL_ENV",
];

/// A program to be run.
pub struct Program {
    command: Command,
    mark: Mark,
    hang: Duration,
}

impl Program {
    /// The program at this path, with nothing on its standard input and an interpreter for its Python tasks.
    pub fn at(path: &Path) -> Program {
        let mark = Mark::new();
        let mut command = Command::new(path);
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.env("PUSHFLOW_PYTHON", python()).env(Mark::VARIABLE, mark.value());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // So that Ctrl-C at the terminal of the tests does not reach it.
        command.process_group(0);
        Program { command, mark, hang: HANG }
    }

    /// `pushflow run GRAPH`.
    pub fn pushflow_run(graph: impl AsRef<OsStr>) -> Program {
        Program::at(&binaries().pushflow).args(["run".as_ref(), graph.as_ref()])
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Program {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Program {
        self.command.args(arguments);
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Program {
        self.command.env(name, value);
        self
    }

    /// Removes a variable.
    pub fn without(mut self, name: &str) -> Program {
        self.command.env_remove(name);
        self
    }

    /// Runs it in a folder.
    pub fn in_folder(mut self, folder: impl AsRef<Path>) -> Program {
        self.command.current_dir(folder);
        self
    }

    /// Sets the time after which the program counts as hanging.
    pub fn hangs_after(mut self, hang: Duration) -> Program {
        self.hang = hang;
        self
    }

    /// Gives it this standard input.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Program {
        self.command.stdin(stdin);
        self
    }

    /// Sends its standard output there instead of collecting it.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Program {
        self.command.stdout(stdout);
        self
    }

    /// Sends its standard error there instead of collecting it.
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Program {
        self.command.stderr(stderr);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When the program can't be started.
    pub fn start(mut self) -> Running {
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        let stdout = Collected::start(child.stdout.take());
        let stderr = Collected::start(child.stderr.take());
        Running { child, mark: self.mark, hang: self.hang, stdout, stderr }
    }

    /// Runs it to its end; see [`Running::wait`].
    pub fn run(self) -> Finished {
        self.start().wait()
    }
}

/// A program that runs. Dropping this kills all its processes that are left.
pub struct Running {
    child: Child,
    mark: Mark,
    hang: Duration,
    stdout: Collected,
    stderr: Collected,
}

impl Running {
    /// Its pid.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid fits")
    }

    /// The mark of all its processes.
    pub fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Sends a signal to the program, and to no process that it started.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it has not been waited for");
    }

    /// Sends a signal to its process group, as a terminal does.
    pub fn signal_group(&self, signal: Signal) {
        killpg(Pid::from_raw(self.pid()), signal).expect("it leads a group, and has not been waited for");
    }

    /// Waits until its standard error contains this text.
    pub fn wait_for_error_text(&self, text: &str) {
        wait_until(&format!("{text:?} on standard error"), HANG, || self.stderr.text().contains(text));
    }

    /// Waits until the run has a process of this short name, and returns it.
    pub fn wait_for_process(&self, name: &str) -> Process {
        let mut found = None;
        wait_until(&format!("a process {name}"), HANG, || {
            found = self.mark.named(name).pop();
            found.is_some()
        });
        found.expect("that was waited for")
    }

    /// Waits until the run has a guardian, and returns it. The guardian is the child of the program; a keeper that the
    /// guardian has just forked has the same name for a moment.
    pub fn wait_for_guardian(&self) -> Process {
        let mut found = None;
        wait_until("a guardian", HANG, || {
            found = self.mark.named("pushflow-guard").into_iter().find(|process| process.parent == self.pid());
            found.is_some()
        });
        found.expect("that was waited for")
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is a child of this process").is_none()
    }

    /// Calls `look` again and again until the program has ended.
    ///
    /// # Panics
    /// When it hangs.
    pub fn watch(&mut self, mut look: impl FnMut(&Mark)) {
        let mark = self.mark.clone();
        wait_until("the end of the program", self.hang, || {
            look(&mark);
            !self.is_running()
        });
    }

    /// Waits for its end, and asserts that no process is left that it started.
    ///
    /// # Panics
    /// When it hangs, or leaves a process behind.
    pub fn wait(self) -> Finished {
        let mark = self.mark.clone();
        let finished = self.wait_for_end();
        mark.assert_none_left();
        finished.0
    }

    /// Waits for its end. It may leave processes behind: dropping the second part of the answer kills them.
    ///
    /// # Panics
    /// When it hangs.
    pub fn wait_for_end(mut self) -> (Finished, Running) {
        let mut status = None;
        wait_until("the end of the program", self.hang, || {
            status = self.child.try_wait().expect("it is a child of this process");
            status.is_some()
        });
        let (stdout, stderr) = (self.stdout.finish(), self.stderr.finish());
        (Finished { status: status.expect("that was waited for"), stdout, stderr }, self)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_running() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
        self.mark.kill_all();
    }
}

/// The exit status of a program, and its output.
#[derive(Debug)]
pub struct Finished {
    status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// Its exit code; `None` if a signal killed it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The number of the signal that killed it.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Asserts its exit code.
    ///
    /// # Panics
    /// When its exit code is another one, or a signal killed it.
    #[track_caller]
    pub fn assert_code(&self, code: i32) -> &Finished {
        assert_eq!(self.code(), Some(code), "{self:#?}");
        self
    }

    /// Asserts that its standard error contains this text.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn assert_error(&self, text: &str) -> &Finished {
        assert!(self.stderr.contains(text), "no {text:?} in {self:#?}");
        self
    }

    /// Its standard output as one JSON value.
    ///
    /// # Panics
    /// When the output is no JSON value.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// The result in the output of `pushflow run --format json`.
    ///
    /// # Panics
    /// When the output has no result.
    #[track_caller]
    pub fn result(&self) -> serde_json::Value {
        let object = self.json();
        assert!(object["result"].is_object(), "{object}");
        object["result"].clone()
    }
}

/// The bytes from a pipe, which a reader thread collects.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Collected {
    fn start(pipe: Option<impl Read + Send + 'static>) -> Collected {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let reader = pipe.map(|pipe| {
            let bytes = bytes.clone();
            thread::spawn(move || collect(pipe, &bytes))
        });
        Collected { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("the reader does not panic")).into_owned()
    }

    /// Waits until every copy of the other end is closed, and returns all text from the pipe.
    fn finish(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            wait_until("the end of what the program prints", HANG, || reader.is_finished());
        }
        self.text()
    }
}

fn collect(mut pipe: impl Read, bytes: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        bytes.lock().expect("nobody panics with the lock").extend_from_slice(&buffer[..count]);
    }
}
