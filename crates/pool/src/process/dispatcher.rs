//! The dispatcher: a pure state machine that assigns attempts to workers and decides what the end of a worker means.
//!
//! The dispatcher owns no process, thread, clock or channel. [`Dispatcher::on`] takes an event and its time, and
//! returns actions. The engine (`engine.rs`) performs them.
//!
//! # The states of a worker
//! - *starting*: from the action `Start` until the event `Ready`. A worker that takes too long to start is ended.
//! - *serving*: the worker has attempts to run, in the order of their assignment, or is idle. While a signal has
//!   stopped the worker (`stop.rs`), nothing is assigned to it.
//! - *leaving*: the dispatcher closed the worker's channel or asked for the end of its process tree, because the pool
//!   closes, the worker was idle for long, or it has run as many attempts as a worker may.
//! - *settled*: the worker's process has exited, its channel is closed (or has had its time to be read to its end), its
//!   output has been read, and each of its attempts was reported or queued again. The worker is removed when no process
//!   of its tree is left.
//!
//! # The states of an attempt
//! - *queued*.
//! - *assigned* to a worker. While attempts are short (`prefetch.rs`), a worker is assigned several at a time, since
//!   most of the cost of a small task is to wake the worker. When another worker is idle, attempts that the first
//!   worker has not started are asked back. An interrupted attempt has its grace once it has started; then the worker's
//!   process group gets SIGTERM, and a moment later the worker's process tree is ended.
//! - *answered*: the worker has sent the answer, but the output of the attempt has not been read to its end. The report
//!   waits for the output a moment, so that it comes last, and so that the report of a failure holds the last lines.
//! - *reported*, exactly once.
//!
//! # The end of the pool
//! A close lets every submitted attempt run to its end. The exit of the process that has the pool (`exit.rs`) drops the
//! attempts that have not started; those that have are waited for or ended, as the policy of the pool says. An abort
//! ends everything now. A worker that can't be ended (the guardian is stopped, or the process hangs in the kernel) is
//! given up after a while.
//!
//! # The death of a worker
//! A worker writes the attempt that it starts into memory that outlives the worker, and its unsent answers before that.
//! So after the worker's death it is known which attempts had started and had no answer: those are lost with the
//! worker. Attempts that had not started return to the head of the queue, without spending a try. But an attempt whose
//! workers keep dying before they start it is lost too. Workers that die before they are ready are counted: after a few
//! in a row the pool is broken, since it would start workers for ever. While other workers serve, the pool goes on with
//! those, and tries to start workers again once a second.

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
    queue: VecDeque<QueuedAttempt>,
    /// The worker of each attempt that is assigned or answered.
    assigned_to: HashMap<AttemptId, WorkerId>,
    prefetch: PrefetchDepth,
    failed_starts: u32,
    /// While other workers serve: when a worker may be started again after failed starts.
    retry_starts_at: Option<Instant>,
    broken: Option<String>,
    closing: bool,
    exit_mode: ExitMode,
    ready: bool,
}

/// What the exit of the process that has the pool does to running attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExitMode {
    /// The process does not exit.
    No,
    /// Running attempts are waited for.
    Wait,
    /// Workers with running attempts get SIGTERM, and the attempts get their grace.
    Terminate,
}

/// An attempt that waits for a worker.
struct QueuedAttempt {
    attempt: Attempt,
    /// How many workers have died with the attempt before they started it.
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

    /// Starts the first worker; without scaling, all workers.
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

    /// The reason, if the pool is broken.
    pub(super) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Whether messages may still be sent to this worker.
    pub(super) fn accepts_messages(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(Worker::is_usable)
    }

    /// Whether the pool was closed, and no worker and no attempt is left.
    pub(super) fn is_over(&self) -> bool {
        self.closing && self.workers.is_empty() && self.queue.is_empty()
    }

    /// Handles an event, and adds the actions that follow from it.
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

    /// Whether a worker may leave without being the last one.
    fn has_spare(&self) -> bool {
        self.workers.values().filter(|worker| worker.is_usable()).count() > 1
    }

    /// When `Tick` is due if no event comes before.
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
            None => {
                self.queue.extend(attempts.into_iter().map(|attempt| QueuedAttempt { attempt, losses_before_start: 0 }))
            }
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

    /// Interrupts the attempt that each worker runs.
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

    /// Fails the queued attempts and ends every worker.
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

    /// Takes an attempt from the worker that has sent its answer; `None` if an answer came before.
    fn take_answered(&mut self, id: WorkerId, attempt: AttemptId, now: Instant) -> Option<AssignedAttempt> {
        let worker = self.workers.get_mut(&id)?;
        let assigned = worker.take(attempt)?;
        self.prefetch.record(now.saturating_duration_since(worker.last_progress));
        worker.last_progress = now;
        Some(assigned)
    }

    /// Handles the answer for an attempt. It is reported at once if the attempt's output has been read to its end.
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

    /// Reports the answered attempts of a worker whose output has been read or has had its time, and then the start of
    /// the attempt that the worker runs.
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
                // The worker had given the attempt back before the interrupt arrived, so no answer will come.
                actions.push(report_failed(attempt, TaskError::interrupted_before_start()));
            }
        }
        self.with_worker(id, |worker| actions.extend(worker.report_first_started()));
    }

    /// Puts an attempt that no worker has started before all others in the queue.
    fn requeue(&mut self, assigned: AssignedAttempt, losses_before_start: u8, actions: &mut Vec<Action>) {
        if assigned.start_reported {
            actions.push(Action::Report(PoolEvent::Requeued { attempt: assigned.attempt.id }));
        }
        self.queue.push_front(QueuedAttempt { attempt: assigned.attempt, losses_before_start });
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
        // A worker that is being ended because it took too long counts as not started.
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
            // No answer of this worker could arrive.
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
            // Without an exit report, the process was never started, so it had neither channel nor output. Messages of
            // a process that exited may still be on their way.
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

    /// No message of any worker will arrive any more: the answered attempts are reported, all others are lost.
    pub(super) fn lose_everything(&mut self, reason: String, actions: &mut Vec<Action>) {
        self.break_down(reason.clone(), actions);
        let answered: Vec<_> = self.workers.values_mut().flat_map(Worker::take_all_answered).collect();
        self.report(answered, actions);
        let error = broken_error(&reason);
        actions.extend(self.assigned_to.drain().map(|(attempt, _)| report_failed(attempt, error.clone())));
        self.workers.clear();
    }

    /// The pool can't run attempts any more: queued and later ones fail.
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
