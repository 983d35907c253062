//! SIGINT, SIGTERM and SIGHUP: the first stops the run, the second kills what still runs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use pushflow::StopHandle;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::signal_name;

/// Hears signals until it is dropped.
pub(crate) struct SignalWatch {
    first: Arc<AtomicI32>,
    handle: Handle,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl SignalWatch {
    /// From now on signals stop the run.
    pub(crate) fn start(run: StopHandle) -> io::Result<SignalWatch> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let first = Arc::<AtomicI32>::default();
        let heard = first.clone();
        let thread = std::thread::Builder::new().name("pushflow-signals".into()).spawn(move || {
            for signal in signals.forever() {
                if heard.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                    let name = signal_name(signal).unwrap_or("a signal");
                    crate::output::line(&format!("pushflow: stopping, {name} was received; once more kills what runs"));
                    run.stop(format!("{name} was received"));
                } else {
                    run.kill();
                }
            }
        })?;
        Ok(SignalWatch { first, handle, thread: Some(thread) })
    }

    /// The signal that came first, if one did.
    pub(crate) fn first(&self) -> Option<i32> {
        Some(self.first.load(Ordering::Relaxed)).filter(|&signal| signal != 0)
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
