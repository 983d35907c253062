//! The dispatcher: which worker gets which attempt, and what the end of a worker means. A pure state machine.
//!
//! It owns no process, thread, clock or channel: [`Dispatcher::on`] takes what happened and when, and says what is to be
//! done. The runner beside it (`runner.rs`) does it.
//!
//! # The states of a worker
//! - *starting*: from `Start` until it says that it is ready; ended when that takes too long.
//! - *idle*: waits for an attempt.
//! - *busy*: runs one. Interrupted, it has its grace; then its group gets SIGTERM, and a moment later its tree is ended.
//! - *settling*: the attempt has failed, but what it printed has not all been read yet; the report waits for that a
//!   moment, so that it can hold the last lines.
//! - *leaving*: told to go, by closing its channel or by ending its tree.
//! - *dying*: its process has ended, or its channel. When both are known (or the channel has had its time to be read to
//!   its end), and what it printed has been read, its attempt is lost, and the worker is gone.
//!
//! # What holds
//! An attempt ends in exactly one `Finished` or `Failed`: it is in the queue, or with one worker, or over. Only the
//! attempt of a worker that dies is lost; another worker is started for what waits. Workers that die before they are
//! ready are counted, and after a few in a row the pool is broken: starting more would never end.

mod message;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pushflow_protocol::{AttemptId, ErrorKind, Exit, TaskError};

pub(super) use self::message::{Action, Event, Rules, WorkerId};
use self::worker::{Death, Interrupted, State, Worker};
use crate::attempt::{Attempt, PoolEvent, Stream};

/// After an attempt failed, how long what it printed is waited for.
const SETTLE: Duration = Duration::from_millis(100);
/// How many workers in a row may end before they are ready.
const MAX_FAILED_STARTS: usize = 3;

/// See the module's documentation.
pub(super) struct Dispatcher {
    rules: Rules,
    next_worker: u64,
    workers: BTreeMap<WorkerId, Worker>,
    queue: VecDeque<Attempt>,
    running: HashMap<AttemptId, WorkerId>,
    failed_starts: usize,
    broken: Option<String>,
    closing: bool,
    ready: bool,
}

impl Dispatcher {
    pub(super) fn new(rules: Rules) -> Dispatcher {
        Dispatcher {
            rules,
            next_worker: 1,
            workers: BTreeMap::new(),
            queue: VecDeque::new(),
            running: HashMap::new(),
            failed_starts: 0,
            broken: None,
            closing: false,
            ready: false,
        }
    }

    /// Starts the workers that are there from the beginning.
    pub(super) fn open(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let first = if self.rules.scaling { 1 } else { self.rules.max_workers };
        for _ in 0..first {
            self.start_worker(now, actions);
        }
    }

    /// Whether a worker has been ready; until then the pool may still turn out to be unusable.
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Why the pool can't go on, if it can't.
    pub(super) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Whether everything has ended after a close.
    pub(super) fn is_over(&self) -> bool {
        self.closing && self.workers.is_empty() && self.queue.is_empty()
    }

    /// What happened, and what is to be done about it.
    pub(super) fn on(&mut self, event: Event, now: Instant, actions: &mut Vec<Action>) {
        match event {
            Event::Submit(attempts) => self.submit(attempts, actions),
            Event::Interrupt(attempt) => self.interrupt(attempt, now, actions),
            Event::Close => self.closing = true,
            Event::Abort => self.abort(actions),
            Event::Started { worker, pid } => self.with(worker, |worker| worker.pid = Some(pid)),
            Event::Refused { worker, reason, fatal } => self.refused(worker, reason, fatal, actions),
            Event::Ready { worker } => self.worker_ready(worker, now, actions),
            Event::Finished { worker, attempt, result, marked } => {
                if self.finished(worker, attempt, now) {
                    self.with(worker, |worker| {
                        worker.output.iter_mut().for_each(|printed| printed.succeeded(attempt, marked))
                    });
                    actions.push(Action::Report(PoolEvent::Finished { attempt, result }));
                }
            }
            Event::Failed { worker, attempt, error } => {
                self.failed(worker, attempt, error, now);
                self.settle_if_read(worker, now, actions);
            }
            Event::NotSent { worker, attempt, error } => self.not_sent(worker, attempt, error, now, actions),
            Event::ChannelClosed { worker, garbage } => self.channel_closed(worker, garbage, actions),
            Event::Output { worker, stream, bytes } => self.output(worker, stream, bytes, actions),
            Event::OutputEnd { worker, stream, attempt } => self.output_end(worker, stream, attempt, actions, now),
            Event::OutputDrained { worker } => self.with(worker, |worker| worker.drained = true),
            Event::Exited { worker, exit, peak_memory_kib } => self.exited(worker, exit, peak_memory_kib, now, actions),
            Event::Unkillable { pids } => {
                tracing::error!(?pids, "a task left processes of another user, which can't be ended");
            }
            Event::Gone { worker } => self.gone(worker, now),
            Event::GuardianLost { pid } => self.guardian_lost(pid, actions),
            Event::Tick => {}
        }
        self.pass_time(now, actions);
        self.bury(now, actions);
        self.dispatch(now, actions);
    }

    /// When `Tick` is due if nothing happens before.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        self.workers.values().filter_map(|worker| worker.next_tick(&self.rules)).min()
    }

    fn with(&mut self, worker: WorkerId, change: impl FnOnce(&mut Worker)) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            change(worker);
        }
    }

    // ----- attempts -----

    fn submit(&mut self, attempts: Vec<Attempt>, actions: &mut Vec<Action>) {
        match &self.broken {
            None => self.queue.extend(attempts),
            Some(reason) => {
                let error = broken_error(reason);
                for attempt in attempts {
                    actions.push(report_failed(attempt.id, error.clone()));
                }
            }
        }
    }

    fn interrupt(&mut self, attempt: AttemptId, now: Instant, actions: &mut Vec<Action>) {
        if let Some(position) = self.queue.iter().position(|queued| queued.id == attempt) {
            self.queue.remove(position);
            let error = TaskError::new(ErrorKind::Stopped, "the attempt was interrupted before it started");
            actions.push(report_failed(attempt, error));
        } else if let Some(&id) = self.running.get(&attempt)
            && let Some(worker) = self.workers.get_mut(&id)
            && let State::Busy { attempt: running, interrupt: interrupt @ Interrupted::No } = &mut worker.state
            && *running == attempt
        {
            *interrupt = Interrupted::Asked(now);
            actions.push(Action::Interrupt { worker: id, attempt });
        }
    }

    /// Ends everything that is still there.
    fn abort(&mut self, actions: &mut Vec<Action>) {
        self.closing = true;
        let error = TaskError::new(ErrorKind::Stopped, "the pool was closed before the attempt started");
        for attempt in self.queue.drain(..) {
            actions.push(report_failed(attempt.id, error.clone()));
        }
        for (&id, worker) in &mut self.workers {
            if let State::Busy { interrupt, .. } = &mut worker.state {
                *interrupt = Interrupted::Ended;
            }
            worker.end(id, actions);
        }
    }

    /// Whether the worker did run that attempt; then it is free.
    fn finished(&mut self, id: WorkerId, attempt: AttemptId, now: Instant) -> bool {
        let Some(worker) = self.workers.get_mut(&id) else { return false };
        if !matches!(worker.state, State::Busy { attempt: running, .. } if running == attempt) {
            return false;
        }
        worker.state = State::Idle { since: now };
        self.running.remove(&attempt);
        true
    }

    fn failed(&mut self, id: WorkerId, attempt: AttemptId, error: TaskError, now: Instant) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if matches!(worker.state, State::Busy { attempt: running, .. } if running == attempt) {
            worker.state = State::Settling { attempt, error, until: now + SETTLE };
        }
    }

    fn not_sent(
        &mut self,
        id: WorkerId,
        attempt: AttemptId,
        error: TaskError,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        self.failed(id, attempt, error, now);
        self.with(id, |worker| {
            worker.output.iter_mut().for_each(|printed| printed.open.truncate(printed.open.len() - 1))
        });
        self.settle(id, now, actions);
    }

    /// Gives waiting attempts to idle workers, starts workers for the rest, lets workers go that are not needed.
    fn dispatch(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.queue.is_empty() && !self.closing {
            return;
        }
        let mut idle = self.workers.iter_mut().filter(|(_, worker)| matches!(worker.state, State::Idle { .. }));
        while !self.queue.is_empty() {
            let Some((&id, worker)) = idle.next() else { break };
            let Some(attempt) = self.queue.pop_front() else { break };
            worker.state = State::Busy { attempt: attempt.id, interrupt: Interrupted::No };
            worker.output.iter_mut().for_each(|printed| printed.open.push_back(attempt.id));
            self.running.insert(attempt.id, id);
            actions.push(Action::Report(PoolEvent::Started { attempt: attempt.id, pid: worker.pid.unwrap_or(0) }));
            actions.push(Action::Run { worker: id, attempt });
        }
        let starting = self.workers.values().filter(|worker| matches!(worker.state, State::Starting { .. })).count();
        for _ in starting..self.queue.len() {
            if self.active() >= self.rules.max_workers || self.broken.is_some() {
                break;
            }
            self.start_worker(now, actions);
        }
        if self.closing && self.queue.is_empty() {
            for (&id, worker) in &mut self.workers {
                if matches!(worker.state, State::Idle { .. } | State::Starting { .. }) {
                    worker.dismiss(id, now, actions);
                }
            }
        }
    }

    /// The workers that count against the limit: all whose process may still run.
    fn active(&self) -> usize {
        self.workers.len()
    }

    // ----- workers -----

    fn start_worker(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        self.workers.insert(id, Worker::new(now));
        actions.push(Action::Start(id));
    }

    fn worker_ready(&mut self, id: WorkerId, now: Instant, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if matches!(worker.state, State::Starting { .. }) {
            worker.state = State::Idle { since: now };
            self.ready = true;
            self.failed_starts = 0;
            actions.push(Action::Report(PoolEvent::WorkerStarted { pid: worker.pid.unwrap_or(0) }));
        }
    }

    fn refused(&mut self, id: WorkerId, reason: String, fatal: bool, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.fault.get_or_insert_with(|| reason.clone());
        worker.channel_closed = true;
        worker.end(id, actions);
        if fatal {
            self.break_down(reason, actions);
        }
    }

    fn channel_closed(&mut self, id: WorkerId, garbage: Option<String>, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.channel_closed = true;
        if worker.fault.is_none() {
            worker.fault = garbage;
        }
        if !matches!(worker.state, State::Leaving { .. }) {
            // A worker that can't be heard is of no use, whatever it still does.
            worker.end(id, actions);
        }
    }

    fn exited(&mut self, id: WorkerId, exit: Exit, peak: u64, now: Instant, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.exit = Some(Death { exit, peak_memory_kib: peak, at: now });
        actions.push(Action::DrainOutput(id));
        if let Some(pid) = worker.pid {
            actions.push(Action::Report(PoolEvent::WorkerEnded { pid, exit }));
        }
    }

    fn gone(&mut self, id: WorkerId, now: Instant) {
        // A process that was never started is gone without an exit report.
        self.with(id, |worker| {
            worker.exit.get_or_insert(Death { exit: Exit::Unknown, peak_memory_kib: 0, at: now });
            worker.channel_closed = true;
            worker.drained |= worker.pid.is_none();
        });
        if self.workers.get(&id).is_some_and(|worker| matches!(worker.state, State::Buried)) {
            self.workers.remove(&id);
        } else {
            self.with(id, |worker| worker.gone = true);
        }
    }

    fn guardian_lost(&mut self, pid: u32, actions: &mut Vec<Action>) {
        let reason = format!(
            "the guardian (pid {pid}) has ended, and with it every worker: it was killed from outside, or the machine \
             ran out of memory"
        );
        self.break_down(reason.clone(), actions);
        let error = broken_error(&reason);
        for (attempt, _) in self.running.drain() {
            actions.push(report_failed(attempt, error.clone()));
        }
        self.workers.clear();
    }

    /// From now on nothing can run here.
    fn break_down(&mut self, reason: String, actions: &mut Vec<Action>) {
        if self.broken.is_some() {
            return;
        }
        let error = broken_error(&reason);
        for attempt in self.queue.drain(..) {
            actions.push(report_failed(attempt.id, error.clone()));
        }
        actions.push(Action::Report(PoolEvent::Broken { reason: reason.clone() }));
        self.broken = Some(reason);
    }

    // ----- output -----

    fn output(&mut self, id: WorkerId, stream: Stream, bytes: Vec<u8>, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let printed = &mut worker.output[stream as usize];
        printed.tail.push(&bytes);
        let attempt = printed.open.front().copied();
        actions.push(Action::Report(PoolEvent::Output { attempt, stream, bytes }));
    }

    fn output_end(
        &mut self,
        id: WorkerId,
        stream: Stream,
        attempt: AttemptId,
        actions: &mut Vec<Action>,
        now: Instant,
    ) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let printed = &mut worker.output[stream as usize];
        if !printed.open.contains(&attempt) {
            // A task wrote what looks like a marker, or repeated one.
            return;
        }
        while printed.open.pop_front().is_some_and(|open| open != attempt) {}
        printed.ended = Some((attempt, std::mem::take(&mut printed.tail)));
        if stream == Stream::Stderr {
            self.settle_if_read(id, now, actions);
        }
    }

    /// Reports the failed attempt of a worker if what it printed has been read.
    fn settle_if_read(&mut self, id: WorkerId, now: Instant, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let State::Settling { attempt, error, .. } = &mut worker.state else { return };
        let ended = worker.output[Stream::Stderr as usize].ended.take_if(|(ended, _)| ended == attempt);
        if let Some((_, tail)) = ended {
            // The runner's own lines come first if there are any: those of a command, say.
            if error.stderr.is_empty() {
                error.stderr = tail.into_lines();
            }
            self.settle(id, now, actions);
        }
    }

    /// The failed attempt of a worker is reported, and the worker is free.
    fn settle(&mut self, id: WorkerId, now: Instant, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let pid = worker.pid;
        if let State::Settling { attempt, mut error, .. } =
            std::mem::replace(&mut worker.state, State::Idle { since: now })
        {
            error.pid = error.pid.or(pid);
            self.running.remove(&attempt);
            actions.push(report_failed(attempt, error));
        }
    }

    // ----- time and death -----

    fn pass_time(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let ids: Vec<WorkerId> = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.next_tick(&self.rules).is_some_and(|due| due <= now))
            .map(|(&id, _)| id)
            .collect();
        for id in ids {
            let spare = self.workers.values().filter(|worker| worker.stays()).count() > 1;
            let Some(worker) = self.workers.get_mut(&id) else { continue };
            match &mut worker.state {
                State::Starting { .. } => {
                    let seconds = self.rules.start_timeout.as_secs_f64();
                    worker.fault.get_or_insert(format!("it was not ready within {seconds} s"));
                    worker.end(id, actions);
                }
                State::Idle { .. } if spare => worker.dismiss(id, now, actions),
                State::Idle { since } => *since = now,
                State::Busy { interrupt, .. } => match *interrupt {
                    Interrupted::Asked(_) => {
                        *interrupt = Interrupted::Terminated(now);
                        actions.push(Action::Signal(id, Signal::SIGTERM));
                    }
                    Interrupted::Terminated(_) => {
                        *interrupt = Interrupted::Ended;
                        worker.end(id, actions);
                    }
                    Interrupted::No | Interrupted::Ended => {}
                },
                State::Settling { .. } => self.settle(id, now, actions),
                State::Leaving { .. } => worker.end(id, actions),
                State::Buried => {}
            }
        }
    }

    /// Reports the ends of workers of which all is known.
    fn bury(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let dead: Vec<WorkerId> =
            self.workers.iter().filter(|(_, worker)| worker.is_known_dead(now)).map(|(&id, _)| id).collect();
        for id in dead {
            let Some(worker) = self.workers.get_mut(&id) else { continue };
            let (mut lost, mut failed_start) = (None, None);
            match std::mem::replace(&mut worker.state, State::Buried) {
                State::Busy { attempt, interrupt } => lost = Some((attempt, worker.lost_error(interrupt))),
                State::Settling { attempt, error, .. } => lost = Some((attempt, error)),
                State::Starting { .. } => failed_start = Some(worker.start_error()),
                State::Idle { .. } | State::Leaving { .. } | State::Buried => {}
            }
            if worker.gone {
                self.workers.remove(&id);
            }
            if let Some((attempt, error)) = lost {
                self.running.remove(&attempt);
                actions.push(report_failed(attempt, error));
            }
            if let Some(reason) = failed_start
                && !self.closing
            {
                self.failed_starts += 1;
                if self.failed_starts >= MAX_FAILED_STARTS || !self.ready {
                    self.break_down(reason, actions);
                }
            }
        }
    }
}

fn report_failed(attempt: AttemptId, error: TaskError) -> Action {
    Action::Report(PoolEvent::Failed { attempt, error })
}

fn broken_error(reason: &str) -> TaskError {
    TaskError::new(ErrorKind::WorkerLost, reason)
}
