//! [`Watchdog`]: a thread beside the executor's, which sees what that can't see while a task holds it.
//!
//! # What it looks at
//! The executor's [`Heartbeat`]: the number of the turn that runs, and the task's label. When both are the same over the limit,
//! that task has held the thread for so long, and is reported. Looking costs the executor two stores a turn.
//!
//! # What it waits for
//! Half the limit while the executor is at work; the next grace; nothing at all once the executor has slept for half the
//! limit. So that it does not miss the executor's waking then, it says that it stops looking (`unwatched`), looks once
//! more whether the executor sleeps, and waits; the executor says that it wakes, and looks at `unwatched` then. One of the
//! two sees the other. That the executor must have slept for a while keeps one that wakes often from waking two threads.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::lock::lock;

/// The shortest limit: one of no time would have the watchdog look without pause.
const SHORTEST_LIMIT: Duration = Duration::from_millis(2);

/// What the executor's thread does at this moment.
#[derive(Debug, Default)]
pub struct Heartbeat {
    /// Odd while a task runs; each turn has numbers of its own.
    turn: AtomicU64,
    label: AtomicU64,
    asleep: AtomicBool,
    unwatched: AtomicBool,
    orders: Mutex<Orders>,
    ordered: Condvar,
}

/// What the watchdog is to do.
#[derive(Debug, Default)]
struct Orders {
    /// When the grace of which attempt ends.
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
            let _orders = lock(&self.orders);
            self.ordered.notify_all();
        }
    }

    /// Whether the task of this label holds the thread.
    pub fn is_held_by(&self, label: u64) -> bool {
        self.running().is_some_and(|(_, running)| running == label)
    }

    /// The turn and label of the task that runs.
    fn running(&self) -> Option<(u64, u64)> {
        let turn = self.turn.load(Ordering::Acquire);
        (turn % 2 == 1).then(|| (turn, self.label.load(Ordering::Relaxed)))
    }
}

/// What the watchdog tells.
pub trait WatchdogListener: Send + Sync + 'static {
    /// The task of this label has held the thread for at least so long.
    fn blocked(&self, label: u64, held: Duration);

    /// The grace of an attempt is over.
    fn grace_ended(&self, attempt: u64);
}

/// The listener's side of the thread, which leaves when this is dropped.
#[derive(Debug)]
pub struct Watchdog {
    heartbeat: Arc<Heartbeat>,
}

impl Watchdog {
    /// Starts the thread; a task that holds the executor's thread for longer than `limit` is reported, if not by
    /// chance it ends before half as much again.
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

    /// Tells the listener when this time is over.
    pub fn after_grace(&self, grace: Duration, attempt: u64) {
        let Some(end) = Instant::now().checked_add(grace) else { return };
        let mut orders = lock(&self.heartbeat.orders);
        orders.graces.insert((end, attempt));
        if orders.graces.first() == Some(&(end, attempt)) {
            self.heartbeat.ordered.notify_all();
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        lock(&self.heartbeat.orders).ended = true;
        self.heartbeat.ordered.notify_all();
    }
}

/// A turn of a task, since when it was seen, and whether that was told.
struct Seen {
    turn: (u64, u64),
    since: Instant,
    told: bool,
}

fn watch(heartbeat: &Heartbeat, limit: Duration, listener: &impl WatchdogListener) {
    let mut seen: Option<Seen> = None;
    let mut last_turn = 0;
    loop {
        let is_idle = std::mem::replace(&mut last_turn, heartbeat.turn.load(Ordering::Acquire)) == last_turn;
        let Some(over) = wait(heartbeat, limit / 2, is_idle) else { return };
        over.into_iter().for_each(|attempt| listener.grace_ended(attempt));
        let now = Instant::now();
        let Some(turn) = heartbeat.running() else {
            seen = None;
            continue;
        };
        match &mut seen {
            Some(seen) if seen.turn == turn => {
                let held = now - seen.since;
                if held >= limit && !seen.told {
                    seen.told = true;
                    listener.blocked(turn.1, held);
                }
            }
            _ => seen = Some(Seen { turn, since: now, told: false }),
        }
    }
}

/// Waits for the next moment to look; the attempts whose grace is over, or `None` at the end.
fn wait(heartbeat: &Heartbeat, pause: Duration, is_idle: bool) -> Option<Vec<u64>> {
    let mut orders = lock(&heartbeat.orders);
    if orders.ended {
        return None;
    }
    let left = orders.graces.first().map(|(end, _)| end.saturating_duration_since(Instant::now()));
    heartbeat.unwatched.store(is_idle, Ordering::SeqCst);
    let limit = match is_idle && heartbeat.asleep.load(Ordering::SeqCst) {
        true => left,
        false => Some(left.map_or(pause, |left| left.min(pause))),
    };
    orders = match limit {
        Some(limit) => heartbeat.ordered.wait_timeout(orders, limit).unwrap_or_else(PoisonError::into_inner).0,
        None => heartbeat.ordered.wait(orders).unwrap_or_else(PoisonError::into_inner),
    };
    let now = Instant::now();
    let mut over = Vec::new();
    while let Some((_, attempt)) = orders.graces.first().copied().filter(|(end, _)| *end <= now) {
        orders.graces.pop_first();
        over.push(attempt);
    }
    Some(over)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{Receiver, RecvError, Sender, channel};

    #[derive(Debug, PartialEq)]
    enum Said {
        Blocked(u64),
        GraceEnded(u64),
    }

    struct Says(Sender<Said>);

    impl WatchdogListener for Says {
        fn blocked(&self, label: u64, held: Duration) {
            assert!(held >= LIMIT);
            self.0.send(Said::Blocked(label)).unwrap();
        }
        fn grace_ended(&self, attempt: u64) {
            self.0.send(Said::GraceEnded(attempt)).unwrap();
        }
    }

    const LIMIT: Duration = Duration::from_millis(4);

    fn start() -> (Arc<Heartbeat>, Watchdog, Receiver<Said>) {
        let (sender, said) = channel(None);
        let heartbeat = Arc::<Heartbeat>::default();
        (heartbeat.clone(), Watchdog::start(heartbeat, LIMIT, Arc::new(Says(sender))).unwrap(), said)
    }

    #[test]
    fn each_turn_that_holds_the_thread_is_told_once() {
        let (heartbeat, watchdog, said) = start();
        heartbeat.begin(7);
        assert_eq!(said.recv(), Ok(Said::Blocked(7)));
        heartbeat.end();
        heartbeat.begin(7);
        assert_eq!(said.recv(), Ok(Said::Blocked(7)));
        heartbeat.end();
        drop(watchdog);
        assert_eq!(said.recv(), Err(RecvError::Closed));
    }

    #[test]
    fn graces_end_in_their_order_also_while_a_task_holds_the_thread() {
        let (heartbeat, watchdog, said) = start();
        let (never, soon) = (Duration::from_secs(3600), Duration::from_millis(1));
        watchdog.after_grace(never, 1);
        watchdog.after_grace(soon, 2);
        assert_eq!(said.recv(), Ok(Said::GraceEnded(2)));
        heartbeat.begin(7);
        assert_eq!(said.recv(), Ok(Said::Blocked(7)));
        watchdog.after_grace(never, 3);
        watchdog.after_grace(soon, 4);
        assert_eq!(said.recv(), Ok(Said::GraceEnded(4)));
    }

    #[test]
    fn while_the_executor_sleeps_nobody_looks_and_when_it_wakes_somebody_does() {
        let (heartbeat, _watchdog, said) = start();
        for label in 1..4 {
            heartbeat.sleep();
            // From now on it is set only by a watchdog that then sees the executor sleep.
            heartbeat.unwatched.store(false, Ordering::SeqCst);
            while !heartbeat.unwatched.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            heartbeat.wake();
            heartbeat.begin(label);
            assert_eq!(said.recv(), Ok(Said::Blocked(label)));
            heartbeat.end();
        }
    }
}
