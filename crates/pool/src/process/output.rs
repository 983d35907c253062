//! The thread that reads what all workers of a pool print.
//!
//! It holds the reading ends of every worker's standard output and error, tells the attempts apart by their markers, and
//! passes everything on at once. When a worker has ended, what is in its pipes is read without waiting for more: something
//! that it left running may hold them open.
//!
//! While it has read something and not told it, it says so in a word that it shares with the worker, so that the worker's
//! answer does not overtake it: [`marker`](pushflow_protocol::marker) has the order of these steps.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pushflow_os::SharedWords;
use pushflow_os::launch::name_limit;
use pushflow_protocol::marker::{Piece, Splitter};
use pushflow_protocol::{AttemptId, UNTOLD};

use super::dispatcher::{Event, WorkerId};
use super::engine::Engine;
use super::link::{StartedWorker, begun};
use crate::attempt::Stream;

/// How much is read at a time: what a pipe holds by default.
const CHUNK: usize = 64 * 1024;
/// How much is read before it is passed on, however much more there is.
const MAX_READ: usize = 1024 * 1024;

enum Order {
    Add(Pipe),
    Drain(WorkerId),
}

/// Gives orders to the thread; it ends when this is dropped.
pub(super) struct OutputReader {
    orders: Sender<Order>,
    wake: PipeWriter,
    word: String,
}

impl OutputReader {
    /// Starts the thread; `word` is that of the pool's markers.
    ///
    /// # Errors
    /// When there are no file descriptors or threads left.
    pub(super) fn start(word: String, engine: Arc<Engine>) -> io::Result<OutputReader> {
        let (woken, wake) = io::pipe()?;
        let (orders, received) = crossbeam_channel::unbounded();
        fcntl(&woken, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let thread = std::thread::Builder::new().name("pushflow-output".into()).spawn(move || {
            Reader { orders: received, woken, engine, pipes: Vec::new() }.run();
        });
        thread.map_err(name_limit)?;
        Ok(OutputReader { orders, wake, word })
    }

    /// Reads a worker's pipes from now on.
    pub(super) fn add(&mut self, worker: WorkerId, started: StartedWorker) {
        for (stream, reader) in [(Stream::Stdout, started.stdout), (Stream::Stderr, started.stderr)] {
            let (shared, splitter) = (started.shared.clone(), Splitter::new(&self.word));
            self.order(Order::Add(Pipe { worker, stream, reader, splitter, shared }));
        }
    }

    /// Reads what a worker that has ended left in its pipes, and says `OutputDrained`.
    pub(super) fn drain(&mut self, worker: WorkerId) {
        self.order(Order::Drain(worker));
    }

    fn order(&mut self, order: Order) {
        // The thread lives as long as this: neither can fail but for a full pipe, and then the thread is awake anyway.
        self.orders.send(order).ok();
        self.wake.write_all(&[0]).ok();
    }
}

struct Reader {
    orders: Receiver<Order>,
    woken: PipeReader,
    engine: Arc<Engine>,
    pipes: Vec<Pipe>,
}

struct Pipe {
    worker: WorkerId,
    stream: Stream,
    reader: PipeReader,
    splitter: Splitter,
    shared: Arc<SharedWords>,
}

/// Whether a pipe may bring more.
#[derive(PartialEq, Eq)]
enum More {
    Later,
    Never,
}

impl Reader {
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
                !ready[index - 1] || pipe.read_available(engine) == More::Later
            });
            if self.obey().is_err() {
                return;
            }
        }
    }

    /// Waits until a pipe has something to read, or there is an order.
    fn wait(&self) -> io::Result<Vec<bool>> {
        let files = std::iter::once(self.woken.as_fd()).chain(self.pipes.iter().map(|pipe| pipe.reader.as_fd()));
        let mut polled: Vec<PollFd<'_>> = files.map(|file| PollFd::new(file, PollFlags::POLLIN)).collect();
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = |poll: &PollFd<'_>| poll.revents().is_some_and(|events| !events.is_empty());
        Ok(polled[1..].iter().map(ready).collect())
    }

    /// Follows the orders; the error is that nobody gives any more.
    fn obey(&mut self) -> Result<(), TryRecvError> {
        // One byte an order; bytes that are left only cost another look, and nothing to read is no error.
        let mut bytes = [0; 64];
        while matches!((&self.woken).read(&mut bytes), Ok(count) if count == bytes.len()) {}
        loop {
            match self.orders.try_recv() {
                Ok(Order::Add(pipe)) => self.add(pipe),
                Ok(Order::Drain(worker)) => self.drain(worker),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(TryRecvError::Disconnected),
            }
        }
    }

    fn add(&mut self, pipe: Pipe) {
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

impl Pipe {
    /// Reads what is there, and tells whose it is: see [`marker`](pushflow_protocol::marker).
    fn read_available(&mut self, engine: &Engine) -> More {
        self.note_untold(true);
        let more = self.tell_available(engine);
        // What may become a marker is told when more has come.
        self.note_untold(self.splitter.is_holding());
        more
    }

    /// Says to the worker whether something was taken out of the pipe that is not told.
    fn note_untold(&self, untold: bool) {
        let word = match self.stream {
            Stream::Stdout => UNTOLD[0],
            Stream::Stderr => UNTOLD[1],
        };
        self.shared.word(word).store(u64::from(untold), Ordering::Release);
    }

    fn tell_available(&mut self, engine: &Engine) -> More {
        let mut bytes = Vec::new();
        loop {
            let running = begun(&self.shared);
            let more = self.read_until_empty(&mut bytes);
            // Full, or ended, or nothing was begun meanwhile: what no marker ends is of the attempt that runs.
            if bytes.len() >= MAX_READ || more == More::Never || running == begun(&self.shared) {
                self.pass_on(&bytes, running, engine);
                if more == More::Never {
                    let held = self.splitter.finish();
                    self.tell_text(held, running, engine);
                }
                return more;
            }
        }
    }

    fn read_until_empty(&mut self, bytes: &mut Vec<u8>) -> More {
        let mut buffer = [0; CHUNK];
        while bytes.len() < MAX_READ {
            match self.reader.read(&mut buffer) {
                Ok(0) => return More::Never,
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return More::Later,
                Err(_) => return More::Never,
            }
        }
        More::Later
    }

    /// Reads what was there when the worker had ended; what still writes may fill the pipe for ever.
    fn read_rest(&mut self, engine: &Engine) {
        let mut left = pushflow_os::files::bytes_readable(&self.reader).unwrap_or(0);
        let running = begun(&self.shared);
        let mut buffer = [0; CHUNK];
        while left > 0 {
            let Ok(count @ 1..) = self.reader.read(&mut buffer) else { break };
            left = left.saturating_sub(count);
            self.pass_on(&buffer[..count], running, engine);
        }
        let held = self.splitter.finish();
        self.tell_text(held, running, engine);
    }

    /// Text belongs to the attempt whose marker ends it; without one, to the one that runs.
    fn pass_on(&mut self, bytes: &[u8], running: Option<AttemptId>, engine: &Engine) {
        let (worker, stream) = (self.worker, self.stream);
        let mut text = Vec::new();
        for piece in self.splitter.split(bytes) {
            match piece {
                Piece::Text(more) => text.extend(more),
                Piece::End(attempt) => {
                    self.tell_text(std::mem::take(&mut text), Some(attempt), engine);
                    engine.on_all([Event::OutputEnd { worker, stream, attempt }]);
                }
            }
        }
        self.tell_text(text, running, engine);
    }

    /// Told at once: an attempt must not seem to end before what it printed.
    fn tell_text(&self, bytes: Vec<u8>, attempt: Option<AttemptId>, engine: &Engine) {
        if !bytes.is_empty() {
            let (worker, stream) = (self.worker, self.stream);
            engine.on_all([Event::Output { worker, stream, attempt, bytes }]);
        }
    }
}
