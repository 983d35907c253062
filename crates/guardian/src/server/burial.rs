//! What keepers report, and how processes are ended and buried.

use std::io;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};
use pushflow_model::Exit;
use pushflow_os::process_tree;
use pushflow_os::wait::{self, Change, Status};
use pushflow_protocol::courier;

use super::client::{ClientId, Key};
use super::process::Process;
use super::{Guardian, SWEEP_BUDGET};
use crate::messages::{FromGuardian, KeeperReport, ProcessId, StartFailure};

impl Guardian {
    // ----- keepers -----

    pub(super) fn hear_keeper(&mut self, id: Key) {
        while let Some(process) = self.processes.get_mut(&id) {
            let Some(reports) = &process.reports else { return };
            match courier::receive(reports, false) {
                Ok(Some((report, _))) => self.keeper_reported(id, report),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The keeper is leaving; it is reaped when SIGCHLD says so.
                Ok(None) | Err(_) => process.reports = None,
            }
        }
    }

    fn keeper_reported(&mut self, id: Key, report: KeeperReport) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        let name = id.process;
        match report {
            KeeperReport::Started { pid } => {
                process.started(pid);
                self.tell(id.client, &FromGuardian::Started { process: name, pid });
            }
            KeeperReport::NotStarted { errno } => {
                process.settled = true;
                let reason = StartFailure::Errno(errno);
                self.tell(id.client, &FromGuardian::NotStarted { process: name, reason });
            }
            KeeperReport::Stopped { signal } => {
                let pid = process.pid();
                let process = self.asked_by_scheduler(id);
                self.tell(ClientId::SCHEDULER, &FromGuardian::Stopped { process, pid, signal });
            }
            KeeperReport::Continued => {
                let pid = process.pid();
                let process = self.asked_by_scheduler(id);
                self.tell(ClientId::SCHEDULER, &FromGuardian::Continued { process, pid });
            }
            KeeperReport::Exited { exit, peak_memory_kib } => {
                process.settled = true;
                self.tell(id.client, &FromGuardian::Exited { process: name, exit, peak_memory_kib });
                self.end(id);
            }
        }
    }

    /// The process that the scheduler asked for and in which this one was asked for, directly or not.
    fn asked_by_scheduler(&self, mut id: Key) -> ProcessId {
        while let Some(&worker) = self.workers.get(&id.client) {
            id = worker;
        }
        id.process
    }

    /// Reaps whatever has ended: keepers, and strays that the death of a keeper left to the guardian. A keeper that was
    /// stopped goes on: it has nothing to stop for, and its process would wait for ever.
    pub(super) fn reap(&mut self) {
        while let Ok(Some(_)) = self.child_ended.read_signal() {}
        while let Ok(Some(change)) = wait::change_now() {
            match change {
                Change::Ended(reaped) => {
                    // A keeper that was killed could not see to what is below it.
                    let is_stray = self.strays.ended(reaped.pid);
                    if is_stray || reaped.status != Status::Exited(0) {
                        self.strays.look_again();
                    }
                    if !self.warm_ended(reaped.pid) {
                        self.keeper_ended(reaped.pid);
                    }
                }
                // Not reaped yet, so that the pid is still its own.
                Change::Stopped { pid, .. } if self.is_keeper(pid) => drop(kill(pid, Signal::SIGCONT)),
                Change::Stopped { .. } | Change::Continued { .. } => {}
            }
        }
    }

    /// Whether this is a keeper, be it one that has nothing to keep yet.
    fn is_keeper(&self, pid: Pid) -> bool {
        self.by_keeper.contains_key(&pid) || self.warm.is_keeper_of_spare(pid)
    }

    /// Whether this is a keeper or a warm interpreter.
    fn is_known_child(&self, pid: Pid) -> bool {
        self.by_keeper.contains_key(&pid) || self.warm.is_one(pid)
    }

    fn keeper_ended(&mut self, pid: Pid) {
        let Some(id) = self.by_keeper.remove(&pid) else { return };
        // What it reported before it left is told before its end.
        self.hear_keeper(id);
        let Some(process) = self.processes.get_mut(&id) else { return };
        if !std::mem::replace(&mut process.settled, true) {
            let exit = FromGuardian::Exited { process: id.process, exit: Exit::Unknown, peak_memory_kib: 0 };
            self.tell(id.client, &exit);
        }
        self.bury(id);
    }

    /// Nothing is left below the keeper: the process is gone once nothing is left of what it had asked for either.
    fn bury(&mut self, id: Key) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.bury();
        if let Some(client) = process.client {
            self.client_gone(client);
            if !self.owned_by(client).is_empty() {
                return;
            }
            self.workers.remove(&client);
        }
        self.processes.remove(&id);
        self.tell(id.client, &FromGuardian::Gone { process: id.process });
        // Who asked for it may have waited for this only.
        if let Some(&asked) = self.workers.get(&id.client)
            && self.processes.get(&asked).is_some_and(Process::is_buried)
        {
            self.bury(asked);
        }
    }

    // ----- ending -----

    /// Begins to end a process, and with it what it asked for.
    pub(super) fn end(&mut self, id: Key) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.end();
        if let Some(client) = process.client {
            self.client_gone(client);
        }
    }

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
            self.strays.give_up(keeper);
            let process = Some(self.asked_by_scheduler(id));
            self.tell_unkillable(process, pids);
            self.bury(id);
        }
        self.give_up_orders();
        self.sweep_strays(now);
    }

    /// Kills what the death of a keeper left to the guardian: any child that is neither a known keeper nor a warm
    /// interpreter.
    fn sweep_strays(&mut self, now: Instant) {
        if !self.strays.are_looked_for() {
            return;
        }
        let Ok(mut strays) = process_tree::children(getpid()) else { return };
        // What a warm interpreter had made when the list was, it made after it said that it is warm.
        self.warm.warming().into_iter().for_each(|program| self.hear_warm(program));
        if self.warm.may_have_made() {
            return;
        }
        strays.retain(|&pid| !self.is_known_child(pid));
        let unkillable = self.strays.kill(&strays, now, SWEEP_BUDGET);
        if !unkillable.is_empty() {
            // Whose they were nobody knows any more.
            self.tell_unkillable(None, unkillable);
        }
        self.reap();
    }

    /// What is left behind is said even to a scheduler that only waits for the guardian's end.
    fn tell_unkillable(&mut self, process: Option<ProcessId>, pids: Vec<u32>) {
        let message = FromGuardian::Unkillable { process, pids };
        self.tell(ClientId::SCHEDULER, &message);
        if let Some(former) = &mut self.former_scheduler {
            former.tell(&message).ok();
        }
    }

    /// Reads and drops what a process writes for a scheduler that is gone.
    pub(super) fn drain(&mut self, id: Key) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.drain();
    }
}
