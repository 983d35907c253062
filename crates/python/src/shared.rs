//! [`SharedPython`]: one Python interpreter for all attempts of a pool that runs in this process: for threads, or, patched
//! by gevent, for green tasks.
//!
//! # Protocol
//! A thread of the interpreter hears orders over a socket of its own. An attempt that finds no channel at rest makes one and
//! sends one end with the order `C`; a server in the interpreter, which is a thread or a greenlet, serves that channel from
//! then on, exactly as an interpreter of a worker's own does. After the attempt the channel rests until the next one takes
//! it: there are as many as there were attempts at a time. The order `I` interrupts what a server runs. In a thread, CPython
//! raises `KeyboardInterrupt` between two of its instructions, so what blocks outside of Python ends first. In a greenlet it
//! is raised where that waits, or, by a signal, where it is.
//!
//! Orders are sent by a thread, since an interpreter that is held does not read, and green tasks must not wait for it.
//! Another thread waits for the end of the interpreter and then shuts all channels down: so whoever waits for an answer
//! hears of the end, also where something that was forked meanwhile holds copies of the channels.
//!
//! # States
//! There is no interpreter, or one is being started by one attempt for which others wait, or it runs. Nobody waits with the
//! lock: on the thread of green tasks, that would be for ever.
//!
//! # What dies with what
//! A task that ends the interpreter takes the attempts of all its servers along; the next attempt starts another one. A task
//! that does not react to its interrupt is not killed, since its neighbours would be too: that is what the process pools are
//! for. When the pool is dropped, the interpreter is killed.

use std::collections::HashMap;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, thread};

use crossbeam_channel::{Receiver, Sender, unbounded};
use nix::sys::signal::Signal;
use pushflow_green::{Environment, Monitor};
use pushflow_guardian::{Child, Interrupter, Launcher};
use pushflow_model::{ErrorKind, Exit, PythonOptions, TaskError};
use pushflow_os::SeqPacket;
use pushflow_protocol::slabs::{GrantSource, SlabStore};

use super::buffers::Buffers;
use super::host::{PythonHost, not_begun, not_started};
use super::source::{Mode, launch, source};

/// How much of the source goes into one message.
const CHUNK: usize = 16 * 1024;

/// How long the interpreter may take to read an order, before it is looked whether it is still there.
const ORDER_LIMIT: Duration = Duration::from_secs(5);

/// How long an interpreter that nobody needs any more may take to end.
const END_LIMIT: Duration = Duration::from_secs(1);

/// One interpreter at a time, started at first use and again after its end.
pub struct SharedPython {
    options: PythonOptions,
    mode: Mode,
    launcher: Arc<dyn Launcher>,
    rooms: Arc<dyn GrantSource>,
    state: Monitor<State>,
}

#[derive(Default)]
struct State {
    current: Current,
    /// What rests until the next attempt.
    idle: Vec<PythonHost>,
}

#[derive(Default)]
enum Current {
    #[default]
    Nothing,
    Starting,
    Running(Arc<Interpreter>),
}

/// What an attempt finds that needs an interpreter.
enum Found {
    Running(Arc<Interpreter>),
    /// It is to start one; here is the one that has ended.
    Missing(Current),
    /// The attempt was interrupted while another one started it.
    Interrupted,
}

impl SharedPython {
    /// An interpreter that `launcher` starts when the first task comes: for threads in the plain environment, else one
    /// that is patched by gevent, for green tasks.
    pub fn new(options: PythonOptions, environment: Environment, launcher: Arc<dyn Launcher>) -> Self {
        let mode = match environment {
            Environment::Plain => Mode::Threads,
            Environment::Green => Mode::Greenlets,
        };
        let rooms = Arc::new(SlabStore::default());
        SharedPython { options, mode, launcher, rooms, state: Monitor::default() }
    }

    /// Which interpreter it is.
    pub fn options(&self) -> &PythonOptions {
        &self.options
    }

    /// Starts the interpreter ahead of the first task, and waits until it runs, whatever it still has to import.
    ///
    /// # Errors
    /// When it is none that can be used, or the wait was interrupted.
    pub fn start(&self, interrupter: &Interrupter) -> Result<(), TaskError> {
        let mut host = self.connect(interrupter)?;
        let runs = host.make_run(interrupter);
        self.give_back(host);
        runs
    }

    /// Kills the interpreter: every task in it ends.
    pub fn kill(&self) {
        let current = self.state.change(|state| std::mem::take(&mut state.current));
        if let Current::Running(interpreter) = current
            && let Err(error) = interpreter.child.signal(Signal::SIGKILL)
        {
            tracing::debug!(pid = interpreter.child.pid(), %error, "could not kill the Python interpreter");
        }
    }

    /// How many parts of values the interpreter has mapped, as far as is known.
    pub fn lent(&self) -> usize {
        self.state.look(|state| match &state.current {
            Current::Running(interpreter) => interpreter.buffers.lent(),
            _ => 0,
        })
    }

    /// A server of the interpreter: one that rests, or another one.
    pub fn connect(&self, interrupter: &Interrupter) -> Result<PythonHost, TaskError> {
        // What is dropped here may be the last of an interpreter that has ended, for which that waits: not with the lock.
        while let Some(mut host) = self.state.look(|state| state.idle.pop()) {
            if host.is_usable() {
                return Ok(host);
            }
        }
        let interpreter = self.interpreter(interrupter)?;
        interpreter.connect(Path::new(&self.options.interpreter)).map_err(|error| failed(&error))
    }

    /// The attempt has ended.
    pub fn give_back(&self, host: PythonHost) {
        if !host.is_lost() {
            self.state.look(|state| state.idle.push(host));
        }
    }

    fn interpreter(&self, interrupter: &Interrupter) -> Result<Arc<Interpreter>, TaskError> {
        let found = self.state.wait(None, |state| match &state.current {
            Current::Running(interpreter) if interpreter.runs() => Some(Found::Running(interpreter.clone())),
            Current::Starting if interrupter.is_interrupted() => Some(Found::Interrupted),
            Current::Starting => None,
            Current::Nothing | Current::Running(_) => {
                Some(Found::Missing(std::mem::replace(&mut state.current, Current::Starting)))
            }
        });
        match found.expect("a wait without a deadline finds something") {
            Found::Running(interpreter) => return Ok(interpreter),
            Found::Interrupted => return Err(not_begun(None)),
            Found::Missing(ended) => drop(ended),
        }
        let starting = Starting(&self.state);
        let interpreter = Interpreter::start(self)?;
        starting.0.change(|state| state.current = Current::Running(interpreter.clone()));
        Ok(interpreter)
    }
}

/// Whoever starts an interpreter: if that fails, however it does, somebody else may try.
struct Starting<'a>(&'a Monitor<State>);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.change(|state| {
            if matches!(state.current, Current::Starting) {
                state.current = Current::Nothing;
            }
        });
    }
}

fn failed(error: &io::Error) -> TaskError {
    TaskError::new(ErrorKind::WorkerLost, format!("the Python interpreter could not be reached: {error}"))
}

/// The process, and the way to the thread that hears orders.
struct Interpreter {
    child: Arc<dyn Child>,
    /// None at the end.
    orders: Option<Sender<Order>>,
    channels: Arc<Channels>,
    /// How many servers were asked for so far: the number of the next.
    servers: AtomicU64,
    /// Whether it has ever said that it is ready.
    was_ready: AtomicBool,
    /// What its servers have mapped: each may release what another was lent.
    buffers: Buffers,
}

/// One message to the interpreter, with a file that goes along.
struct Order(Vec<u8>, Option<OwnedFd>);

impl Interpreter {
    fn start(python: &SharedPython) -> Result<Arc<Interpreter>, TaskError> {
        let SharedPython { options, mode, launcher, rooms, .. } = python;
        let (ours, theirs) = SeqPacket::pair().map_err(|error| failed(&error))?;
        ours.set_send_timeout(ORDER_LIMIT).map_err(|error| failed(&error))?;
        let child = launcher
            .launch(launch(options, *mode, theirs.into_fd()))
            .map_err(|error| not_started(&options.interpreter, error))?;
        let (orders, queue) = unbounded();
        let channels = Arc::<Channels>::default();
        let interpreter = Arc::new(Interpreter {
            child: child.clone(),
            orders: Some(orders),
            channels: channels.clone(),
            servers: AtomicU64::new(0),
            was_ready: AtomicBool::new(false),
            buffers: Buffers::new(rooms.clone()),
        });
        interpreter.send_source(&source(&options.modules));
        let sender = {
            let child = child.clone();
            move || send_orders(&ours, &queue, child.as_ref())
        };
        let watcher = move || {
            if let Err(error) = child.wait(None) {
                tracing::warn!(pid = child.pid(), %error, "could not wait for the end of a Python interpreter");
            }
            channels.shut_down();
        };
        // Where a thread is missing, the drop of the interpreter ends it.
        let name = |what: &str| thread::Builder::new().name(format!("pushflow-{what}"));
        name("orders").spawn(sender).and_then(|_| name("python-end").spawn(watcher)).map_err(|error| failed(&error))?;
        Ok(interpreter)
    }

    fn send_source(&self, source: &[u8]) {
        let (length, text) = source.split_at(size_of::<u64>());
        std::iter::once(length).chain(text.chunks(CHUNK)).for_each(|part| self.send(Order(part.to_vec(), None)));
    }

    /// What nobody reads any more is of no use.
    fn send(&self, order: Order) {
        if let Some(orders) = &self.orders {
            orders.send(order).ok();
        }
    }

    fn runs(&self) -> bool {
        matches!(self.child.wait(Some(Duration::ZERO)), Ok(None))
    }

    fn connect(self: &Arc<Self>, program: &Path) -> io::Result<PythonHost> {
        let (ours, theirs) = UnixStream::pair()?;
        let ours = Arc::new(ours);
        let number = self.servers.fetch_add(1, Ordering::Relaxed);
        self.channels.add(number, ours.clone());
        let server = Arc::new(Server { interpreter: self.clone(), number, requests: AtomicU64::new(0) });
        // One that has ended is found out by the end of the channel.
        self.send(Order(order(b'C', number, 0), Some(theirs.into())));
        PythonHost::of_server(ours, server, self.child.clone(), program, self.buffers.clone())
    }
}

fn order(kind: u8, server: u64, attempt: u64) -> Vec<u8> {
    [&[kind][..], &server.to_le_bytes(), &attempt.to_le_bytes()].concat()
}

/// Sends what is in the queue until nobody puts more into it, or the interpreter has ended.
fn send_orders(socket: &SeqPacket, queue: &Receiver<Order>, child: &dyn Child) {
    for Order(bytes, file) in queue {
        let files: Vec<_> = file.iter().map(AsFd::as_fd).collect();
        while let Err(error) = socket.send(&bytes, &files, true) {
            let is_late = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
            if !(is_late && matches!(child.wait(Some(Duration::ZERO)), Ok(None))) {
                tracing::debug!(pid = child.pid(), %error, "the Python interpreter takes no order");
                return;
            }
        }
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        self.orders = None;
        if !matches!(self.child.wait(Some(END_LIMIT)), Ok(Some(_))) {
            self.child.signal(Signal::SIGKILL).ok();
            self.child.wait(Some(END_LIMIT)).ok();
        }
    }
}

/// The channels to the servers of an interpreter.
#[derive(Default)]
struct Channels(Mutex<Open>);

#[derive(Default)]
struct Open {
    streams: HashMap<u64, Arc<UnixStream>>,
    has_ended: bool,
}

impl Channels {
    fn add(&self, number: u64, stream: Arc<UnixStream>) {
        let mut open = self.lock();
        if open.has_ended {
            stream.shutdown(Shutdown::Both).ok();
        }
        open.streams.insert(number, stream);
    }

    fn remove(&self, number: u64) {
        self.lock().streams.remove(&number);
    }

    /// The interpreter has ended.
    fn shut_down(&self) {
        let mut open = self.lock();
        open.has_ended = true;
        open.streams.values().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What interrupts go to while one of the servers runs a task.
///
/// An interrupt names the attempt by the number of its request: it takes another way than requests do, and so could come late
/// and hit the next attempt.
pub(super) struct Server {
    interpreter: Arc<Interpreter>,
    number: u64,
    requests: AtomicU64,
}

impl Server {
    /// The next request is about to be sent: interrupts are for that one from now on.
    pub(super) fn begin_request(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
    }

    /// The interpreter has said that it is ready.
    pub(super) fn note_ready(&self) {
        self.interpreter.was_ready.store(true, Ordering::Relaxed);
    }

    /// Whether the interpreter has ever said so, to this server or another one.
    pub(super) fn was_ready(&self) -> bool {
        self.interpreter.was_ready.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.interpreter.channels.remove(self.number);
    }
}

impl Child for Server {
    fn pid(&self) -> u32 {
        self.interpreter.child.pid()
    }

    /// Any other signal than an interrupt would hit the neighbours.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        if signal == Signal::SIGINT {
            let order = order(b'I', self.number, self.requests.load(Ordering::SeqCst));
            self.interpreter.send(Order(order, None));
        }
        Ok(())
    }

    fn wait(&self, limit: Option<Duration>) -> io::Result<Option<Exit>> {
        self.interpreter.child.wait(limit)
    }
}
