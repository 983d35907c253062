//! [`Observer`]: receives a run's events; [`Lossy`]: keeps a slow observer from slowing the run down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::event::{EventKind, WorkflowEvent};

/// How long the drop of a [`Lossy`] waits until its observer has handled the queued events, and the last event for a place
/// in the queue. The tests wait for the events, however slow the machine is.
const FINISH_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 1 });

/// Receives each event of a run. A closure is an observer, and so is an `Arc` of one.
///
/// The thread that drives the run calls the observer, and waits for it. An observer that panics hears nothing more of the
/// run, which goes on. An observer that may be slow, or that writes to a pipe that nobody may read, belongs into a
/// [`Lossy`].
pub trait Observer: Send + Sync {
    /// Handles one event.
    fn observe(&self, event: &WorkflowEvent);
}

/// A closure is an observer.
///
/// ```
/// use pushflow::{RunOptions, WorkflowEvent};
///
/// let options = RunOptions::new().observer(|event: &WorkflowEvent| println!("{:?}", event.kind));
/// ```
impl<F: Fn(&WorkflowEvent) + Send + Sync> Observer for F {
    fn observe(&self, event: &WorkflowEvent) {
        self(event);
    }
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn observe(&self, event: &WorkflowEvent) {
        (**self).observe(event);
    }
}

/// Calls an observer on a thread of its own, through a queue of limited length. Events that do not fit are dropped and
/// counted; [`EventKind::Dropped`] has their number. The last event of a run, [`EventKind::RunEnded`], waits for a place in
/// the queue, and is only dropped if there is none for a second.
///
/// The drop of a `Lossy` waits, at most a second, until the observer has handled the queued events.
pub struct Lossy {
    queue: Option<Sender<WorkflowEvent>>,
    dropped: AtomicU64,
    thread: Mutex<Option<(JoinHandle<()>, Receiver<()>)>>,
}

impl Lossy {
    /// An observer behind a queue of at most `capacity` events.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(observer: impl Observer + 'static, capacity: usize) -> std::io::Result<Lossy> {
        let (queue, events) = bounded::<WorkflowEvent>(capacity);
        let (finish, finished) = bounded(0);
        let thread = std::thread::Builder::new().name("pushflow-observer".into()).spawn(move || {
            events.iter().for_each(|event| observer.observe(&event));
            drop::<Sender<()>>(finish);
        })?;
        Ok(Lossy { queue: Some(queue), dropped: AtomicU64::new(0), thread: Mutex::new(Some((thread, finished))) })
    }
}

impl Observer for Lossy {
    fn observe(&self, event: &WorkflowEvent) {
        let Some(queue) = &self.queue else { return };
        let is_last = matches!(event.kind, EventKind::RunEnded { .. });
        let deadline = is_last.then(|| Instant::now() + FINISH_TIMEOUT);
        let send = |event| match deadline {
            None => queue.try_send(event).map_err(|error| matches!(error, TrySendError::Full(_))),
            Some(deadline) => queue.send_deadline(event, deadline).map_err(|error| error.is_timeout()),
        };
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            let notice = WorkflowEvent { kind: EventKind::Dropped { events: dropped }, ..*event };
            if send(notice).is_ok() {
                self.dropped.fetch_sub(dropped, Ordering::Relaxed);
            }
        }
        let is_full = true;
        if send(event.clone()) == Err(is_full) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.queue = None;
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((thread, finished)) = thread {
            // No message is ever sent: the channel closes when the thread ends.
            if finished.recv_timeout(FINISH_TIMEOUT) == Err(crossbeam_channel::RecvTimeoutError::Disconnected) {
                thread.join().ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunId;

    /// Handles one event for each permit.
    struct Gated {
        permits: Receiver<()>,
        seen: Arc<Mutex<Vec<EventKind>>>,
    }

    impl Observer for Gated {
        fn observe(&self, event: &WorkflowEvent) {
            self.permits.recv().ok();
            self.seen.lock().unwrap().push(event.kind.clone());
        }
    }

    fn event(pid: u32) -> WorkflowEvent {
        WorkflowEvent { run: RunId { pid: 1, count: 1 }, at: Duration::ZERO, kind: EventKind::WorkerStarted { pid } }
    }

    /// A gated observer behind a queue of this length, what gives it permits, and what it has seen.
    fn gated(capacity: usize) -> (Lossy, Sender<()>, Arc<Mutex<Vec<EventKind>>>) {
        let (permit, permits) = bounded(100);
        let seen = Arc::<Mutex<Vec<EventKind>>>::default();
        (Lossy::new(Gated { permits, seen: seen.clone() }, capacity).unwrap(), permit, seen)
    }

    #[test]
    fn the_end_of_a_run_is_not_dropped() {
        let (lossy, permit, seen) = gated(1);
        (0..10).for_each(|pid| lossy.observe(&event(pid)));
        let ended = WorkflowEvent { kind: EventKind::RunEnded { ending: crate::EndingKind::Finished }, ..event(0) };
        std::thread::scope(|scope| {
            scope.spawn(|| lossy.observe(&ended));
            (0..100).for_each(|_| permit.send(()).unwrap());
        });
        drop(lossy);
        let seen = seen.lock().unwrap();
        assert!(matches!(&seen[..], [.., EventKind::Dropped { .. }, EventKind::RunEnded { .. }]), "{seen:?}");
    }

    #[test]
    fn what_a_slow_observer_misses_is_counted_and_said() {
        let (lossy, permit, seen) = gated(2);
        (0..10).for_each(|pid| lossy.observe(&event(pid)));
        (0..100).for_each(|_| permit.send(()).unwrap());
        while seen.lock().unwrap().len() < 2 {
            std::thread::yield_now();
        }
        lossy.observe(&event(99));
        drop(lossy);
        let seen = seen.lock().unwrap();
        let dropped: u64 =
            seen.iter().map(|kind| if let EventKind::Dropped { events } = kind { *events } else { 0 }).sum();
        let delivered = seen.iter().filter(|kind| matches!(kind, EventKind::WorkerStarted { .. })).count() as u64;
        assert!(dropped > 0);
        assert_eq!(dropped + delivered, 11, "{seen:?}");
    }
}
