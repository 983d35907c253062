//! Stopping runs on signals (`docs/parity.md` P91-P93).
//!
//! A registry lists the runs that subscribe to signals, and has one watch for each signal with a subscriber. One
//! thread, started with the first subscription, receives the signals. It asks each subscriber of a signal to stop at
//! the first signal, and kills it at the second. When the last subscriber of a signal has ended, the signal has its
//! former action again. A run may subscribe from any thread.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, PipeReader, Read};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::signal::Signal;
use pushflow_os::{SignalWatch, signal_pipe};

use crate::stop_handle::StopHandle;

/// A signal that stops a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopSignal {
    /// SIGINT, which Ctrl-C sends.
    Interrupt,
    /// SIGTERM, which `kill` and batch systems send.
    Terminate,
    /// SIGHUP, which the closing of a terminal sends. A program that ignores SIGHUP, as under `nohup`, goes on ignoring
    /// it.
    HangUp,
}

impl StopSignal {
    /// All stop signals.
    pub const ALL: [StopSignal; 3] = [StopSignal::Interrupt, StopSignal::Terminate, StopSignal::HangUp];

    /// The name, such as `SIGINT`.
    pub fn name(self) -> &'static str {
        self.signal().as_str()
    }

    /// The number, such as 2.
    pub fn number(self) -> i32 {
        self.signal() as i32
    }

    fn signal(self) -> Signal {
        match self {
            StopSignal::Interrupt => Signal::SIGINT,
            StopSignal::Terminate => Signal::SIGTERM,
            StopSignal::HangUp => Signal::SIGHUP,
        }
    }

    /// Watches SIGINT also where it is ignored: a shell's background jobs ignore it, but somebody who sends SIGINT to
    /// such a job means it. SIGHUP stays ignored, since that is what `nohup` is for.
    fn watch(self) -> io::Result<Option<SignalWatch>> {
        match self {
            StopSignal::Interrupt | StopSignal::Terminate => SignalWatch::start(self.signal()).map(Some),
            StopSignal::HangUp => SignalWatch::start_unless_ignored(self.signal()),
        }
    }

    fn from_number(number: i32) -> Option<StopSignal> {
        StopSignal::ALL.into_iter().find(|signal| signal.number() == number)
    }
}

#[derive(Default)]
struct Registry {
    runs: HashMap<u64, Subscriber>,
    /// `None` for a signal that stays ignored.
    watches: HashMap<StopSignal, Option<SignalWatch>>,
}

struct Subscriber {
    wanted: Vec<StopSignal>,
    run: StopHandle,
    /// The number of the first signal that arrived; 0 before.
    first: Arc<AtomicI32>,
}

static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);
static NEXT: AtomicU64 = AtomicU64::new(0);

fn registry() -> MutexGuard<'static, Option<Registry>> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The subscription of a run to signals. Its drop ends it.
pub(crate) struct SignalSubscription {
    id: u64,
    first: Arc<AtomicI32>,
}

impl SignalSubscription {
    /// Subscribes a run to these signals.
    pub(crate) fn start(wanted: &[StopSignal], run: StopHandle) -> io::Result<SignalSubscription> {
        if let Some(pipe) = signal_pipe()? {
            std::thread::Builder::new().name("pushflow-signals".into()).spawn(move || dispatch_signals(pipe))?;
        }
        let (id, first) = (NEXT.fetch_add(1, Ordering::Relaxed), Arc::<AtomicI32>::default());
        let mut guard = registry();
        let registry = guard.get_or_insert_default();
        for &signal in wanted {
            if let Entry::Vacant(watch) = registry.watches.entry(signal) {
                watch.insert(signal.watch()?);
            }
        }
        registry.runs.insert(id, Subscriber { wanted: wanted.to_vec(), run, first: first.clone() });
        Ok(SignalSubscription { id, first })
    }

    /// The signal that arrived first, if any did.
    pub(crate) fn first(&self) -> Option<StopSignal> {
        StopSignal::from_number(self.first.load(Ordering::Relaxed))
    }
}

impl Drop for SignalSubscription {
    fn drop(&mut self) {
        if let Some(registry) = registry().as_mut() {
            registry.runs.remove(&self.id);
            let runs = &registry.runs;
            registry.watches.retain(|signal, _| runs.values().any(|subscriber| subscriber.wanted.contains(signal)));
        }
    }
}

/// Passes signals on to the runs, as long as the process lives: the pipe is never closed.
fn dispatch_signals(mut pipe: PipeReader) {
    let mut number = [0];
    while pipe.read_exact(&mut number).is_ok() {
        let Some(signal) = StopSignal::from_number(i32::from(number[0])) else { continue };
        let registry = registry();
        for subscriber in registry.iter().flat_map(|registry| registry.runs.values()) {
            if !subscriber.wanted.contains(&signal) {
                continue;
            }
            if subscriber.first.compare_exchange(0, signal.number(), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                subscriber.run.stop(format!("{} was received", signal.name()));
            } else {
                subscriber.run.kill();
            }
        }
    }
}
