//! [`SharedProcess`]: the process of an interpreter that several attempts share, and its servers; see [`crate::shared`] for
//! the protocol.

use std::collections::HashMap;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, thread};

use crossbeam_channel::{Receiver, Sender, unbounded};
use nix::sys::signal::Signal;
use pushflow_guardian::{Child, Launcher};
use pushflow_model::{Exit, PythonOptions, TaskError};
use pushflow_os::SeqPacket;
use pushflow_protocol::slabs::GrantSource;

use crate::buffers::Buffers;
use crate::failures::{not_started, unreachable};
use crate::source::{ServingMode, launch, source};

/// How much of the source goes into one message.
const CHUNK: usize = 16 * 1024;

/// How long the interpreter may take to read an order, before it is looked whether it is still there.
const ORDER_LIMIT: Duration = Duration::from_secs(5);

/// How long an interpreter that nobody needs any more may take to end.
const END_LIMIT: Duration = Duration::from_secs(1);

/// The process, and the way to the thread that hears orders.
pub(crate) struct SharedProcess {
    pub(crate) child: Arc<dyn Child>,
    /// None at the end.
    orders: Option<Sender<Order>>,
    channels: Arc<ServerChannels>,
    /// How many servers were asked for so far: the number of the next.
    servers: AtomicU64,
    /// Whether it has ever said that it is ready.
    was_ready: AtomicBool,
    /// What its servers have mapped: each may release what another was lent.
    pub(crate) buffers: Buffers,
}

/// One message to the interpreter, with a file that goes along.
struct Order(Vec<u8>, Option<OwnedFd>);

impl SharedProcess {
    /// Starts the process, without waiting until it is ready.
    ///
    /// # Errors
    /// When the process, or a thread that serves it, can't be started.
    pub(crate) fn start(
        options: &PythonOptions,
        mode: ServingMode,
        launcher: &dyn Launcher,
        grants: Arc<dyn GrantSource>,
    ) -> Result<Arc<SharedProcess>, TaskError> {
        let (ours, theirs) = SeqPacket::pair().map_err(|error| unreachable(&error))?;
        ours.set_send_timeout(ORDER_LIMIT).map_err(|error| unreachable(&error))?;
        let child = launcher
            .launch(launch(options, mode, theirs.into_fd()))
            .map_err(|error| not_started(&options.interpreter, error))?;
        let (orders, queue) = unbounded();
        let channels = Arc::<ServerChannels>::default();
        let process = Arc::new(SharedProcess {
            child: child.clone(),
            orders: Some(orders),
            channels: channels.clone(),
            servers: AtomicU64::new(0),
            was_ready: AtomicBool::new(false),
            buffers: Buffers::new(grants),
        });
        process.send_source(&source(&options.modules));
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
        name("orders")
            .spawn(sender)
            .and_then(|_| name("python-end").spawn(watcher))
            .map_err(|error| unreachable(&error))?;
        Ok(process)
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

    pub(crate) fn runs(&self) -> bool {
        matches!(self.child.wait(Some(Duration::ZERO)), Ok(None))
    }

    /// A new server, and the channel to it.
    ///
    /// # Errors
    /// When there are no file descriptors left.
    pub(crate) fn connect(self: &Arc<Self>) -> io::Result<(Arc<UnixStream>, Arc<Server>)> {
        let (ours, theirs) = UnixStream::pair()?;
        let ours = Arc::new(ours);
        let number = self.servers.fetch_add(1, Ordering::Relaxed);
        self.channels.add(number, ours.clone());
        let server = Server { process: self.clone(), number, requests: AtomicU64::new(0) };
        // One that has ended is found out by the end of the channel.
        self.send(Order(order(b'C', number, 0), Some(theirs.into())));
        Ok((ours, Arc::new(server)))
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

impl Drop for SharedProcess {
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
struct ServerChannels(Mutex<OpenChannels>);

#[derive(Default)]
struct OpenChannels {
    streams: HashMap<u64, Arc<UnixStream>>,
    has_ended: bool,
}

impl ServerChannels {
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

    fn lock(&self) -> MutexGuard<'_, OpenChannels> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What interrupts go to while one of the servers runs a task.
///
/// An interrupt names the attempt by the number of its request: it takes another way than requests do, and so could come late
/// and hit the next attempt.
pub(crate) struct Server {
    process: Arc<SharedProcess>,
    number: u64,
    requests: AtomicU64,
}

impl Server {
    /// The next request is about to be sent: interrupts are for that one from now on.
    pub(crate) fn begin_request(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
    }

    /// The interpreter has said that it is ready.
    pub(crate) fn note_ready(&self) {
        self.process.was_ready.store(true, Ordering::Relaxed);
    }

    /// Whether the interpreter has ever said so, to this server or another one.
    pub(crate) fn was_ready(&self) -> bool {
        self.process.was_ready.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.channels.remove(self.number);
    }
}

impl Child for Server {
    fn pid(&self) -> u32 {
        self.process.child.pid()
    }

    /// Any other signal than an interrupt would hit the neighbours.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        if signal == Signal::SIGINT {
            let order = order(b'I', self.number, self.requests.load(Ordering::SeqCst));
            self.process.send(Order(order, None));
        }
        Ok(())
    }

    fn wait(&self, limit: Option<Duration>) -> io::Result<Option<Exit>> {
        self.process.child.wait(limit)
    }
}
