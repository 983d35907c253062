//! [`SharedPython`]: one Python interpreter for all threads of a pool.
//!
//! # Protocol
//! The interpreter's main thread hears orders over a socket of its own. The first use in a pool's thread makes a channel and
//! sends one end with the order `C`; a thread of the interpreter serves that channel from then on, exactly as an interpreter of
//! a worker's own does. The order `I` interrupts what such a thread runs: CPython raises `KeyboardInterrupt` in it between two
//! of its instructions, so what blocks outside of Python ends first.
//!
//! # What dies with what
//! A task that ends the interpreter takes the attempts of all its threads along; the next attempt starts another one. A task
//! that does not react to its interrupt is not killed, since its neighbours would be too: that is what the process pools are
//! for. When the pool is dropped, the interpreter is killed.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use pushflow_os::SeqPacket;
use pushflow_protocol::slabs::{Rooms, SlabStore};
use pushflow_protocol::{ErrorKind, Exit, PythonOptions, TaskError};

use super::buffers::Buffers;
use super::host::{PythonHost, not_started};
use super::source::{launch, source};
use crate::run::launch::{Child, Launcher};

/// How much of the source goes into one message.
const CHUNK: usize = 16 * 1024;

/// How long the interpreter may take to read an order.
const ORDER_LIMIT: Duration = Duration::from_secs(30);

/// How long an interpreter that nobody needs any more may take to end.
const END_LIMIT: Duration = Duration::from_secs(1);

/// One interpreter at a time, started at first use and again after its end.
pub struct SharedPython {
    options: PythonOptions,
    launcher: Arc<dyn Launcher>,
    rooms: Arc<dyn Rooms>,
    current: Mutex<Option<Arc<Interpreter>>>,
}

impl SharedPython {
    /// An interpreter that `launcher` starts when the first task comes.
    pub fn new(options: PythonOptions, launcher: Arc<dyn Launcher>) -> Self {
        SharedPython { options, launcher, rooms: Arc::new(SlabStore::default()), current: Mutex::new(None) }
    }

    /// Which interpreter it is.
    pub fn options(&self) -> &PythonOptions {
        &self.options
    }

    /// Kills the interpreter: every task in it ends.
    pub fn kill(&self) {
        if let Some(interpreter) = self.lock().take()
            && let Err(error) = interpreter.child.signal(Signal::SIGKILL)
        {
            tracing::debug!(pid = interpreter.child.pid(), %error, "could not kill the Python interpreter");
        }
    }

    /// A thread of the interpreter.
    pub(in crate::run) fn connect(&self) -> Result<PythonHost, TaskError> {
        let interpreter = self.interpreter()?;
        interpreter.connect(Path::new(&self.options.interpreter)).map_err(|error| failed(&error))
    }

    fn interpreter(&self) -> Result<Arc<Interpreter>, TaskError> {
        let mut current = self.lock();
        if let Some(interpreter) = &*current
            && matches!(interpreter.child.wait(Some(Duration::ZERO)), Ok(None))
        {
            return Ok(interpreter.clone());
        }
        let (ours, theirs) = SeqPacket::pair().map_err(|error| failed(&error))?;
        ours.set_send_timeout(ORDER_LIMIT).map_err(|error| failed(&error))?;
        let launch = launch(&self.options, "shared", theirs.into_fd());
        let child = self.launcher.launch(launch).map_err(|error| not_started(&self.options.interpreter, error))?;
        let (orders, buffers) = (Mutex::new(Orders { socket: ours, threads: 0 }), Buffers::new(self.rooms.clone()));
        let interpreter = Arc::new(Interpreter { child, orders, buffers });
        interpreter.send_source(&source(&self.options.modules));
        Ok(current.insert(interpreter).clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Interpreter>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(error: &io::Error) -> TaskError {
    TaskError::new(ErrorKind::WorkerLost, format!("the Python interpreter could not be reached: {error}"))
}

/// The process, and the way to its main thread.
struct Interpreter {
    child: Arc<dyn Child>,
    orders: Mutex<Orders>,
    /// What its threads have mapped: each may release what another was lent.
    buffers: Buffers,
}

struct Orders {
    socket: SeqPacket,
    /// How many threads were asked for so far: the number of the next.
    threads: u64,
}

impl Interpreter {
    /// What can't be sent is read by nobody: the first channel says how the process has ended.
    fn send_source(&self, source: &[u8]) {
        let orders = self.lock();
        let (length, text) = source.split_at(size_of::<u64>());
        let mut parts = std::iter::once(length).chain(text.chunks(CHUNK));
        if let Err(error) = parts.try_for_each(|part| orders.socket.send(part, &[], true)) {
            tracing::debug!(pid = self.child.pid(), %error, "the Python interpreter does not read its source");
        }
    }

    fn connect(self: &Arc<Self>, program: &Path) -> io::Result<PythonHost> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut orders = self.lock();
        let number = orders.threads;
        orders.threads += 1;
        // One that has ended is found out by the end of the channel.
        if let Err(error) = orders.socket.send(&order(b'C', number, 0), &[theirs.as_raw_fd()], true) {
            tracing::debug!(pid = self.child.pid(), %error, "the Python interpreter takes no order");
        }
        drop((orders, theirs));
        let thread = Arc::new(Thread { interpreter: self.clone(), number, requests: AtomicU64::new(0) });
        PythonHost::of_thread(ours, thread, self.child.clone(), program, self.buffers.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn order(kind: u8, thread: u64, attempt: u64) -> Vec<u8> {
    [&[kind][..], &thread.to_le_bytes(), &attempt.to_le_bytes()].concat()
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        if let Ok((idle, _)) = SeqPacket::pair() {
            self.orders.get_mut().unwrap_or_else(PoisonError::into_inner).socket = idle;
        }
        if !matches!(self.child.wait(Some(END_LIMIT)), Ok(Some(_))) {
            self.child.signal(Signal::SIGKILL).ok();
            self.child.wait(Some(END_LIMIT)).ok();
        }
    }
}

/// What interrupts go to while one of the threads runs a task.
///
/// An interrupt names the attempt by the number of its request: it takes another way than requests do, and so could come late
/// and hit the next attempt.
pub(super) struct Thread {
    interpreter: Arc<Interpreter>,
    number: u64,
    requests: AtomicU64,
}

impl Thread {
    /// The next request is about to be sent: interrupts are for that one from now on.
    pub(super) fn begin_request(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
    }
}

impl Child for Thread {
    fn pid(&self) -> u32 {
        self.interpreter.child.pid()
    }

    /// Any other signal than an interrupt would hit the neighbours.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        match signal {
            Signal::SIGINT => {
                let order = order(b'I', self.number, self.requests.load(Ordering::SeqCst));
                self.interpreter.lock().socket.send(&order, &[], true)
            }
            _ => Ok(()),
        }
    }

    fn wait(&self, limit: Option<Duration>) -> io::Result<Option<Exit>> {
        self.interpreter.child.wait(limit)
    }
}
