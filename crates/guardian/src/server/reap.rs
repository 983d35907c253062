//! The reports of keepers, and how the guardian ends and reaps processes.

use std::io;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};
use pushflow_model::Exit;
use pushflow_os::process_tree;
use pushflow_os::wait::{self, Change, Status};
use pushflow_protocol::fd_message;

use super::client::{ClientId, ProcessKey};
use super::process::Process;
use super::{Guardian, SWEEP_BUDGET};
use crate::messages::{FromGuardian, KeeperReport, ProcessId, StartFailure};

impl Guardian {
    // ----- keepers -----

    /// Handles the reports of a keeper.
    pub(super) fn read_keeper(&mut self, id: ProcessKey) {
        while let Some(process) = self.processes.get_mut(&id) {
            let Some(reports) = &process.reports else { return };
            match fd_message::receive(reports, false) {
                Ok(Some((report, _))) => self.keeper_reported(id, report),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The keeper is exiting. SIGCHLD follows.
                Ok(None) | Err(_) => process.reports = None,
            }
        }
    }

    fn keeper_reported(&mut self, id: ProcessKey, report: KeeperReport) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        let name = id.process;
        match report {
            KeeperReport::Started { pid } => {
                process.started(pid);
                self.send(id.client, &FromGuardian::Started { process: name, pid });
            }
            KeeperReport::NotStarted { errno } => {
                process.settled = true;
                let reason = StartFailure::Errno(errno);
                self.send(id.client, &FromGuardian::NotStarted { process: name, reason });
            }
            KeeperReport::Stopped { signal } => {
                let pid = process.pid();
                let process = self.asked_by_scheduler(id);
                self.send(ClientId::SCHEDULER, &FromGuardian::Stopped { process, pid, signal });
            }
            KeeperReport::Continued => {
                let pid = process.pid();
                let process = self.asked_by_scheduler(id);
                self.send(ClientId::SCHEDULER, &FromGuardian::Continued { process, pid });
            }
            KeeperReport::Exited { exit, peak_memory_kib } => {
                process.settled = true;
                self.send(id.client, &FromGuardian::Exited { process: name, exit, peak_memory_kib });
                self.end(id);
            }
        }
    }

    /// The process that the scheduler asked for and that has asked for this one, directly or over other workers.
    fn asked_by_scheduler(&self, mut id: ProcessKey) -> ProcessId {
        while let Some(&worker) = self.workers.get(&id.client) {
            id = worker;
        }
        id.process
    }

    /// Reaps all children of the guardian that have ended: keepers, warm interpreters and orphans. Continues keepers
    /// that were stopped: a stopped keeper would report nothing, and its client would wait for ever.
    pub(super) fn reap(&mut self) {
        while let Ok(Some(_)) = self.child_ended.read_signal() {}
        while let Ok(Some(change)) = wait::change_now() {
            match change {
                Change::Ended(reaped) => {
                    // A keeper that did not exit by itself has left its descendants to the guardian.
                    let is_orphan = self.orphans.ended(reaped.pid);
                    if is_orphan || reaped.status != Status::Exited(0) {
                        self.orphans.expect_more();
                    }
                    if !self.warm_ended(reaped.pid) {
                        self.keeper_ended(reaped.pid);
                    }
                }
                // The keeper has not been reaped, so no other process can have its pid.
                Change::Stopped { pid, .. } if self.is_keeper(pid) => drop(kill(pid, Signal::SIGCONT)),
                Change::Stopped { .. } | Change::Continued { .. } => {}
            }
        }
    }

    /// Whether this is a keeper, of a process or of a spare.
    fn is_keeper(&self, pid: Pid) -> bool {
        self.by_keeper.contains_key(&pid) || self.warm.is_keeper_of_spare(pid)
    }

    /// Whether this is a keeper or a warm interpreter. All other children of the guardian are orphans.
    fn is_known_child(&self, pid: Pid) -> bool {
        self.by_keeper.contains_key(&pid) || self.warm.is_one(pid)
    }

    /// Handles the end of a keeper that has been reaped, if the pid is one of a keeper.
    fn keeper_ended(&mut self, pid: Pid) {
        let Some(id) = self.by_keeper.remove(&pid) else { return };
        // The reports that the keeper has sent before its end.
        self.read_keeper(id);
        let Some(process) = self.processes.get_mut(&id) else { return };
        if !std::mem::replace(&mut process.settled, true) {
            let exit = FromGuardian::Exited { process: id.process, exit: Exit::Unknown, peak_memory_kib: 0 };
            self.send(id.client, &exit);
        }
        self.finish(id);
    }

    /// Removes a process whose keeper has been reaped, and sends `Gone`. If it is a worker, it is removed only when no
    /// process is left that it had asked for.
    fn finish(&mut self, id: ProcessKey) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.mark_reaped();
        if let Some(client) = process.client {
            self.close_client(client);
            if !self.owned_by(client).is_empty() {
                return;
            }
            self.workers.remove(&client);
        }
        self.processes.remove(&id);
        self.send(id.client, &FromGuardian::Gone { process: id.process });
        // The worker that had asked for this process may have waited for nothing else.
        if let Some(&asked) = self.workers.get(&id.client)
            && self.processes.get(&asked).is_some_and(Process::is_reaped)
        {
            self.finish(asked);
        }
    }

    // ----- ending -----

    /// Begins to end a process, and the processes that it had asked for.
    pub(super) fn end(&mut self, id: ProcessKey) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.end();
        if let Some(client) = process.client {
            self.close_client(client);
        }
    }

    /// One pass over all processes that are being ended, over overdue orders, and over the orphans.
    pub(super) fn sweep(&mut self) {
        let now = Instant::now();
        let mut given_up = Vec::new();
        for (&id, process) in &mut self.processes {
            if let Some(pids) = process.sweep(now, SWEEP_BUDGET) {
                given_up.push((id, process.keeper, pids));
            }
        }
        for (id, keeper, pids) in given_up {
            self.by_keeper.remove(&keeper);
            self.orphans.give_up(keeper);
            let process = Some(self.asked_by_scheduler(id));
            self.report_unkillable(process, pids);
            self.finish(id);
        }
        self.give_up_orders();
        self.sweep_orphans(now);
    }

    /// Kills the orphans: the children of the guardian that are neither known keepers nor warm interpreters.
    ///
    /// A warm interpreter with an open order may have forked a keeper that the guardian does not know yet. That keeper
    /// is no orphan, so there is no pass while such orders are open. Their time is limited.
    fn sweep_orphans(&mut self, now: Instant) {
        if !self.orphans.may_exist() {
            return;
        }
        let Ok(mut orphans) = process_tree::children(getpid()) else { return };
        // The list may hold a keeper that a warm interpreter has forked. The interpreter has said before the fork that
        // it is warm, so after this read it counts as one with open orders.
        self.warm.warming().into_iter().for_each(|program| self.read_warm(program));
        if self.warm.may_have_made() {
            return;
        }
        orphans.retain(|&pid| !self.is_known_child(pid));
        let unkillable = self.orphans.kill(&orphans, now, SWEEP_BUDGET);
        if !unkillable.is_empty() {
            // Their keeper was killed, so it is not known which process they belonged to.
            self.report_unkillable(None, unkillable);
        }
        self.reap();
    }

    /// Reports processes that can't be killed to the scheduler, even if it only waits for the exit of the guardian.
    fn report_unkillable(&mut self, process: Option<ProcessId>, pids: Vec<u32>) {
        let message = FromGuardian::Unkillable { process, pids };
        self.send(ClientId::SCHEDULER, &message);
        if let Some(former) = &mut self.former_scheduler {
            former.send(&message).ok();
        }
    }

    /// Discards the output of a process after the end of the scheduler.
    pub(super) fn drain(&mut self, id: ProcessKey) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.drain();
    }
}
