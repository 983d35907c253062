//! [`CheckedPool`]: a pool of fake workers that records all events, actions and reports, and checks after each event what
//! must be true.
//!
//! The checks do not read the dispatcher's state, with two exceptions that are not reported: whether a worker is
//! settled, and whether the dispatcher starts no workers for a while.

use std::collections::{BTreeMap, BTreeSet};

use super::fake_worker::{FakeWorker, answer_of};
use super::*;

/// The record of an attempt.
#[derive(Default)]
pub(super) struct AttemptRecord {
    /// The worker that has it.
    assigned: Option<WorkerId>,
    /// How often it was assigned to a worker.
    times_assigned: u32,
    asked_back: bool,
    pub(super) interrupted: bool,
    /// The pid of the worker, once its start was reported.
    runs: Option<u32>,
    /// The worker's answer, once it has arrived.
    answered: Option<Answer>,
    pub(super) ended: bool,
}

#[derive(Clone, Copy)]
struct Answer {
    is_result: bool,
    from: Option<WorkerId>,
    at: Instant,
}

/// The record of a worker.
#[derive(Default)]
struct WorkerRecord {
    ready: bool,
    /// How many attempts were assigned to it, without those that it gave back.
    assigned_total: usize,
    /// It was dismissed or is being ended, or an event has arrived after which it can run no attempt.
    ending: bool,
    /// A signal has stopped it.
    stopped: bool,
    /// When the action `End` came.
    end_requested: Option<Instant>,
    /// When its exit report arrived.
    exited: Option<Instant>,
}

pub(super) struct CheckedPool {
    pub(super) dispatcher: Dispatcher,
    max_workers: usize,
    max_tasks: usize,
    pub(super) now: Instant,
    pub(super) processes: BTreeMap<WorkerId, FakeWorker>,
    known: BTreeMap<WorkerId, WorkerRecord>,
    pub(super) attempts: BTreeMap<AttemptId, AttemptRecord>,
    pub(super) begun: BTreeSet<AttemptId>,
    broken: bool,
    pub(super) closing: bool,
}

impl CheckedPool {
    pub(super) fn open(rules: Rules) -> CheckedPool {
        let mut pool = CheckedPool {
            max_workers: rules.max_workers,
            max_tasks: rules.max_tasks,
            dispatcher: Dispatcher::new(rules),
            now: Instant::now(),
            processes: BTreeMap::new(),
            known: BTreeMap::new(),
            attempts: BTreeMap::new(),
            begun: BTreeSet::new(),
            broken: false,
            closing: false,
        };
        let mut actions = Vec::new();
        pool.dispatcher.open(pool.now, &mut actions);
        pool.perform(actions);
        pool
    }

    pub(super) fn on(&mut self, event: Event) {
        self.note(&event);
        let mut actions = Vec::new();
        self.dispatcher.on(event, self.now, &mut actions);
        let not_sent = self.perform(actions);
        for (worker, attempt) in not_sent {
            let error = TaskError::new(ErrorKind::BadInput, "too deep");
            self.on(Event::NotSent { worker, attempt, error });
        }
        self.check();
    }

    // ----- events -----

    fn note(&mut self, event: &Event) {
        let set_ending =
            |pool: &mut CheckedPool, worker: &WorkerId| pool.known.entry(*worker).or_default().ending = true;
        match event {
            Event::Stopped { worker, .. } => self.known.entry(*worker).or_default().stopped = true,
            Event::Continued { worker, .. } => self.known.entry(*worker).or_default().stopped = false,
            // `Ready` of a worker that is being ended comes too late: the worker counts as a failed start.
            Event::Ready { worker, .. } => {
                let known = self.known.entry(*worker).or_default();
                known.ready |= known.end_requested.is_none();
            }
            Event::ChannelClosed { worker, .. } | Event::Refused { worker, .. } => set_ending(self, worker),
            Event::Exited { worker, .. } => {
                set_ending(self, worker);
                self.known.entry(*worker).or_default().exited = Some(self.now);
            }
            Event::Reaped { worker } => set_ending(self, worker),
            Event::GivenBack { worker, attempts } => {
                let of_worker = self.attempts.values_mut().filter(|record| record.assigned == Some(*worker));
                of_worker.for_each(|record| record.asked_back = false);
                for attempt in attempts {
                    let record = self.attempts.get_mut(attempt).expect("it was submitted");
                    self.known.entry(*worker).or_default().assigned_total -=
                        usize::from(record.assigned == Some(*worker));
                    record.assigned = record.assigned.filter(|holder| holder != worker);
                }
            }
            Event::NotSent { worker, .. } => self.known.entry(*worker).or_default().assigned_total -= 1,
            Event::GuardianLost { .. } => (self.broken, self.known) = (true, BTreeMap::new()),
            _ => {}
        }
        if let Some(attempt) = answer_of(event) {
            let record = self.attempts.get_mut(&attempt).expect("it was submitted");
            // An answer after the end of its attempt comes too late.
            if !record.ended {
                let is_result = matches!(event, Event::Finished { .. });
                record.answered.get_or_insert(Answer { is_result, from: record.assigned, at: self.now });
            }
            record.assigned = None;
        }
    }

    // ----- actions and reports -----

    /// Performs the actions, and returns the attempts that could not be sent.
    fn perform(&mut self, actions: Vec<Action>) -> Vec<(WorkerId, AttemptId)> {
        let mut not_sent = Vec::new();
        // Attempts that fail because the pool is broken are reported before `Broken`.
        self.broken |= actions.iter().any(|action| matches!(action, Action::Report(PoolEvent::Broken { .. })));
        for action in actions {
            match action {
                Action::Start(worker) => {
                    self.processes.insert(worker, FakeWorker::new(worker));
                    self.known.insert(worker, WorkerRecord::default());
                }
                Action::Run { worker, attempts } => {
                    let (refused, sent): (Vec<_>, Vec<_>) =
                        attempts.into_iter().map(|it| it.id).partition(|id| id.0.is_multiple_of(13));
                    self.give(worker, &refused);
                    self.give(worker, &sent);
                    not_sent.extend(refused.into_iter().map(|attempt| (worker, attempt)));
                    self.process(worker, |process| process.run(sent));
                }
                Action::AskBack { worker, attempts } => {
                    for attempt in &attempts {
                        self.attempts.get_mut(attempt).expect("it was submitted").asked_back = true;
                    }
                    self.process(worker, |process| process.ask_back(attempts));
                }
                Action::Interrupt { worker, attempt } => self.process(worker, |process| process.interrupt(attempt)),
                Action::Dismiss(worker) => {
                    assert!(!self.has_work(worker), "a worker is let go that has attempts");
                    self.known.entry(worker).or_default().ending = true;
                    self.process(worker, FakeWorker::leave);
                }
                Action::Signal(worker, _) => self.process(worker, FakeWorker::terminate),
                Action::End(worker) => {
                    self.check_end(worker);
                    let known = self.known.entry(worker).or_default();
                    known.ending = true;
                    known.end_requested.get_or_insert(self.now);
                    self.process(worker, |process| process.die(true));
                }
                Action::DrainOutput(worker) => self.process(worker, FakeWorker::drain_output),
                Action::Report(event) => self.handle_report(event),
            }
        }
        not_sent
    }

    /// A worker is ended for a reason: it can run no attempt, it was never ready, or an attempt has to end.
    fn check_end(&self, worker: WorkerId) {
        let known = &self.known[&worker];
        let mut assigned = self.attempts.values().filter(|record| record.assigned == Some(worker));
        let reason =
            known.ending || !known.ready || known.stopped || self.closing || assigned.any(|record| record.interrupted);
        assert!(reason, "worker {worker:?} is ended without a reason");
    }

    pub(super) fn process(&mut self, worker: WorkerId, ask: impl FnOnce(&mut FakeWorker)) {
        self.processes.get_mut(&worker).map(ask);
    }

    fn give(&mut self, worker: WorkerId, attempts: &[AttemptId]) {
        let known = &self.known[&worker];
        let waits = known.ready && !known.ending && !known.stopped;
        assert!(waits, "attempts are assigned to workers that wait for them");
        for attempt in attempts {
            let record = self.attempts.get_mut(attempt).expect("it was submitted");
            assert!(!record.ended, "{attempt} is over");
            assert!(!record.interrupted, "{attempt} was to end, and is to run");
            (record.assigned, record.asked_back) = (Some(worker), false);
            record.times_assigned += 1;
        }
        let known = self.known.entry(worker).or_default();
        known.assigned_total += attempts.len();
        let may_be_replaced = self.dispatcher.retry_starts_at.is_none();
        assert!(
            known.assigned_total <= self.max_tasks || !may_be_replaced,
            "{worker:?} is assigned more attempts than a worker may run"
        );
    }

    fn handle_report(&mut self, event: PoolEvent) {
        match event {
            PoolEvent::Started { attempt, pid } => {
                let is_free = self.attempts.values().all(|record| record.runs != Some(pid));
                assert!(is_free, "{attempt} starts while its worker runs another");
                let record = self.attempts.get_mut(&attempt).expect("it was submitted");
                assert!(!record.ended, "{attempt} is over, and starts");
                assert!(record.runs.replace(pid).is_none(), "{attempt} has started twice");
            }
            PoolEvent::Requeued { attempt } => {
                let record = self.attempts.get_mut(&attempt).expect("it was submitted");
                assert!(record.runs.take().is_some(), "{attempt} had not started");
                assert!(!self.begun.contains(&attempt), "{attempt} has begun, and waits again");
                record.assigned = None;
            }
            PoolEvent::Finished { attempt, .. } => {
                self.end(attempt);
                let answered = self.attempts[&attempt].answered;
                assert!(answered.is_some_and(|answer| answer.is_result), "{attempt} has no result");
            }
            PoolEvent::Failed { attempt, error } => {
                self.end(attempt);
                self.check_failure(attempt, &error);
            }
            PoolEvent::Broken { .. }
            | PoolEvent::Output { .. }
            | PoolEvent::WorkerStarted { .. }
            | PoolEvent::Blocked { .. }
            | PoolEvent::ProcessStopped { .. }
            | PoolEvent::ProcessContinued { .. }
            | PoolEvent::WorkerEnded { .. } => {}
        }
    }

    fn end(&mut self, attempt: AttemptId) {
        let record = self.attempts.get_mut(&attempt).expect("it was submitted");
        assert!(!std::mem::replace(&mut record.ended, true), "{attempt} ends twice");
        record.runs = None;
    }

    /// A failure has a reason: an answer, an interrupt, or the death of a worker that had started the attempt and not
    /// answered.
    fn check_failure(&mut self, attempt: AttemptId, error: &TaskError) {
        let record = self.attempts.get_mut(&attempt).expect("it was submitted");
        let (assigned, times_assigned) = (record.assigned.take(), record.times_assigned);
        if self.broken || self.closing && error.kind == ErrorKind::Stopped {
            return;
        }
        let had_result = record.answered.is_some_and(|answer| answer.is_result);
        assert!(!had_result, "{attempt} had a result, and fails: {error}");
        if record.answered.is_some() || record.interrupted {
            return;
        }
        assert_eq!(error.kind, ErrorKind::WorkerLost, "{attempt} fails without a reason: {error}");
        if assigned.is_some_and(|worker| self.was_given_up(worker)) {
            return;
        }
        assert!(self.begun.contains(&attempt) || times_assigned >= 3, "{attempt} had not begun, and is lost");
        if let Some(worker) = assigned {
            let since = self.known[&worker].exited.expect("its worker has ended");
            let late = self.now >= since + Duration::from_secs(2);
            assert!(late || !self.processes[&worker].has_answered(attempt), "{attempt} is lost, and its answer comes");
        }
    }

    /// Whether the dispatcher has given a worker up, because its end took too long.
    fn was_given_up(&self, worker: WorkerId) -> bool {
        let known = &self.known[&worker];
        let overdue = known.end_requested.is_some_and(|at| at + Duration::from_secs(10) <= self.now);
        known.exited.is_none() && overdue
    }

    // ----- checks after each event -----

    fn check(&self) {
        if self.broken {
            return assert!(
                self.attempts.values().all(|it| it.ended || it.assigned.is_some() || it.answered.is_some())
            );
        }
        assert!(self.dispatcher.workers() <= self.max_workers, "more workers than allowed");
        let open = || self.attempts.iter().filter(|(_, record)| !record.ended && record.answered.is_none());
        let waiting = open().find(|(_, record)| record.assigned.is_none_or(|worker| self.is_settled(worker)));
        let idle = self
            .known
            .iter()
            .find(|(worker, known)| known.ready && !known.ending && !known.stopped && !self.has_work(**worker));
        if let Some((attempt, _)) = waiting {
            assert!(idle.is_none(), "{attempt} waits, and worker {:?} is idle", idle.map(|(worker, _)| worker));
            // A worker that could not be started is replaced when it is settled, since that may break the pool.
            let comes = |(worker, known): (&WorkerId, &WorkerRecord)| {
                !known.ending || !known.ready && !self.is_settled(*worker)
            };
            let full = self.dispatcher.workers() == self.max_workers;
            assert!(full || self.known.iter().any(comes), "{attempt} waits, and no worker is there or started");
        } else if idle.is_some() && self.is_held_up() {
            let soon = self.now + Duration::from_millis(1);
            let asks = self.dispatcher.next_tick().is_some_and(|at| at <= soon);
            assert!(asks, "attempts wait behind others while a worker is idle, and are not asked back");
        }
        self.check_settling();
    }

    /// An answer is reported within a few seconds, even if its output is missing, unless its worker dies meanwhile.
    fn check_settling(&self) {
        for (attempt, record) in self.attempts.iter().filter(|(_, record)| !record.ended) {
            if let Some(Answer { from: Some(worker), at, .. }) = record.answered
                && self.known[&worker].exited.is_none()
            {
                assert!(self.now < at + Duration::from_secs(5), "{attempt} was answered, and is not told");
            }
        }
    }

    /// Whether the worker is settled: attempts that it had not started, and whose start was not reported, wait again
    /// without a report.
    fn is_settled(&self, worker: WorkerId) -> bool {
        let settled = |worker: &Worker| matches!(worker.state, WorkerState::Settled);
        self.dispatcher.workers.get(&worker).is_none_or(settled)
    }

    fn has_work(&self, worker: WorkerId) -> bool {
        self.attempts.values().any(|record| record.assigned == Some(worker) && !record.ended)
    }

    /// Whether some worker has attempts behind the first that were not asked back.
    fn is_held_up(&self) -> bool {
        self.known.iter().filter(|(_, known)| known.ready && !known.ending && !known.stopped).any(|(worker, _)| {
            let of_worker = || self.attempts.values().filter(|record| record.assigned == Some(*worker));
            // Until the output of the attempt before has been read, the start of the first of them is not reported.
            let first = usize::from(of_worker().all(|record| record.runs.is_none()));
            of_worker().filter(|record| record.runs.is_none() && !record.asked_back).count() > first
        })
    }
}
