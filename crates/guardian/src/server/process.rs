//! [`Process`]: one process as the guardian knows it, with its keeper, its pid, and how far its ending has come.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid};
use pushflow_os::{PidFd, SeqPacket, process_tree};

use super::client::ClientId;
use crate::messages::OnSchedulerExit;

/// How long the guardian tries to kill processes of another user before it reports them and no longer waits for them.
pub(super) const UNKILLABLE_AFTER: Duration = Duration::from_secs(1);

/// A process from the fork of its keeper until nothing of it is left.
pub(super) struct Process {
    /// The pid of the keeper.
    pub(super) keeper: Pid,
    /// The socket on which the keeper reports; `None` after its end.
    pub(super) reports: Option<SeqPacket>,
    /// The pipes that the guardian empties after the end of the scheduler.
    pub(super) drains: Vec<OwnedFd>,
    /// Whether the client was sent `Exited` or `NotStarted`.
    pub(super) settled: bool,
    /// Its name as a client, if it is a worker.
    pub(super) client: Option<ClientId>,
    /// Its pid; 0 before it has started.
    pid: u32,
    /// Signals that were requested before the pid was known.
    missed: Vec<Signal>,
    on_scheduler_exit: OnSchedulerExit,
    ending: Ending,
}

/// How far the ending of a process has come.
enum Ending {
    /// No end was asked for.
    NotAsked,
    /// The scheduler has ended, and the grace ends at this time.
    DueAt(Instant),
    /// The descendants of the keeper are being killed, since this time.
    KillingSince(Instant),
    /// The keeper has been reaped, or the process was given up.
    Reaped,
}

impl Process {
    /// A process whose keeper was just forked.
    pub(super) fn new(
        keeper: Pid,
        reports: SeqPacket,
        drains: Vec<OwnedFd>,
        on_scheduler_exit: OnSchedulerExit,
        client: Option<ClientId>,
    ) -> Process {
        for pipe in &drains {
            // A failure does no harm: the guardian reads a pipe only when it is readable.
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).ok();
        }
        let (settled, pid, ending) = (false, 0, Ending::NotAsked);
        Process {
            keeper,
            reports: Some(reports),
            drains,
            settled,
            client,
            pid,
            missed: Vec::new(),
            on_scheduler_exit,
            ending,
        }
    }

    /// The keeper has reported the pid of the process. The process gets the signals that were requested before.
    pub(super) fn started(&mut self, pid: u32) {
        self.pid = pid;
        for signal in std::mem::take(&mut self.missed) {
            self.signal_group(signal);
        }
    }

    /// Its pid; 0 before it has started.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal to the process and to the group that it leads. If the pid is not known yet, the signal is sent as
    /// soon as the keeper reports it: a client can learn earlier than the guardian that the process runs.
    pub(super) fn signal_group(&mut self, signal: Signal) {
        if self.pid == 0 {
            if !self.settled {
                self.missed.push(signal);
            }
            return;
        }
        let Ok(pid) = i32::try_from(self.pid).map(Pid::from_raw) else { return };
        // Opened before the parent is checked, so that the pidfd is one of the right process if the check succeeds.
        let process = PidFd::open(pid);
        // While the leader has not been reaped, no other process and no other group can have its pid. After that the
        // signal is dropped: the number may belong to another group. Where the check fails, the process is taken for
        // not reaped as long as its end was not reported.
        if self.is_reaped() || !process_tree::is_child(self.keeper, pid).unwrap_or(!self.settled) {
            return;
        }
        // A process that has joined another group gets the signal nevertheless.
        if getpgid(Some(pid)) != Ok(pid) {
            match process {
                Ok(process) => process.signal(signal).ok(),
                // The process has not been reaped, but the guardian may not open more files.
                Err(_) => kill(pid, signal).ok(),
            };
        }
        killpg(pid, signal).ok();
    }

    /// Begins to kill all descendants of the keeper.
    pub(super) fn end(&mut self) {
        if matches!(self.ending, Ending::NotAsked | Ending::DueAt(_)) {
            self.ending = Ending::KillingSince(Instant::now());
        }
    }

    /// The keeper has been reaped, or the process was given up.
    pub(super) fn mark_reaped(&mut self) {
        (self.ending, self.reports) = (Ending::Reaped, None);
    }

    /// Whether the keeper has been reaped, or the process was given up.
    pub(super) fn is_reaped(&self) -> bool {
        matches!(self.ending, Ending::Reaped)
    }

    /// The scheduler has ended: begins to kill the process, now or after its grace.
    pub(super) fn scheduler_exited(&mut self, now: Instant) {
        match (&self.ending, self.on_scheduler_exit) {
            (Ending::NotAsked, OnSchedulerExit::End) => self.ending = Ending::KillingSince(now),
            (Ending::NotAsked, OnSchedulerExit::Grace(grace)) => self.ending = Ending::DueAt(now + grace),
            _ => {}
        }
    }

    /// The time of the next sweep, if the process is to be ended.
    pub(super) fn next_sweep(&self, interval: Duration) -> Option<Instant> {
        match self.ending {
            Ending::NotAsked | Ending::Reaped => None,
            Ending::DueAt(due) => Some(due),
            Ending::KillingSince(_) => Some(Instant::now() + interval),
        }
    }

    /// One pass of SIGKILL over the descendants of the keeper, if the process is to be ended. Returns the pids of
    /// descendants that belong to another user if the guardian is to give the process up: nothing else is left to kill,
    /// and [`UNKILLABLE_AFTER`] is over.
    pub(super) fn sweep(&mut self, now: Instant, budget: usize) -> Option<Vec<u32>> {
        if matches!(self.ending, Ending::DueAt(due) if due <= now) {
            self.ending = Ending::KillingSince(now);
        }
        let Ending::KillingSince(since) = self.ending else { return None };
        // A task may have stopped the keeper. The keeper has not been reaped, so no other process can have its pid.
        kill(self.keeper, Signal::SIGCONT).ok();
        let sweep = process_tree::kill_descendants(self.keeper, budget);
        let is_idle = sweep.killed == 0 && !sweep.has_failed;
        let stuck = is_idle && !sweep.forbidden.is_empty() && now - since > UNKILLABLE_AFTER;
        stuck.then(|| sweep.forbidden.iter().map(|pid| pid.as_raw().unsigned_abs()).collect())
    }

    /// Reads from each pipe once and discards the bytes. Closes the pipes that have ended.
    pub(super) fn drain(&mut self) {
        let pipes = std::mem::take(&mut self.drains);
        self.drains = pipes.into_iter().filter_map(drain_pipe).collect();
    }
}

/// Reads from a pipe once and discards the bytes. Returns `None` if the pipe has ended.
fn drain_pipe(pipe: OwnedFd) -> Option<OwnedFd> {
    let mut file = std::fs::File::from(pipe);
    let mut buffer = [0; 64 * 1024];
    match file.read(&mut buffer) {
        Ok(0) => None,
        Ok(_) => Some(file.into()),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Some(file.into()),
        Err(_) => None,
    }
}
