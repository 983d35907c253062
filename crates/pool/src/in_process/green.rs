//! [`GreenPool`]: attempts as green tasks on one thread of the scheduler's own process.
//!
//! # States
//! An attempt waits in the queue, or runs as a green task, or has ended. Each attempt gets a green task, up to the
//! limit. A green task takes the first attempt of the queue when it has its first turn: so attempts start in their
//! order, and an attempt that has not started can be interrupted at once, even while a task holds the thread. A green
//! task that ends makes room for the next one.
//!
//! All Python tasks run in one interpreter process, patched by gevent, in a greenlet each, while their green tasks here
//! wait for the answer.
//!
//! An interrupted attempt sees the interrupt when it next waits, or when it asks its context. The process of a command
//! that does not end is killed after the grace by the watchdog's thread, which no task can hold. When the pool is
//! dropped, tasks that do not end are left behind, and the thread with them; their results are dropped.
//!
//! Each pool has a thread of its own, where gevent has one for a process. So a task that never lets other tasks run
//! holds up its own pool only, and the thread that is left behind with it harms no other pool.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use pushflow_execute::execute;
use pushflow_green::{
    Cancellation, Environment, Executor, Heartbeat, Job, Monitor, STACK_BYTES, Waker, Watchdog, WatchdogListener,
    begin_attempt, environment, settle,
};
use pushflow_guardian::{Interrupter, StopListener};
use pushflow_model::{AttemptId, Data, ErrorKind, TaskError};

use super::processes::{KILL_TIME, Processes, as_pool_event};
use crate::attempt::{Attempt, EventSink, Pool, PoolEvent};
use crate::error::{OpenError, closed_before_start};
use crate::options::PoolOptions;
use crate::process::file_limits;

/// Why the pool can't run attempts any more.
const THREAD_HELD: &str = "the thread of the pool \"gevent\" is held by a task that was interrupted and does not end";

/// How many green tasks wait for their first turn at most, even if more attempts are queued: so few stay in the
/// processor's cache.
const MAX_UNSTARTED: usize = 64;

/// A pool of green tasks on one thread of the scheduler's own process (`docs/parity.md` P97, type `gevent`).
///
/// Each pool has a thread of its own. A task that blocks the thread, or computes for long, keeps all other tasks of the
/// pool waiting, and is reported as [`PoolEvent::Blocked`].
pub struct GreenPool {
    shared: Arc<GreenPoolShared>,
    watchdog: Watchdog,
    interrupt_grace: Duration,
}

struct GreenPoolShared {
    state: Monitor<GreenPoolState>,
    executor: Executor,
    heartbeat: Arc<Heartbeat>,
    events: EventSink,
    processes: Processes,
    /// Kept, since each `getpid` is a system call.
    pid: u32,
    limit: usize,
}

#[derive(Default)]
struct GreenPoolState {
    queue: VecDeque<Attempt>,
    running: HashMap<AttemptId, RunningAttempt>,
    /// How many green tasks there are: those of running attempts, and those that have not taken an attempt yet.
    tasks: usize,
    closed: bool,
    /// A task that does not end holds the thread.
    broken: bool,
}

/// An attempt that runs.
struct RunningAttempt {
    interrupter: Interrupter,
    waker: Waker,
    is_python: bool,
    /// Whether the attempt was reported as blocking.
    was_reported: bool,
}

impl GreenPool {
    /// Opens a pool. With `with_processes` the guardian is started, for commands and the Python interpreter.
    ///
    /// # Errors
    /// In the plain environment; when there is to be a guardian and is none; when there are no threads left.
    pub fn open(options: &PoolOptions, with_processes: bool, events: EventSink) -> Result<GreenPool, OpenError> {
        if environment()? == Environment::Plain {
            return Err(OpenError::NotGreen);
        }
        settle()?;
        let options = &options.bounded();
        let processes = Processes::open(options, with_processes)?;
        let heartbeat = Arc::<Heartbeat>::default();
        let limit = match options.python {
            Some(_) if with_processes => file_limits::fitted_green_tasks(options)?,
            _ => options.green_limit(),
        };
        let executor = Executor::start(STACK_BYTES, heartbeat.clone())?;
        let shared = Arc::new_cyclic(|shared| GreenPoolShared {
            state: Monitor::default(),
            executor,
            heartbeat: heartbeat.clone(),
            events,
            processes: processes.with_python(
                options,
                Environment::Green,
                GreenPoolShared::interpreter_listener(shared.clone()),
            ),
            pid: std::process::id(),
            limit,
        });
        let watchdog = match Watchdog::start(heartbeat, options.blocking_limit, shared.clone()) {
            Ok(watchdog) => watchdog,
            Err(error) => {
                shared.executor.close();
                return Err(error.into());
            }
        };
        Ok(GreenPool { shared, watchdog, interrupt_grace: options.interrupt_grace })
    }
}

impl GreenPoolState {
    /// How many more green tasks the queue needs and the limit allows. They count as existing from now on.
    fn tasks_to_add(&mut self, limit: usize) -> usize {
        let unstarted = self.tasks - self.running.len();
        let room = MAX_UNSTARTED.saturating_sub(unstarted).min(limit.saturating_sub(self.tasks));
        let wanted = self.queue.len().saturating_sub(unstarted).min(room);
        self.tasks += wanted;
        wanted
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.running.is_empty()
    }
}

impl GreenPoolShared {
    fn report(&self, event: PoolEvent) {
        (self.events)(vec![event]);
    }

    /// Reports, for each running Python task, that a signal stopped their common interpreter, or that it goes on.
    fn interpreter_listener(shared: Weak<GreenPoolShared>) -> StopListener {
        Arc::new(move |event| {
            let Some(shared) = shared.upgrade() else { return };
            let reports = shared.state.look(|state| {
                let python = state.running.iter().filter(|(_, running)| running.is_python);
                python.filter_map(|(attempt, _)| as_pool_event(*attempt, event)).collect::<Vec<_>>()
            });
            reports.into_iter().for_each(|event| shared.report(event));
        })
    }

    fn fail(&self, attempt: AttemptId, kind: ErrorKind, message: &str) {
        self.report(PoolEvent::Failed { attempt, error: TaskError::new(kind, message) });
    }

    fn spawn(self: &Arc<Self>, count: usize) {
        self.executor.spawn((0..count).map(|_| {
            let shared = self.clone();
            Box::new(move |stack| shared.run_next(stack)) as Job
        }));
    }

    /// Runs a green task.
    fn run_next(self: &Arc<Self>, stack: io::Result<()>) {
        let Some((attempt, interrupter)) = self.take() else { return };
        let id = attempt.id;
        if let Err(error) = stack {
            let message = format!("no stack could be made for the task ({error})");
            return self.end(id, Err(TaskError::new(ErrorKind::WorkerLost, message)));
        }
        begin_attempt(id.0, interrupter.cancellation());
        self.report(PoolEvent::Started { attempt: id, pid: self.pid });
        let mut runner = self.processes.runner(|| {
            let events = self.events.clone();
            Arc::new(move |event| as_pool_event(id, event).into_iter().for_each(|event| events(vec![event])))
        });
        let named = (attempt.actor.clone(), id);
        let ended = execute(runner.as_mut(), &attempt.task, &attempt.inputs, named, &interrupter);
        // The inputs are dropped before the result is reported, so that a merge of both need not copy.
        drop(attempt);
        self.end(id, ended);
    }

    /// Takes the first attempt of the queue, and spawns green tasks for the next ones; `None` if the queue is empty,
    /// since an attempt was interrupted meanwhile.
    fn take(self: &Arc<Self>) -> Option<(Attempt, Interrupter)> {
        let (taken, more) = self.state.look(|state| {
            let Some(attempt) = state.queue.pop_front() else {
                state.tasks -= 1;
                return (None, 0);
            };
            let interrupter = Interrupter::new();
            let running = RunningAttempt {
                interrupter: interrupter.clone(),
                waker: Waker::current(),
                is_python: attempt.task.is_python(),
                was_reported: false,
            };
            state.running.insert(attempt.id, running);
            (Some((attempt, interrupter)), state.tasks_to_add(self.limit))
        });
        self.spawn(more);
        taken
    }

    fn end(self: &Arc<Self>, attempt: AttemptId, ended: Result<Data, TaskError>) {
        let more = self.state.change(|state| {
            state.tasks -= 1;
            if state.running.remove(&attempt).is_some() {
                self.report(PoolEvent::ended(attempt, ended));
            }
            state.tasks_to_add(self.limit)
        });
        self.spawn(more);
    }

    /// Fails all attempts, since the task that holds the thread does not end.
    fn break_down(&self) {
        self.state.change(|state| {
            state.broken = true;
            let queued = std::mem::take(&mut state.queue).into_iter().map(|attempt| attempt.id);
            let running = std::mem::take(&mut state.running).into_keys();
            queued.chain(running).for_each(|attempt| self.fail(attempt, ErrorKind::WorkerLost, THREAD_HELD));
            self.report(PoolEvent::Broken { reason: THREAD_HELD.to_owned() });
        });
    }

    /// Fails the waiting attempts and interrupts the running ones.
    fn abort(&self) {
        let running: Vec<(Interrupter, Waker)> = self.state.change(|state| {
            state.closed = true;
            for attempt in std::mem::take(&mut state.queue) {
                self.report(PoolEvent::Failed { attempt: attempt.id, error: closed_before_start() });
            }
            state.running.values().map(|running| (running.interrupter.clone(), running.waker.clone())).collect()
        });
        for (interrupter, waker) in running {
            interrupter.interrupt();
            waker.wake();
        }
    }
}

impl WatchdogListener for GreenPoolShared {
    fn blocked(&self, label: u64, held: Duration) {
        let attempt = AttemptId(label);
        self.state.look(|state| {
            if let Some(running) = state.running.get_mut(&attempt).filter(|running| !running.was_reported) {
                running.was_reported = true;
                self.report(PoolEvent::Blocked { attempt, held });
            }
        });
    }

    fn grace_ended(&self, attempt: u64) {
        let find = |state: &mut GreenPoolState| Some(state.running.get(&AttemptId(attempt))?.interrupter.clone());
        if let Some(interrupter) = self.state.look(find) {
            interrupter.kill();
        }
    }
}

impl Pool for GreenPool {
    fn submit(&self, attempts: Vec<Attempt>) {
        let shared = &self.shared;
        let more = shared.state.look(|state| {
            let refusal = match state {
                GreenPoolState { broken: true, .. } => Some((ErrorKind::WorkerLost, THREAD_HELD)),
                GreenPoolState { closed: true, .. } => Some((ErrorKind::Stopped, "the pool was closed")),
                _ => None,
            };
            if let Some((kind, message)) = refusal {
                attempts.iter().for_each(|attempt| shared.fail(attempt.id, kind, message));
                return 0;
            }
            state.queue.extend(attempts);
            state.tasks_to_add(shared.limit)
        });
        shared.spawn(more);
    }

    fn interrupt(&self, attempt: AttemptId) {
        let running = self.shared.state.change(|state| {
            if let Some(running) = state.running.get(&attempt) {
                return Some((running.interrupter.clone(), running.waker.clone()));
            }
            let position = state.queue.iter().position(|waiting| waiting.id == attempt)?;
            state.queue.remove(position);
            self.shared.report(PoolEvent::Failed { attempt, error: TaskError::interrupted_before_start() });
            None
        });
        if let Some((interrupter, waker)) = running {
            interrupter.interrupt();
            waker.wake();
            self.watchdog.after_grace(self.interrupt_grace, attempt.0);
        }
    }

    fn start_python(&self, opening: &Cancellation) -> Result<(), OpenError> {
        self.shared.processes.start_python(opening)
    }

    fn interrupt_running(&self) {
        let running: Vec<AttemptId> = self.shared.state.look(|state| state.running.keys().copied().collect());
        running.into_iter().for_each(|attempt| self.interrupt(attempt));
    }

    /// If the attempt holds the thread, no other attempt can go on: all attempts fail, and the pool is broken.
    fn give_up(&self, attempt: AttemptId) {
        let shared = &self.shared;
        let gave_up = shared.state.change(|state| {
            state.running.remove(&attempt).inspect(|_| state.tasks -= 1).is_some()
                && shared.heartbeat.is_held_by(attempt.0)
        });
        if gave_up {
            shared.break_down();
        }
    }

    fn close(&mut self, deadline: Option<Instant>) -> bool {
        self.shared.state.look(|state| state.closed = true);
        let is_empty = self.shared.state.wait(deadline, |state| state.is_empty().then_some(())).is_some();
        if !is_empty {
            self.shared.abort();
        }
        is_empty
    }

    fn patience(&self) -> Duration {
        self.interrupt_grace + KILL_TIME
    }

    fn workers(&self) -> usize {
        self.shared.state.look(|state| state.running.len())
    }
}

impl Drop for GreenPool {
    fn drop(&mut self) {
        self.shared.abort();
        // No thread waits for the grace of a command any more.
        self.shared.processes.end_all();
        self.shared.executor.close();
    }
}
