//! The output thread, which reads the standard output and standard error of all workers of a pool.
//!
//! The thread holds the reading ends of the workers' pipes, tells attempts apart by their markers, and reports output
//! at once. When a worker has exited, the thread reads the rest of its pipes without waiting for more, since a process
//! that the worker left running may hold the pipes open.
//!
//! While the thread has read bytes and not reported them, it notes that in a word that it shares with the worker, so
//! that the worker's answer does not overtake the output. [`marker`](pushflow_protocol::marker) has the order of these
//! steps.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pushflow_model::AttemptId;
use pushflow_os::SharedWords;
use pushflow_os::files::bytes_readable;
use pushflow_os::limits::name_limit;
use pushflow_protocol::UNREPORTED_OUTPUT;
use pushflow_protocol::marker::{Piece, Splitter};

use super::connection::{StartedWorker, last_begun};
use super::dispatcher::{Event, WorkerId};
use super::engine::Engine;
use crate::attempt::Stream;

/// How many bytes of one pipe are read before the other pipes have their turn.
const MAX_READ: usize = 1024 * 1024;

enum ReaderCommand {
    Add(OutputPipe),
    Drain(WorkerId),
}

/// Sends commands to the output thread, which ends when this is dropped.
pub(super) struct OutputReader {
    commands: Sender<ReaderCommand>,
    wake: PipeWriter,
    token: String,
}

impl OutputReader {
    /// Starts the thread; `token` is that of the pool's markers.
    ///
    /// # Errors
    /// When there are no file descriptors or threads left.
    pub(super) fn start(token: String, engine: Arc<Engine>) -> io::Result<OutputReader> {
        let (woken, wake) = io::pipe()?;
        let (commands, received) = crossbeam_channel::unbounded();
        fcntl(&woken, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let thread = std::thread::Builder::new().name("pushflow-output".into()).spawn(move || {
            OutputThread { commands: received, woken, engine, pipes: Vec::new() }.run();
        });
        thread.map_err(name_limit)?;
        Ok(OutputReader { commands, wake, token })
    }

    /// Reads a worker's pipes from now on.
    pub(super) fn add(&mut self, worker: WorkerId, started: StartedWorker) {
        for (stream, reader) in [(Stream::Stdout, started.stdout), (Stream::Stderr, started.stderr)] {
            let (shared, splitter) = (started.shared.clone(), Splitter::new(&self.token));
            self.command(ReaderCommand::Add(OutputPipe {
                worker,
                stream,
                reader,
                splitter,
                unattributed: Vec::new(),
                shared,
            }));
        }
    }

    /// Reads what a worker that has exited left in its pipes, and then sends the event `OutputDrained`.
    pub(super) fn drain(&mut self, worker: WorkerId) {
        self.command(ReaderCommand::Drain(worker));
    }

    fn command(&mut self, command: ReaderCommand) {
        // The thread lives as long as this reader. Only a full pipe can make the write fail, and then the thread is
        // awake.
        self.commands.send(command).ok();
        self.wake.write_all(&[0]).ok();
    }
}

struct OutputThread {
    commands: Receiver<ReaderCommand>,
    woken: PipeReader,
    engine: Arc<Engine>,
    pipes: Vec<OutputPipe>,
}

struct OutputPipe {
    worker: WorkerId,
    stream: Stream,
    reader: PipeReader,
    splitter: Splitter,
    /// Text that was read and is not attributed to an attempt yet, since a marker may follow.
    unattributed: Vec<u8>,
    shared: Arc<SharedWords>,
}

/// Whether the end of a pipe was reached.
#[derive(PartialEq, Eq)]
enum PipeEnd {
    NotReached,
    Reached,
}

impl OutputThread {
    fn run(&mut self) {
        loop {
            let ready = match self.wait() {
                Ok(ready) => ready,
                Err(error) => {
                    tracing::error!(%error, "what the workers print can't be read any more");
                    return;
                }
            };
            let mut index = 0;
            let engine = &self.engine;
            self.pipes.retain_mut(|pipe| {
                index += 1;
                let looks = ready[index - 1] || pipe.has_unattributed();
                !looks || pipe.read_available(engine) == PipeEnd::NotReached
            });
            if self.follow_commands().is_err() {
                return;
            }
        }
    }

    /// Waits until a pipe has bytes to read or text to attribute, or there is a command.
    fn wait(&self) -> io::Result<Vec<bool>> {
        let files = std::iter::once(self.woken.as_fd()).chain(self.pipes.iter().map(|pipe| pipe.reader.as_fd()));
        let mut polled: Vec<PollFd<'_>> = files.map(|file| PollFd::new(file, PollFlags::POLLIN)).collect();
        let unattributed = self.pipes.iter().any(OutputPipe::has_unattributed);
        match poll(&mut polled, if unattributed { PollTimeout::ZERO } else { PollTimeout::NONE }) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = |poll: &PollFd<'_>| poll.revents().is_some_and(|events| !events.is_empty());
        Ok(polled[1..].iter().map(ready).collect())
    }

    /// Follows the commands. The error says that the `OutputReader` was dropped.
    fn follow_commands(&mut self) -> Result<(), TryRecvError> {
        // One byte per command. Bytes that are left cost another look only, and an empty pipe is no error.
        let mut bytes = [0; 64];
        while matches!((&self.woken).read(&mut bytes), Ok(count) if count == bytes.len()) {}
        loop {
            match self.commands.try_recv() {
                Ok(ReaderCommand::Add(pipe)) => self.add(pipe),
                Ok(ReaderCommand::Drain(worker)) => self.drain(worker),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(TryRecvError::Disconnected),
            }
        }
    }

    fn add(&mut self, pipe: OutputPipe) {
        match fcntl(&pipe.reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)) {
            Ok(_) => self.pipes.push(pipe),
            Err(error) => tracing::error!(%error, "what a worker prints can't be read"),
        }
    }

    fn drain(&mut self, worker: WorkerId) {
        let engine = &self.engine;
        self.pipes.retain_mut(|pipe| {
            if pipe.worker == worker {
                pipe.read_rest(engine);
            }
            pipe.worker != worker
        });
        self.engine.on_all([Event::OutputDrained { worker }]);
    }
}

impl OutputPipe {
    /// Reads the bytes in the pipe, and attributes them to attempts: see [`marker`](pushflow_protocol::marker).
    fn read_available(&mut self, engine: &Engine) -> PipeEnd {
        self.note_unreported(true);
        let more = self.report_available(engine);
        // Bytes that may be the start of a marker are reported when more bytes have come.
        self.note_unreported(self.has_unattributed() || self.splitter.is_holding());
        more
    }

    /// Whether text waits for its attempt: then the pipe is looked at again, even if it is empty.
    fn has_unattributed(&self) -> bool {
        !self.unattributed.is_empty()
    }

    /// Notes for the worker whether bytes were read from the pipe and not reported.
    fn note_unreported(&self, unreported: bool) {
        let word = match self.stream {
            Stream::Stdout => UNREPORTED_OUTPUT[0],
            Stream::Stderr => UNREPORTED_OUTPUT[1],
        };
        self.shared.word(word).store(u64::from(unreported), Ordering::Release);
    }

    /// Reads until the pipe is empty, or so much was read that other pipes have their turn.
    fn report_available(&mut self, engine: &Engine) -> PipeEnd {
        let mut total = 0;
        while total < MAX_READ {
            let running = last_begun(&self.shared);
            let Ok(bytes) = self.read() else {
                self.end(running, engine);
                return PipeEnd::Reached;
            };
            self.attribute(&bytes, running, engine);
            if bytes.is_empty() {
                break;
            }
            total += bytes.len();
        }
        PipeEnd::NotReached
    }

    /// All bytes that are in the pipe now. The error says that no more will come.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let there = bytes_readable(&self.reader)?;
        // Only a read shows the end of a pipe, so at least one byte is asked for.
        let mut bytes = vec![0; there.max(1)];
        let mut count = 0;
        // If a task has set the pipe to packets (`O_DIRECT`), each read takes one packet.
        while count < bytes.len() {
            match self.reader.read(&mut bytes[count..]) {
                Ok(0) if count == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(count);
        Ok(bytes)
    }

    /// Reads the bytes that were in the pipe when the worker had exited. A process that still writes could fill the
    /// pipe for ever, so later bytes are not read.
    fn read_rest(&mut self, engine: &Engine) {
        let running = last_begun(&self.shared);
        if let Ok(bytes) = self.read() {
            self.attribute(&bytes, running, engine);
        }
        self.end(running, engine);
    }

    /// Attributes text to attempts: text belongs to the attempt whose marker ends it. `bytes` are all bytes that were
    /// in the pipe after `running` was read. If they hold no marker, the text that was read before belongs to
    /// `running`.
    fn attribute(&mut self, bytes: &[u8], running: Option<AttemptId>, engine: &Engine) {
        let (worker, stream) = (self.worker, self.stream);
        let pieces = self.splitter.split(bytes);
        if !pieces.iter().any(|piece| matches!(piece, Piece::End(_))) {
            self.report_unattributed(running, engine);
        }
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.unattributed.extend(text),
                Piece::End(attempt) => {
                    self.report_unattributed(Some(attempt), engine);
                    engine.on_all([Event::OutputEnd { worker, stream, attempt }]);
                }
            }
        }
    }

    /// No more bytes will come: text that no marker has ended belongs to the last attempt.
    fn end(&mut self, running: Option<AttemptId>, engine: &Engine) {
        self.unattributed.extend(self.splitter.finish());
        self.report_unattributed(running, engine);
    }

    /// Reports the text that waits for its attempt, at once: an attempt must not seem to end before its output.
    fn report_unattributed(&mut self, attempt: Option<AttemptId>, engine: &Engine) {
        let bytes = std::mem::take(&mut self.unattributed);
        if !bytes.is_empty() {
            let (worker, stream) = (self.worker, self.stream);
            engine.on_all([Event::Output { worker, stream, attempt, bytes }]);
        }
    }
}
