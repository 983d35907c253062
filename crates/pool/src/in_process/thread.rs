//! [`ThreadPool`]: attempts on threads of the scheduler's own process.
//!
//! Values are not encoded, and the only processes are those of commands, which the guardian starts. The price: a task
//! that exits or corrupts memory takes the scheduler along, and a task that never returns can be asked to end, but not
//! be ended. Python tasks run in one interpreter process that all threads share: a Python task that crashes takes the
//! others along.
//!
//! # States
//! An attempt waits in the queue, or runs on one thread, or has ended. A thread takes the next attempt, or waits for
//! one; with scaling it leaves after it has waited for long. When the pool is dropped, threads whose attempts do not
//! end are left behind, and their results are dropped. A thread whose attempt was given up is not counted any more:
//! another thread takes its place, and the thread leaves if its attempt ever ends.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use pushflow_execute::execute;
use pushflow_green::{Cancellation, Environment};
use pushflow_guardian::{Interrupter, StopListener};
use pushflow_model::{AttemptId, Data, ErrorKind, TaskError};

use super::processes::{KILL_TIME, Processes, as_pool_event};
use crate::attempt::{Attempt, EventSink, Pool, PoolEvent};
use crate::error::{OpenError, closed_before_start};
use crate::options::PoolOptions;

/// A pool of threads of the scheduler's own process (`docs/parity.md` P97, type `thread`).
pub struct ThreadPool {
    shared: Arc<ThreadPoolShared>,
    interrupt_grace: Duration,
}

struct ThreadPoolShared {
    state: Mutex<ThreadPoolState>,
    changed: Condvar,
    events: EventSink,
    processes: Processes,
    /// Kept, since each `getpid` is a system call.
    pid: u32,
    limit: usize,
    /// How long an idle thread stays; `None` without scaling: for ever.
    idle_timeout: Option<Duration>,
}

#[derive(Default)]
struct ThreadPoolState {
    queue: VecDeque<Attempt>,
    running: HashMap<AttemptId, RunningAttempt>,
    threads: usize,
    idle: usize,
    /// How many threads wait for the end of an interrupted attempt.
    graces: usize,
    closed: bool,
}

/// An attempt that runs.
struct RunningAttempt {
    interrupter: Interrupter,
    is_python: bool,
}

impl ThreadPool {
    /// Opens a pool. With `with_processes` the guardian is started, for commands and the Python interpreter.
    ///
    /// # Errors
    /// When there is to be a guardian and is none.
    pub fn open(options: &PoolOptions, with_processes: bool, events: EventSink) -> Result<ThreadPool, OpenError> {
        let options = &options.bounded();
        pushflow_green::settle()?;
        let processes = Processes::open(options, with_processes)?;
        let shared = Arc::new_cyclic(|shared| ThreadPoolShared {
            state: Mutex::default(),
            changed: Condvar::new(),
            events,
            processes: processes.with_python(
                options,
                Environment::Plain,
                ThreadPoolShared::interpreter_listener(shared.clone()),
            ),
            pid: std::process::id(),
            limit: options.worker_limit(),
            idle_timeout: options.scaling.then_some(options.idle_timeout),
        });
        Ok(ThreadPool { shared, interrupt_grace: options.interrupt_grace })
    }
}

impl ThreadPoolShared {
    fn lock(&self) -> MutexGuard<'_, ThreadPoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, event: PoolEvent) {
        (self.events)(vec![event]);
    }

    /// Starts as many threads as the queue needs and the limit allows.
    fn grow(self: &Arc<Self>, state: &mut ThreadPoolState) -> std::io::Result<()> {
        while state.threads < self.limit && state.idle < state.queue.len() {
            let shared = self.clone();
            std::thread::Builder::new().name("pushflow-task".into()).spawn(move || shared.run_thread())?;
            state.threads += 1;
            // The thread counts as idle until it takes its first attempt, so that no second thread is started for that
            // one.
            state.idle += 1;
        }
        Ok(())
    }

    /// Runs a thread of the pool.
    fn run_thread(self: Arc<Self>) {
        let runs = Arc::<AtomicU64>::default();
        let mut runner = self.processes.runner(|| self.stop_listener(runs.clone()));
        while let Some((attempt, interrupter)) = self.next() {
            let id = attempt.id;
            runs.store(id.0, Ordering::Release);
            self.report(PoolEvent::Started { attempt: id, pid: self.pid });
            let named = (attempt.actor.clone(), id);
            let ended = execute(runner.as_mut(), &attempt.task, &attempt.inputs, named, &interrupter);
            // The inputs are dropped before the result is reported, so that a merge of both need not copy.
            drop(attempt);
            if !self.end(id, ended) {
                return;
            }
        }
    }

    /// Reports that a signal stopped the command of the attempt that a thread `runs`, or that the command goes on.
    fn stop_listener(self: &Arc<Self>, runs: Arc<AtomicU64>) -> StopListener {
        // The guardian keeps the listener as long as the command. It must not keep the pool, which keeps the guardian.
        let shared = Arc::downgrade(self);
        Arc::new(move |event| {
            let Some(shared) = shared.upgrade() else { return };
            let reports = as_pool_event(AttemptId(runs.load(Ordering::Acquire)), event);
            reports.into_iter().for_each(|event| shared.report(event));
        })
    }

    /// Reports, for each running Python task, that a signal stopped their common interpreter, or that it goes on.
    fn interpreter_listener(shared: Weak<ThreadPoolShared>) -> StopListener {
        Arc::new(move |event| {
            let Some(shared) = shared.upgrade() else { return };
            let running = |state: &ThreadPoolState| {
                let python = state.running.iter().filter(|(_, running)| running.is_python);
                python.filter_map(|(attempt, _)| as_pool_event(*attempt, event)).collect::<Vec<_>>()
            };
            let reports = running(&shared.lock());
            reports.into_iter().for_each(|event| shared.report(event));
        })
    }

    /// Waits for the next attempt; `None` when the thread is to leave.
    fn next(&self) -> Option<(Attempt, Interrupter)> {
        let mut state = self.lock();
        let since = Instant::now();
        loop {
            if let Some(attempt) = state.queue.pop_front() {
                let interrupter = Interrupter::new();
                let running = RunningAttempt { interrupter: interrupter.clone(), is_python: attempt.task.is_python() };
                state.running.insert(attempt.id, running);
                state.idle -= 1;
                return Some((attempt, interrupter));
            }
            let left = self.idle_timeout.map(|limit| limit.saturating_sub(since.elapsed()));
            if state.closed || left.is_some_and(|left| left.is_zero()) {
                state.idle -= 1;
                state.threads -= 1;
                self.changed.notify_all();
                return None;
            }
            state = match left {
                Some(left) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Reports the end of an attempt. Returns whether its thread may go on: a thread whose attempt was given up was
    /// replaced.
    fn end(&self, attempt: AttemptId, ended: Result<Data, TaskError>) -> bool {
        let mut state = self.lock();
        if state.running.remove(&attempt).is_none() {
            return false;
        }
        state.idle += 1;
        self.report(PoolEvent::ended(attempt, ended));
        if state.closed || state.graces > 0 {
            self.changed.notify_all();
        }
        true
    }

    /// Starts threads for the waiting attempts. If the pool has no thread and none can be started, the attempts fail.
    fn start_threads(self: &Arc<Self>, state: &mut ThreadPoolState) {
        if let Err(error) = self.grow(state)
            && state.threads == 0
        {
            let reason = format!("no thread could be started ({error})");
            for attempt in std::mem::take(&mut state.queue) {
                let error = TaskError::new(ErrorKind::WorkerLost, reason.clone());
                self.report(PoolEvent::Failed { attempt: attempt.id, error });
            }
        }
        self.changed.notify_all();
    }

    /// Fails the waiting attempts and interrupts the running ones.
    fn abort(&self) {
        let mut state = self.lock();
        state.closed = true;
        for attempt in std::mem::take(&mut state.queue) {
            self.report(PoolEvent::Failed { attempt: attempt.id, error: closed_before_start() });
        }
        state.running.values().for_each(|running| running.interrupter.interrupt());
        self.changed.notify_all();
    }
}

impl Pool for ThreadPool {
    fn submit(&self, attempts: Vec<Attempt>) {
        let mut state = self.shared.lock();
        state.queue.extend(attempts);
        self.shared.start_threads(&mut state);
    }

    fn interrupt(&self, attempt: AttemptId) {
        let mut state = self.shared.lock();
        if let Some(running) = state.running.get(&attempt) {
            let interrupter = running.interrupter.clone();
            drop(state);
            interrupter.interrupt();
            self.kill_after_grace(attempt, interrupter);
        } else if let Some(position) = state.queue.iter().position(|waiting| waiting.id == attempt) {
            state.queue.remove(position);
            self.shared.report(PoolEvent::Failed { attempt, error: TaskError::interrupted_before_start() });
        }
    }

    /// The attempt's thread is not counted any more, and leaves if the attempt ever ends.
    fn give_up(&self, attempt: AttemptId) {
        let mut state = self.shared.lock();
        if state.running.remove(&attempt).is_some() {
            state.threads -= 1;
            self.shared.start_threads(&mut state);
        }
    }

    fn start_python(&self, opening: &Cancellation) -> Result<(), OpenError> {
        self.shared.processes.start_python(opening)
    }

    fn interrupt_running(&self) {
        let running: Vec<AttemptId> = self.shared.lock().running.keys().copied().collect();
        running.into_iter().for_each(|attempt| self.interrupt(attempt));
    }

    fn close(&mut self, deadline: Option<Instant>) -> bool {
        let mut state = self.shared.lock();
        state.closed = true;
        self.shared.changed.notify_all();
        while !(state.running.is_empty() && state.queue.is_empty()) {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                Some(left) if left.is_zero() => {
                    drop(state);
                    self.shared.abort();
                    return false;
                }
                Some(left) => self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        true
    }

    fn patience(&self) -> Duration {
        self.interrupt_grace + KILL_TIME
    }

    fn workers(&self) -> usize {
        self.shared.lock().threads
    }
}

impl ThreadPool {
    /// Kills the process of a command that does not end within its grace, so that the thread of the attempt goes on.
    fn kill_after_grace(&self, attempt: AttemptId, interrupter: Interrupter) {
        let (shared, grace) = (self.shared.clone(), self.interrupt_grace);
        let kill = move || {
            let mut state = shared.lock();
            state.graces += 1;
            let runs = |state: &mut ThreadPoolState| state.running.contains_key(&attempt);
            let waited = shared.changed.wait_timeout_while(state, grace, runs);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.graces -= 1;
            if runs(&mut state) {
                interrupter.kill();
            }
        };
        if std::thread::Builder::new().name("pushflow-grace".into()).spawn(kill).is_err() {
            tracing::error!(%attempt, "no thread for the end of an interrupted command");
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.abort();
        // No thread waits for the grace of a command any more.
        self.shared.processes.end_all();
    }
}
