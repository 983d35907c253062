//! [`Watchdog`]: a thread beside the executor's thread, which works also while a task holds that thread.
//!
//! # Which tasks it reports
//! The watchdog reads the executor's [`Heartbeat`]: the number of the turn that runs, and the label of its task. When
//! both stay the same over the limit, that task has held the thread for so long, and the watchdog reports it. The
//! heartbeat costs the executor two stores a turn.
//!
//! # How long it sleeps
//! The watchdog sleeps for half the limit while the executor works, and at most until the next grace ends. Once the
//! executor has slept for half the limit, the watchdog sleeps without a limit until the executor wakes it. The two must
//! not miss each other: the watchdog first sets `unwatched`, then reads `asleep`, and then sleeps; the executor first
//! clears `asleep` when it wakes, and then reads `unwatched`. One of the two sees the store of the other. Since the
//! executor must have slept for a while, an executor that wakes often does not wake the watchdog each time.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::lock::lock;

/// The shortest limit: a watchdog with none would run without pause.
const SHORTEST_LIMIT: Duration = Duration::from_millis(2);

/// The state of the executor's thread at this moment, which the watchdog reads.
#[derive(Debug, Default)]
pub struct Heartbeat {
    /// The number of the turn; odd while a task runs. No two turns have the same number.
    turn: AtomicU64,
    label: AtomicU64,
    asleep: AtomicBool,
    unwatched: AtomicBool,
    requests: Mutex<WatchdogRequests>,
    requested: Condvar,
}

/// The requests of the listener to the watchdog.
#[derive(Debug, Default)]
struct WatchdogRequests {
    /// The end of each grace, with its attempt.
    graces: BTreeSet<(Instant, u64)>,
    ended: bool,
}

impl Heartbeat {
    pub(crate) fn begin(&self, label: u64) {
        self.label.store(label, Ordering::Relaxed);
        self.turn.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn relabel(&self, label: u64) {
        self.label.store(label, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.turn.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    pub(crate) fn wake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
        if self.unwatched.swap(false, Ordering::SeqCst) {
            let _requests = lock(&self.requests);
            self.requested.notify_all();
        }
    }

    /// Whether the task of this label runs at this moment.
    pub fn is_held_by(&self, label: u64) -> bool {
        self.running().is_some_and(|(_, running)| running == label)
    }

    /// The turn and the label of the running task.
    fn running(&self) -> Option<(u64, u64)> {
        let turn = self.turn.load(Ordering::Acquire);
        (turn % 2 == 1).then(|| (turn, self.label.load(Ordering::Relaxed)))
    }
}

/// Receives the reports of a watchdog, on the watchdog's thread.
pub trait WatchdogListener: Send + Sync + 'static {
    /// The task of this label has held the thread for at least so long.
    fn blocked(&self, label: u64, held: Duration);

    /// The grace of an attempt has ended.
    fn grace_ended(&self, attempt: u64);
}

/// The handle of a watchdog's thread, which ends when the handle is dropped.
#[derive(Debug)]
pub struct Watchdog {
    heartbeat: Arc<Heartbeat>,
}

impl Watchdog {
    /// Starts the thread. It reports a task that holds the executor's thread for longer than `limit`; a task that ends
    /// before one and a half times the limit may go unreported.
    ///
    /// # Errors
    /// When there are no threads left.
    pub fn start(
        heartbeat: Arc<Heartbeat>,
        limit: Duration,
        listener: Arc<impl WatchdogListener>,
    ) -> io::Result<Watchdog> {
        let watchdog = Watchdog { heartbeat: heartbeat.clone() };
        let limit = limit.max(SHORTEST_LIMIT);
        std::thread::Builder::new()
            .name("pushflow-watch".into())
            .spawn(move || watch(&heartbeat, limit, &*listener))?;
        Ok(watchdog)
    }

    /// Reports the end of an attempt's grace to the listener after this time.
    pub fn after_grace(&self, grace: Duration, attempt: u64) {
        let Some(end) = Instant::now().checked_add(grace) else { return };
        let mut requests = lock(&self.heartbeat.requests);
        requests.graces.insert((end, attempt));
        if requests.graces.first() == Some(&(end, attempt)) {
            self.heartbeat.requested.notify_all();
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        lock(&self.heartbeat.requests).ended = true;
        self.heartbeat.requested.notify_all();
    }
}

/// A turn of a task, when the watchdog first saw it, and whether it was reported.
struct ObservedTurn {
    turn: (u64, u64),
    since: Instant,
    reported: bool,
}

fn watch(heartbeat: &Heartbeat, limit: Duration, listener: &impl WatchdogListener) {
    let mut seen: Option<ObservedTurn> = None;
    let mut last_turn = 0;
    loop {
        let is_idle = std::mem::replace(&mut last_turn, heartbeat.turn.load(Ordering::Acquire)) == last_turn;
        let Some(ended) = wait(heartbeat, limit / 2, is_idle) else { return };
        ended.into_iter().for_each(|attempt| listener.grace_ended(attempt));
        let now = Instant::now();
        let Some(turn) = heartbeat.running() else {
            seen = None;
            continue;
        };
        match &mut seen {
            Some(seen) if seen.turn == turn => {
                let held = now - seen.since;
                if held >= limit && !seen.reported {
                    seen.reported = true;
                    listener.blocked(turn.1, held);
                }
            }
            _ => seen = Some(ObservedTurn { turn, since: now, reported: false }),
        }
    }
}

/// Sleeps until the heartbeat is to be read again; returns the attempts whose grace has ended, or `None` when the handle
/// was dropped.
fn wait(heartbeat: &Heartbeat, pause: Duration, is_idle: bool) -> Option<Vec<u64>> {
    let mut requests = lock(&heartbeat.requests);
    if requests.ended {
        return None;
    }
    let left = requests.graces.first().map(|(end, _)| end.saturating_duration_since(Instant::now()));
    heartbeat.unwatched.store(is_idle, Ordering::SeqCst);
    let limit = match is_idle && heartbeat.asleep.load(Ordering::SeqCst) {
        true => left,
        false => Some(left.map_or(pause, |left| left.min(pause))),
    };
    requests = match limit {
        Some(limit) => heartbeat.requested.wait_timeout(requests, limit).unwrap_or_else(PoisonError::into_inner).0,
        None => heartbeat.requested.wait(requests).unwrap_or_else(PoisonError::into_inner),
    };
    let now = Instant::now();
    let mut ended = Vec::new();
    while let Some((_, attempt)) = requests.graces.first().copied().filter(|(end, _)| *end <= now) {
        requests.graces.pop_first();
        ended.push(attempt);
    }
    Some(ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{Receiver, RecvError, Sender, channel};

    #[derive(Debug, PartialEq)]
    enum Report {
        Blocked(u64),
        GraceEnded(u64),
    }

    struct Reports(Sender<Report>);

    impl WatchdogListener for Reports {
        fn blocked(&self, label: u64, held: Duration) {
            assert!(held >= LIMIT);
            self.0.send(Report::Blocked(label)).unwrap();
        }
        fn grace_ended(&self, attempt: u64) {
            self.0.send(Report::GraceEnded(attempt)).unwrap();
        }
    }

    const LIMIT: Duration = Duration::from_millis(4);

    fn start() -> (Arc<Heartbeat>, Watchdog, Receiver<Report>) {
        let (sender, reports) = channel(None);
        let heartbeat = Arc::<Heartbeat>::default();
        (heartbeat.clone(), Watchdog::start(heartbeat, LIMIT, Arc::new(Reports(sender))).unwrap(), reports)
    }

    #[test]
    fn each_turn_that_holds_the_thread_is_reported_once() {
        let (heartbeat, watchdog, reports) = start();
        heartbeat.begin(7);
        assert_eq!(reports.recv(), Ok(Report::Blocked(7)));
        heartbeat.end();
        heartbeat.begin(7);
        assert_eq!(reports.recv(), Ok(Report::Blocked(7)));
        heartbeat.end();
        drop(watchdog);
        assert_eq!(reports.recv(), Err(RecvError::Closed));
    }

    #[test]
    fn graces_end_in_their_order_also_while_a_task_holds_the_thread() {
        let (heartbeat, watchdog, reports) = start();
        let (never, soon) = (Duration::from_secs(3600), Duration::from_millis(1));
        watchdog.after_grace(never, 1);
        watchdog.after_grace(soon, 2);
        assert_eq!(reports.recv(), Ok(Report::GraceEnded(2)));
        heartbeat.begin(7);
        assert_eq!(reports.recv(), Ok(Report::Blocked(7)));
        watchdog.after_grace(never, 3);
        watchdog.after_grace(soon, 4);
        assert_eq!(reports.recv(), Ok(Report::GraceEnded(4)));
    }

    #[test]
    fn the_watchdog_sleeps_with_the_executor_and_wakes_with_it() {
        let (heartbeat, _watchdog, reports) = start();
        for label in 1..4 {
            heartbeat.sleep();
            // From now on only a watchdog sets the flag, and it then sees that the executor sleeps.
            heartbeat.unwatched.store(false, Ordering::SeqCst);
            while !heartbeat.unwatched.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            heartbeat.wake();
            heartbeat.begin(label);
            assert_eq!(reports.recv(), Ok(Report::Blocked(label)));
            heartbeat.end();
        }
    }
}
