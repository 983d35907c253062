//! What the death of a worker means for its attempts, and for the pool when the worker was never ready.

use std::time::{Duration, Instant};

use pushflow_model::TaskError;

use super::message::{Action, MAX_FAILED_STARTS, WorkerId};
use super::worker::{Interruption, Worker, WorkerState};
use super::{Dispatcher, broken_error, report_failed};

/// How long no worker is started after `MAX_FAILED_STARTS`, while others serve.
const RETRY_STARTS_AFTER: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Settles the attempts of dead workers whose last messages and output are known.
    pub(super) fn settle_dead_workers(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let dead: Vec<WorkerId> =
            self.workers.iter().filter(|(_, worker)| worker.is_exit_known(now)).map(|(&id, _)| id).collect();
        for id in dead {
            let Some(mut worker) = self.workers.remove(&id) else { continue };
            let before = std::mem::replace(&mut worker.state, WorkerState::Settled);
            self.report(worker.take_all_answered(), actions);
            self.settle_assigned(&mut worker, actions);
            let failed_start = matches!(before, WorkerState::Starting { .. }).then(|| worker.start_error());
            if !worker.reaped {
                self.workers.insert(id, worker);
            }
            if let Some(reason) = failed_start
                && !(self.closing && self.queue.is_empty())
            {
                self.start_failed(reason, now, actions);
            }
        }
    }

    /// Counts a worker that ended before it was ready. While other workers serve, the pool goes on with those and tries
    /// again later: the machine may allow no more processes now.
    fn start_failed(&mut self, reason: String, now: Instant, actions: &mut Vec<Action>) {
        self.failed_starts += 1;
        if self.failed_starts < MAX_FAILED_STARTS {
            return;
        }
        let serving = self.workers.values().filter(|worker| worker.is_serving()).count();
        if serving == 0 {
            return self.break_down(reason, actions);
        }
        if self.failed_starts == MAX_FAILED_STARTS {
            tracing::warn!(
                serving,
                reason,
                "no further worker can be started: the pool goes on with those that it has"
            );
        }
        self.retry_starts_at = Some(now + RETRY_STARTS_AFTER);
    }

    /// Fails the attempts that a dead worker had started, and puts the others back at the head of the queue.
    fn settle_assigned(&mut self, worker: &mut Worker, actions: &mut Vec<Action>) {
        let begun = worker.begun();
        let not_begun = worker.assigned.split_off(begun);
        for assigned in std::mem::take(&mut worker.assigned) {
            let error = worker.lost_error(&assigned);
            self.assigned_to.remove(&assigned.attempt.id);
            actions.push(report_failed(assigned.attempt.id, error));
        }
        for assigned in not_begun.into_iter().rev() {
            let id = assigned.attempt.id;
            self.assigned_to.remove(&id);
            // If the worker had started another attempt, that one may have ended it: the death does not count against
            // the attempts behind it.
            let times = assigned.losses_before_start + u8::from(begun == 0);
            if !matches!(assigned.interruption, Interruption::None) {
                actions.push(report_failed(id, TaskError::interrupted_before_start()));
            } else if let Some(reason) = &self.broken {
                actions.push(report_failed(id, broken_error(reason)));
            } else if times >= self.rules.max_losses_before_start {
                let mut error = worker.lost_error(&assigned);
                if times > 1 {
                    let count = format!("; it was the {times}. worker in a row to end before it began this attempt");
                    error.message += &count;
                }
                actions.push(report_failed(id, error));
            } else {
                self.requeue(assigned, times, actions);
            }
        }
    }
}
