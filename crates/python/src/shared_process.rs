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
use crate::source::{ServingMode, launch, python_source};

/// How many bytes of the source are sent in one message.
const CHUNK: usize = 16 * 1024;

/// How long a send of an order may take before the sender checks whether the interpreter still runs.
const ORDER_LIMIT: Duration = Duration::from_secs(5);

/// How long the interpreter may take to end after its orders have ended.
const END_LIMIT: Duration = Duration::from_secs(1);

/// The process, and the queue of orders to it.
pub(crate) struct SharedProcess {
    pub(crate) child: Arc<dyn Child>,
    /// `None` once the process is dropped.
    orders: Option<Sender<Order>>,
    channels: Arc<ServerChannels>,
    /// How many servers were started so far: the number of the next one.
    servers: AtomicU64,
    /// Whether the interpreter has ever reported that it is ready.
    was_ready: AtomicBool,
    /// The leases of all servers: a server may release a lease of another one.
    pub(crate) buffers: Buffers,
}

/// One message to the interpreter, and the file that is sent with it.
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
        process.send_source(&python_source(&options.modules));
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
        // Where a thread can't be started, the drop of the process ends the interpreter.
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

    /// Queues an order. An order to an interpreter that has ended is dropped.
    fn send(&self, order: Order) {
        if let Some(orders) = &self.orders {
            orders.send(order).ok();
        }
    }

    /// Whether the interpreter has not ended.
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
        // If the interpreter has ended, the server finds the end of its channel.
        self.send(Order(order(b'C', number, 0), Some(theirs.into())));
        Ok((ours, Arc::new(server)))
    }
}

fn order(kind: u8, server: u64, attempt: u64) -> Vec<u8> {
    [&[kind][..], &server.to_le_bytes(), &attempt.to_le_bytes()].concat()
}

/// Sends the queued orders until the queue is closed, or the interpreter has ended.
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

/// The channels to the servers of one interpreter.
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

    /// Shuts all channels down, also those that are added later: the interpreter has ended.
    fn shut_down(&self) {
        let mut open = self.lock();
        open.has_ended = true;
        open.streams.values().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }

    fn lock(&self) -> MutexGuard<'_, OpenChannels> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One server of a shared interpreter, which receives the interrupts of the attempt that it runs.
///
/// An interrupt names the attempt by the number of its request. It is sent on another socket than requests, so it may
/// arrive late, and must not interrupt the next attempt.
pub(crate) struct Server {
    process: Arc<SharedProcess>,
    number: u64,
    requests: AtomicU64,
}

impl Server {
    /// Counts a request that is about to be sent: interrupts are for this request from now on.
    pub(crate) fn begin_request(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes that the interpreter has reported that it is ready.
    pub(crate) fn note_ready(&self) {
        self.process.was_ready.store(true, Ordering::Relaxed);
    }

    /// Whether the interpreter has ever reported that it is ready, on the channel of this server or of another one.
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

    /// Sends an interrupt to the server. Other signals are ignored, since they would hit the other servers too.
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
