//! Assigning: queued attempts are assigned to workers, workers are started for the rest, attempts that wait behind
//! others are asked back for idle workers, and workers that have run as many attempts as they may are replaced.

use std::time::{Duration, Instant};

use super::message::{Action, WorkerId};
use super::worker::{AssignedAttempt, Worker, WorkerState};
use super::{Dispatcher, QueuedAttempt, broken_error};

/// How long a worker may run one attempt before the attempts behind it are asked back for another worker: an idle one,
/// or one that is then started.
const ASK_BACK_AFTER: Duration = Duration::from_millis(1);

impl Dispatcher {
    /// Assigns queued attempts, starts workers for the rest, asks attempts back, dismisses workers.
    pub(super) fn assign(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.continue_exit(now, actions);
        if let Some(reason) = &self.broken
            && !self.workers.values().any(Worker::is_usable)
        {
            // A worker gave these attempts back and has ended since.
            self.fail_queue(&broken_error(&reason.clone()), actions);
        }
        self.end_stopped_idle_workers(now, actions);
        self.dismiss_at_task_limit(now, actions);
        if !self.queue.is_empty() {
            self.assign_queued(now, actions);
            self.start_for_queue(now, actions);
        }
        if !self.ready && !self.closing && !self.workers.values().any(Worker::is_usable) {
            // The thread that opens the pool waits for a worker, and has submitted nothing that would start one.
            self.start_if_allowed(now, actions);
        }
        if let Some((id, since)) = self.ask_back_candidate()
            && since + ASK_BACK_AFTER <= now
            && let Some(worker) = self.workers.get_mut(&id)
        {
            let attempts = worker.ask_back();
            actions.push(Action::AskBack { worker: id, attempts });
        }
        if self.closing && self.queue.is_empty() {
            for (&id, worker) in &mut self.workers {
                match worker.state {
                    WorkerState::Starting { .. } => worker.discard(id, now, actions),
                    _ if worker.is_idle() => worker.dismiss(id, now, actions),
                    _ => {}
                }
            }
        }
    }

    /// How many attempts may still be assigned to a worker before it is replaced; no limit while no other worker can be
    /// started.
    fn remaining_tasks(&self, worker: &Worker) -> usize {
        if self.retry_starts_at.is_some() {
            usize::MAX
        } else {
            self.rules.max_tasks.saturating_sub(worker.assigned_total)
        }
    }

    /// Dismisses workers that have run as many attempts as they may. Others are started when attempts need them.
    fn dismiss_at_task_limit(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let spent = |worker: &Worker| worker.is_idle() && self.remaining_tasks(worker) == 0;
        let spent: Vec<WorkerId> = self.workers.iter().filter(|(_, worker)| spent(worker)).map(|(&id, _)| id).collect();
        for id in spent {
            self.with_worker(id, |worker| worker.dismiss(id, now, actions));
        }
    }

    /// Shares the queue among the workers that may have more attempts, idle workers first. While attempts are short, a
    /// busy worker may have more if it has at most half of the prefetch depth and does not seem to run a long attempt.
    fn assign_queued(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let depth = self.prefetch.depth();
        let wants = |worker: &Worker| {
            let moves = worker.assigned.is_empty() || worker.last_progress + ASK_BACK_AFTER > now;
            worker.is_serving() && self.remaining_tasks(worker) > 0 && worker.assigned.len() <= depth / 2 && moves
        };
        let mut candidates: Vec<(WorkerId, usize)> = self
            .workers
            .iter()
            .filter(|(_, worker)| wants(worker))
            .map(|(&id, worker)| (id, worker.assigned.len()))
            .collect();
        candidates.sort_by_key(|&(_, assigned)| assigned > 0);
        let share = self.queue.len().div_ceil(candidates.len().max(1)).clamp(1, depth);
        for (id, assigned) in candidates {
            self.assign_to(id, share.min(depth - assigned), now, actions);
        }
    }

    fn assign_to(&mut self, id: WorkerId, count: usize, now: Instant, actions: &mut Vec<Action>) {
        let left = self.workers.get(&id).map_or(0, |worker| self.remaining_tasks(worker));
        let count = count.min(self.queue.len()).min(left);
        let Some(worker) = self.workers.get_mut(&id).filter(|_| count > 0) else { return };
        if worker.assigned.is_empty() {
            worker.last_progress = now;
        }
        let mut attempts = Vec::with_capacity(count);
        for QueuedAttempt { attempt, losses_before_start } in self.queue.drain(..count) {
            self.assigned_to.insert(attempt.id, id);
            worker.assigned.push_back(AssignedAttempt::new(attempt.clone(), losses_before_start));
            worker.assigned_total += 1;
            attempts.push(attempt);
        }
        actions.extend(worker.report_first_started());
        actions.push(Action::Run { worker: id, attempts });
    }

    fn start_for_queue(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for _ in self.starting()..self.queue.len() {
            if !self.start_if_allowed(now, actions) {
                break;
            }
        }
    }

    fn starting(&self) -> usize {
        self.workers.values().filter(|worker| matches!(worker.state, WorkerState::Starting { .. })).count()
    }

    /// Starts a worker unless there are as many as there may be, or the pool is broken. Returns whether it did.
    fn start_if_allowed(&mut self, now: Instant, actions: &mut Vec<Action>) -> bool {
        let allowed = self.may_start() && !self.waits_to_retry_starts(now);
        if allowed {
            self.start_worker(now, actions);
        }
        allowed
    }

    fn may_start(&self) -> bool {
        self.workers.len() < self.rules.max_workers && self.broken.is_none()
    }

    /// Whether no worker is started for a while, because starts have failed and other workers serve.
    fn waits_to_retry_starts(&self, now: Instant) -> bool {
        self.retry_starts_at.is_some_and(|at| now < at) && self.workers.values().any(Worker::is_serving)
    }

    /// When a worker is to be started for the queue, if none may be started now.
    pub(super) fn next_start(&self) -> Option<Instant> {
        self.retry_starts_at.filter(|_| self.may_start() && self.starting() < self.queue.len())
    }

    /// When attempts are to be asked back if no event comes before.
    pub(super) fn next_ask_back(&self) -> Option<Instant> {
        self.ask_back_candidate().map(|(_, since)| since + ASK_BACK_AFTER)
    }

    /// The worker with the most attempts behind its running one, and since when it runs that one. `None` unless another
    /// worker is idle or may be started, and the queue is empty.
    fn ask_back_candidate(&self) -> Option<(WorkerId, Instant)> {
        let another =
            (self.may_start() && self.retry_starts_at.is_none()) || self.workers.values().any(Worker::is_idle);
        if !self.queue.is_empty() || !another {
            return None;
        }
        let behind = |worker: &Worker| if worker.is_serving() { worker.can_ask_back() } else { 0 };
        let (&id, worker) = self.workers.iter().max_by_key(|(_, worker)| behind(worker))?;
        (behind(worker) > 0).then_some((id, worker.last_progress))
    }
}
