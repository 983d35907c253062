//! Workers, and processes that work for them, that a signal has stopped (SIGSTOP, say).

use std::time::Instant;

use super::Dispatcher;
use super::message::{Action, WorkerId};
use crate::attempt::PoolEvent;

impl Dispatcher {
    /// Reports that a process was stopped, for each attempt of its worker: the attempts end only when the process is
    /// continued or ended.
    pub(super) fn stopped(&mut self, id: WorkerId, pid: u32, signal: i32, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.stopped |= worker.pid == Some(pid);
        let waiting = worker.assigned.iter().map(|assigned| assigned.attempt.id);
        actions.extend(waiting.map(|attempt| Action::Report(PoolEvent::ProcessStopped { attempt, pid, signal })));
    }

    /// Ends workers that are stopped and idle: no attempt would ever be assigned to them.
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
