//! What it means that a signal has stopped a worker (SIGSTOP, say), or a process that works for it.

use std::time::Instant;

use super::Dispatcher;
use super::message::{Action, WorkerId};
use crate::attempt::PoolEvent;

impl Dispatcher {
    /// Attempts that wait for what was stopped end when that goes on or is ended: whoever waits for them is told.
    pub(super) fn stopped(&mut self, id: WorkerId, pid: u32, signal: i32, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.stopped |= worker.pid == Some(pid);
        let waiting = worker.assigned.iter().map(|assigned| assigned.attempt.id);
        actions.extend(waiting.map(|attempt| Action::Report(PoolEvent::ProcessStopped { attempt, pid, signal })));
    }

    /// A worker that has nothing to run and is stopped would never be given anything again.
    pub(super) fn end_stopped_idle_workers(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for (&id, worker) in self.workers.iter_mut().filter(|(_, worker)| worker.stopped && worker.assigned.is_empty())
        {
            worker.fault.get_or_insert_with(|| "it was stopped by a signal".to_owned());
            worker.end(id, now, actions);
        }
    }

    pub(super) fn continued(&mut self, id: WorkerId, pid: u32, now: Instant, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.pid == Some(pid) {
            worker.stopped = false;
            worker.last_progress = now;
        }
        let waiting = worker.assigned.iter().map(|assigned| assigned.attempt.id);
        actions.extend(waiting.map(|attempt| Action::Report(PoolEvent::ProcessContinued { attempt, pid })));
    }
}
