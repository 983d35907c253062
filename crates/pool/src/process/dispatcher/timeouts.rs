//! Timeouts of workers: of their start, of the steps of an interruption, of their leaving, of their idleness, and of
//! their end.

use std::time::Instant;

use nix::sys::signal::Signal;

use super::Dispatcher;
use super::message::{Action, WorkerId};
use super::worker::{Interruption, Worker, WorkerState};

impl Dispatcher {
    /// Takes the step of every timeout that is due.
    pub(super) fn apply_timeouts(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let spare = self.has_spare();
        let due = |worker: &Worker| worker.next_tick(&self.rules, spare).is_some_and(|due| due <= now);
        let ids: Vec<WorkerId> = self.workers.iter().filter(|(_, worker)| due(worker)).map(|(&id, _)| id).collect();
        for id in ids {
            let spare = self.has_spare();
            let Some(worker) = self.workers.get_mut(&id) else { continue };
            if worker.is_overdue(now) {
                match worker.reaped {
                    false => tracing::error!(pid = worker.pid, "a worker can't be ended and is left behind"),
                    true => tracing::error!(pid = worker.pid, "what a worker printed before its end can't be read"),
                }
                worker.give_up(now);
                if matches!(worker.state, WorkerState::Settled) {
                    self.workers.remove(&id);
                }
                continue;
            }
            match worker.state {
                WorkerState::Starting { .. } => {
                    worker.fault.get_or_insert_with(|| self.rules.not_ready());
                    worker.end(id, now, actions);
                }
                WorkerState::Serving if spare && worker.is_long_idle(&self.rules, now) => {
                    worker.dismiss(id, now, actions)
                }
                WorkerState::Serving => match worker.escalate(&self.rules, now) {
                    Some(Interruption::TermSent(_)) => actions.push(Action::Signal(id, Signal::SIGTERM)),
                    Some(Interruption::EndRequested) => worker.end(id, now, actions),
                    _ => {}
                },
                WorkerState::Leaving { .. } => worker.end(id, now, actions),
                WorkerState::Settled => {}
            }
            self.report_completed(id, now, actions);
        }
    }
}
