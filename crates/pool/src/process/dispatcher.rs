//! The dispatcher: which worker gets which attempt, and what the end of a worker means. A pure state machine.
//!
//! It owns no process, thread, clock or channel: [`Dispatcher::on`] takes what happened and when, and says what is to be
//! done. The runner beside it (`runner.rs`) does it.
//!
//! # The states of a worker
//! - *starting*: from `Start` until it says that it is ready; ended when that takes too long.
//! - *serving*: has attempts to run, in the order in which it was given them, or is idle. While a signal has stopped it
//!   (`stop.rs`) it is given nothing.
//! - *leaving*: told to go, by closing its channel or by ending its tree: since the pool closes, it was idle for long, or it
//!   has run as many attempts as a worker may.
//! - *dead*: its process has ended, or its channel. When both are known (or the channel has had its time to be read to
//!   its end), and what it printed has been read, it is *buried*: its attempts are settled. It is forgotten when nothing
//!   below it is left.
//!
//! # The states of an attempt
//! - *queued*.
//! - *given* to a worker. While attempts are short (`prefetch.rs`), a worker is given several, since its waking up is the
//!   whole cost of a small task; what it has not begun is asked back when another worker is idle. Interruption, an attempt
//!   that has begun has its grace; then the worker's group gets SIGTERM, and a moment later its tree is ended.
//! - *settling*: it has been answered for, but what it printed has not all been read yet; the report waits for that a
//!   moment, so that it comes last, and that of a failure can hold the last lines.
//! - *over*: reported, exactly once.
//!
//! # What the end of the pool means
//! Closing lets everything that was submitted run to its end. The exit of the process that has the pool (`exit.rs`) drops
//! what has not begun, and waits for what has, or ends it, as the policy of the pool says. Aborting ends everything now.
//! A worker that can't be ended (the guardian is stopped, or the process hangs in the kernel) is given up after a while.
//!
//! # What the death of a worker means
//! It writes the attempt that it begins into memory that outlives it, and before that what it has answered. So at its
//! death it is known what it had begun and not ended: that is lost with it. What it had not begun goes back to the head
//! of the queue, without spending a try; but an attempt whose workers keep dying before they can begin it is lost too.
//! Workers that die before they are ready are counted, and after a few in a row the pool is broken: starting more would
//! never end. While others serve it goes on with those, and tries again once a second.

mod assign;
mod exit;
mod loss;
mod message;
mod prefetch;
mod stop;
#[cfg(test)]
mod tests;
mod timeouts;
mod worker;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use pushflow_model::{AttemptId, Data, ErrorKind, Exit, TaskError};

pub(super) use self::message::{Action, Event, MAX_FAILED_STARTS, Rules, WorkerId};
use self::prefetch::PrefetchDepth;
use self::worker::{AnsweredAttempt, AssignedAttempt, Interruption, ProcessExit, Worker, WorkerState};
use crate::attempt::{Attempt, PoolEvent};
use crate::error::closed_before_start;

/// See the module's documentation.
pub(super) struct Dispatcher {
    rules: Rules,
    next_worker: u64,
    workers: BTreeMap<WorkerId, Worker>,
    queue: VecDeque<Queued>,
    /// Which worker has an attempt that is given or settling.
    assigned_to: HashMap<AttemptId, WorkerId>,
    prefetch: PrefetchDepth,
    failed_starts: u32,
    /// When a worker may be started again after that, while others serve.
    retry_starts_at: Option<Instant>,
    broken: Option<String>,
    closing: bool,
    exit_mode: ExitMode,
    ready: bool,
}

/// Whether the process that has the pool exits, and what that does to what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExitMode {
    No,
    /// What runs is waited for.
    Wait,
    /// What runs gets SIGTERM, and its grace.
    Terminate,
}

/// An attempt that waits for a worker.
struct Queued {
    attempt: Attempt,
    /// How many workers have died with it before they began it.
    losses_before_start: u8,
}

impl Dispatcher {
    pub(super) fn new(rules: Rules) -> Dispatcher {
        Dispatcher {
            rules,
            next_worker: 1,
            workers: BTreeMap::new(),
            queue: VecDeque::new(),
            assigned_to: HashMap::new(),
            prefetch: PrefetchDepth::default(),
            failed_starts: 0,
            retry_starts_at: None,
            broken: None,
            closing: false,
            exit_mode: ExitMode::No,
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

    /// Whether this worker is still to be talked to.
    pub(super) fn accepts_messages(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(Worker::is_usable)
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
            Event::InterruptRunning => self.interrupt_running(now, actions),
            Event::Close => self.closing = true,
            Event::Exit { terminate } => self.exit(terminate, now, actions),
            Event::Terminate => self.terminate(actions),
            Event::Abort => self.abort(now, actions),
            Event::Started { worker, pid } => self.with_worker(worker, |worker| worker.pid = Some(pid)),
            Event::Refused { worker, reason, fatal } => self.refused(worker, reason, fatal, now, actions),
            Event::Unreachable { worker: id, reason } => self.with_worker(id, |worker| {
                worker.fault.get_or_insert(reason);
                worker.end(id, now, actions);
            }),
            Event::Ready { worker, pid } => self.worker_ready(worker, pid, now, actions),
            Event::Finished { worker, attempt, result, marked } => {
                self.answered(worker, attempt, Ok(result), marked, now, actions);
            }
            Event::Failed { worker, attempt, error, marked } => {
                self.answered(worker, attempt, Err(error), marked, now, actions);
            }
            Event::GivenBack { worker, attempts } => self.given_back(worker, &attempts, actions),
            Event::NotSent { worker, attempt, error } => self.not_sent(worker, attempt, error, now, actions),
            Event::ChannelClosed { worker, garbage } => self.channel_closed(worker, garbage, now, actions),
            Event::Output { worker, stream, attempt, bytes } => {
                self.with_worker(worker, |worker| worker.printed(stream, attempt, &bytes));
                actions.push(Action::Report(PoolEvent::Output { attempt, stream, bytes }));
            }
            Event::OutputEnd { worker, stream, attempt } => {
                self.with_worker(worker, |worker| worker.read_to_the_end(stream, attempt));
                self.report_completed(worker, now, actions);
            }
            Event::OutputDrained { worker } => self.with_worker(worker, |worker| worker.output_drained = true),
            Event::Exited { worker, exit, peak_memory_kib, begun } => {
                self.exited(worker, ProcessExit { exit, peak_memory_kib, begun, at: now }, actions);
            }
            Event::Unkillable { pids } => {
                tracing::error!(?pids, "a task left processes of another user, which can't be ended");
            }
            Event::Stopped { worker, pid, signal } => self.stopped(worker, pid, signal, actions),
            Event::Continued { worker, pid } => self.continued(worker, pid, now, actions),
            Event::Reaped { worker } => self.reaped(worker, now),
            Event::GuardianLost { pid } => self.guardian_lost(pid, actions),
            Event::Tick => {}
        }
        self.apply_timeouts(now, actions);
        self.settle_dead_workers(now, actions);
        self.assign(now, actions);
    }

    /// Whether one of the workers may leave.
    fn has_spare(&self) -> bool {
        self.workers.values().filter(|worker| worker.is_usable()).count() > 1
    }

    /// When `Tick` is due if nothing happens before.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        let spare = self.has_spare();
        let others = self.next_ask_back().into_iter().chain(self.next_start());
        self.workers.values().filter_map(|worker| worker.next_tick(&self.rules, spare)).chain(others).min()
    }

    fn with_worker(&mut self, worker: WorkerId, change: impl FnOnce(&mut Worker)) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            change(worker);
        }
    }

    // ----- attempts -----

    fn submit(&mut self, attempts: Vec<Attempt>, actions: &mut Vec<Action>) {
        match &self.broken {
            None => self.queue.extend(attempts.into_iter().map(|attempt| Queued { attempt, losses_before_start: 0 })),
            Some(reason) => {
                let error = broken_error(reason);
                actions.extend(attempts.into_iter().map(|attempt| report_failed(attempt.id, error.clone())));
            }
        }
    }

    fn interrupt(&mut self, attempt: AttemptId, now: Instant, actions: &mut Vec<Action>) {
        if let Some(position) = self.queue.iter().position(|queued| queued.attempt.id == attempt) {
            self.queue.remove(position);
            actions.push(report_failed(attempt, TaskError::interrupted_before_start()));
        } else if let Some(&id) = self.assigned_to.get(&attempt)
            && let Some(worker) = self.workers.get_mut(&id)
            && let Some(assigned) = worker.assigned_mut(attempt)
            && matches!(assigned.interruption, Interruption::None)
        {
            assigned.interruption = Interruption::Requested(now);
            actions.push(Action::Interrupt { worker: id, attempt });
        }
    }

    /// Interrupts what each worker runs.
    pub(super) fn interrupt_running(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for (&id, worker) in &mut self.workers {
            if let Some(assigned) = worker.assigned.front_mut()
                && matches!(assigned.interruption, Interruption::None)
            {
                assigned.interruption = Interruption::Requested(now);
                actions.push(Action::Interrupt { worker: id, attempt: assigned.attempt.id });
            }
        }
    }

    /// Ends everything that is still there.
    pub(super) fn abort(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.closing = true;
        self.fail_queue(&closed_before_start(), actions);
        for (&id, worker) in &mut self.workers {
            worker.assigned.iter_mut().for_each(|assigned| assigned.interruption = Interruption::EndRequested);
            worker.end(id, now, actions);
        }
    }

    fn fail_queue(&mut self, error: &TaskError, actions: &mut Vec<Action>) {
        actions.extend(self.queue.drain(..).map(|queued| report_failed(queued.attempt.id, error.clone())));
    }

    /// Takes an attempt from the worker that has answered for it; `None` if it has answered before.
    fn take_answered(&mut self, id: WorkerId, attempt: AttemptId, now: Instant) -> Option<AssignedAttempt> {
        let worker = self.workers.get_mut(&id)?;
        let assigned = worker.take(attempt)?;
        self.prefetch.record(now.saturating_duration_since(worker.last_progress));
        worker.last_progress = now;
        Some(assigned)
    }

    /// The worker has answered: told at once if nothing that was printed is still to be read.
    fn answered(
        &mut self,
        id: WorkerId,
        attempt: AttemptId,
        answer: Result<Data, TaskError>,
        marked: bool,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(assigned) = self.take_answered(id, attempt, now) else { return };
        self.with_worker(id, |worker| worker.answered.push(AnsweredAttempt::new(assigned, answer, marked, now)));
        self.report_completed(id, now, actions);
    }

    fn not_sent(
        &mut self,
        id: WorkerId,
        attempt: AttemptId,
        error: TaskError,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        if self.take_answered(id, attempt, now).is_some() {
            self.assigned_to.remove(&attempt);
            actions.push(report_failed(attempt, error));
            self.with_worker(id, |worker| {
                worker.assigned_total -= 1;
                actions.extend(worker.report_first_started());
            });
        }
    }

    /// Reports the attempts of a worker whose output has been read, or has had its time, and then the one that it runs.
    fn report_completed(&mut self, id: WorkerId, now: Instant, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.answered.is_empty() {
            return;
        }
        let settled = worker.take_completed(now);
        self.report(settled, actions);
        self.with_worker(id, |worker| actions.extend(worker.report_first_started()));
    }

    fn report(&mut self, settled: Vec<(AttemptId, Result<Data, TaskError>)>, actions: &mut Vec<Action>) {
        for (attempt, answer) in settled {
            self.assigned_to.remove(&attempt);
            actions.push(Action::Report(PoolEvent::ended(attempt, answer)));
        }
    }

    fn given_back(&mut self, id: WorkerId, attempts: &[AttemptId], actions: &mut Vec<Action>) {
        self.with_worker(id, |worker| worker.assigned.iter_mut().for_each(|assigned| assigned.asked_back = false));
        for &attempt in attempts.iter().rev() {
            let Some(worker) = self.workers.get_mut(&id) else { return };
            let Some(assigned) = worker.take(attempt) else { continue };
            worker.assigned_total -= 1;
            self.assigned_to.remove(&attempt);
            if matches!(assigned.interruption, Interruption::None) {
                let losses_before_start = assigned.losses_before_start;
                self.requeue(assigned, losses_before_start, actions);
            } else {
                // The worker had forgotten it when the interrupt came, and will say nothing of it.
                actions.push(report_failed(attempt, TaskError::interrupted_before_start()));
            }
        }
        self.with_worker(id, |worker| actions.extend(worker.report_first_started()));
    }

    /// An attempt that no worker has begun waits again, before all others.
    fn requeue(&mut self, assigned: AssignedAttempt, losses_before_start: u8, actions: &mut Vec<Action>) {
        if assigned.start_reported {
            actions.push(Action::Report(PoolEvent::Requeued { attempt: assigned.attempt.id }));
        }
        self.queue.push_front(Queued { attempt: assigned.attempt, losses_before_start });
    }

    // ----- workers -----

    fn start_worker(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        self.workers.insert(id, Worker::new(now));
        actions.push(Action::Start(id));
    }

    fn worker_ready(&mut self, id: WorkerId, pid: u32, now: Instant, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        // One that is being ended, since it took too long, has not been started.
        if matches!(worker.state, WorkerState::Starting { .. }) && !worker.is_being_ended() {
            worker.state = WorkerState::Serving;
            worker.last_progress = now;
            self.ready = true;
            (self.failed_starts, self.retry_starts_at) = (0, None);
            worker.pid = Some(pid);
            if worker.exit.is_none() {
                actions.push(Action::Report(PoolEvent::WorkerStarted { pid }));
            }
        }
    }

    fn refused(&mut self, id: WorkerId, reason: String, fatal: bool, now: Instant, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.fault.get_or_insert_with(|| reason.clone());
        worker.channel_closed = true;
        worker.end(id, now, actions);
        if fatal {
            self.break_down(reason, actions);
        }
    }

    fn channel_closed(&mut self, id: WorkerId, garbage: Option<String>, now: Instant, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.channel_closed = true;
        if worker.fault.is_none() {
            worker.fault = garbage;
        }
        if !matches!(worker.state, WorkerState::Leaving { .. }) {
            // A worker that can't be heard is of no use, whatever it still does.
            worker.end(id, now, actions);
        }
    }

    fn exited(&mut self, id: WorkerId, exit: ProcessExit, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.exit = Some(exit);
        actions.push(Action::DrainOutput(id));
        if let Some(pid) = worker.pid {
            actions.push(Action::Report(PoolEvent::WorkerEnded { pid, exit: exit.exit }));
        }
    }

    fn reaped(&mut self, id: WorkerId, now: Instant) {
        self.with_worker(id, |worker| {
            // A process that was never started is gone without an exit report, and had a channel and output no more
            // than that. What another has said may still be on its way.
            if worker.exit.is_none() {
                worker.exit = Some(ProcessExit { exit: Exit::Unknown, peak_memory_kib: 0, begun: None, at: now });
                worker.channel_closed = true;
            }
            worker.output_drained |= worker.pid.is_none();
            worker.reaped = true;
        });
        if self.workers.get(&id).is_some_and(|worker| matches!(worker.state, WorkerState::Settled)) {
            self.workers.remove(&id);
        }
    }

    fn guardian_lost(&mut self, pid: u32, actions: &mut Vec<Action>) {
        let reason = format!(
            "the guardian (pid {pid}) has ended, and with it every worker: it was killed from outside, or the machine \
             ran out of memory"
        );
        self.lose_everything(reason, actions);
    }

    /// Nothing more will be heard of any worker: what has been answered is told, the rest is lost.
    pub(super) fn lose_everything(&mut self, reason: String, actions: &mut Vec<Action>) {
        self.break_down(reason.clone(), actions);
        let answered: Vec<_> = self.workers.values_mut().flat_map(Worker::take_all_answered).collect();
        self.report(answered, actions);
        let error = broken_error(&reason);
        actions.extend(self.assigned_to.drain().map(|(attempt, _)| report_failed(attempt, error.clone())));
        self.workers.clear();
    }

    /// From now on nothing can run here.
    fn break_down(&mut self, reason: String, actions: &mut Vec<Action>) {
        if self.broken.is_none() {
            self.fail_queue(&broken_error(&reason), actions);
            actions.push(Action::Report(PoolEvent::Broken { reason: reason.clone() }));
            self.broken = Some(reason);
        }
    }
}

fn report_failed(attempt: AttemptId, error: TaskError) -> Action {
    Action::Report(PoolEvent::Failed { attempt, error })
}

fn broken_error(reason: &str) -> TaskError {
    TaskError::new(ErrorKind::WorkerLost, reason)
}
