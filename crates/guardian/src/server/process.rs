//! One process as the guardian knows it: its keeper, its pid, and how far its ending has come.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid};
use pushflow_os::{PidFd, SeqPacket, process_tree};

use super::client::ClientId;
use crate::messages::OnOrphan;

/// How long processes of another user are tried to be ended before they are reported and no longer waited for.
pub(super) const UNKILLABLE_AFTER: Duration = Duration::from_secs(1);

/// A process that was started, until nothing of it is left.
pub(super) struct Process {
    /// The keeper's pid.
    pub(super) keeper: Pid,
    /// Where the keeper reports; `None` once it has closed it.
    pub(super) reports: Option<SeqPacket>,
    /// Pipes to empty once the scheduler is gone.
    pub(super) drains: Vec<OwnedFd>,
    /// Whether its client has been told how the process ended, or that it was not started.
    pub(super) settled: bool,
    /// What it is called as a client, if it is one.
    pub(super) client: Option<ClientId>,
    /// Its pid; 0 before it has started.
    pid: u32,
    /// Signals for it from before it was known to run.
    missed: Vec<Signal>,
    on_orphan: OnOrphan,
    ending: Ending,
}

/// How far the ending of a process has come.
enum Ending {
    /// Nobody asked for it.
    No,
    /// It is due at this time, since the scheduler is gone.
    At(Instant),
    /// Everything below the keeper is being killed, since this time.
    Since(Instant),
    /// Nothing is left below the keeper.
    Over,
}

impl Process {
    pub(super) fn new(
        keeper: Pid,
        reports: SeqPacket,
        drains: Vec<OwnedFd>,
        on_orphan: OnOrphan,
        client: Option<ClientId>,
    ) -> Process {
        for pipe in &drains {
            // A drain that stays blocking is only read when it is readable, so a failure here harms nothing.
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).ok();
        }
        let (settled, pid, ending) = (false, 0, Ending::No);
        Process { keeper, reports: Some(reports), drains, settled, client, pid, missed: Vec::new(), on_orphan, ending }
    }

    /// The process runs under this pid.
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

    /// Sends a signal to the group that the process leads, once to each of its members; as soon as its keeper has said
    /// that it runs, where whoever asks has heard of that earlier.
    pub(super) fn signal_group(&mut self, signal: Signal) {
        if self.pid == 0 {
            if !self.settled {
                self.missed.push(signal);
            }
            return;
        }
        let Ok(pid) = i32::try_from(self.pid).map(Pid::from_raw) else { return };
        // Opened before the look at its parent: it is the right process, and stays so.
        let process = PidFd::open(pid);
        // While the leader is there its pid is the group's and nobody else's. A group that is gone needs no signal.
        if self.is_buried() || !process_tree::is_child(self.keeper, pid).unwrap_or(!self.settled) {
            return;
        }
        // One that has joined another group is still meant.
        if getpgid(Some(pid)) != Ok(pid) {
            match process {
                Ok(process) => process.signal(signal).ok(),
                // It is there, but no more files may be open.
                Err(_) => kill(pid, signal).ok(),
            };
        }
        killpg(pid, signal).ok();
    }

    /// Begins to kill everything below the keeper.
    pub(super) fn end(&mut self) {
        if matches!(self.ending, Ending::No | Ending::At(_)) {
            self.ending = Ending::Since(Instant::now());
        }
    }

    /// Its keeper has been reaped, or was given up.
    pub(super) fn bury(&mut self) {
        (self.ending, self.reports) = (Ending::Over, None);
    }

    pub(super) fn is_buried(&self) -> bool {
        matches!(self.ending, Ending::Over)
    }

    /// The scheduler is gone: the lifetime rule decides.
    pub(super) fn orphan(&mut self, now: Instant) {
        match (&self.ending, self.on_orphan) {
            (Ending::No, OnOrphan::End) => self.ending = Ending::Since(now),
            (Ending::No, OnOrphan::Grace(grace)) => self.ending = Ending::At(now + grace),
            _ => {}
        }
    }

    /// When the next sweep is due, if the process is to be ended.
    pub(super) fn next_sweep(&self, interval: Duration) -> Option<Instant> {
        match self.ending {
            Ending::No | Ending::Over => None,
            Ending::At(due) => Some(due),
            Ending::Since(_) => Some(Instant::now() + interval),
        }
    }

    /// One pass over the tree if it is to be ended; the pids of processes of another user once they are given up.
    pub(super) fn sweep(&mut self, now: Instant, budget: usize) -> Option<Vec<u32>> {
        if matches!(self.ending, Ending::At(due) if due <= now) {
            self.ending = Ending::Since(now);
        }
        let Ending::Since(since) = self.ending else { return None };
        // A task may have stopped it. It has not been reaped, so that the pid is still its own.
        kill(self.keeper, Signal::SIGCONT).ok();
        let sweep = process_tree::kill_descendants(self.keeper, budget);
        let is_idle = sweep.killed == 0 && !sweep.has_failed;
        let stuck = is_idle && !sweep.forbidden.is_empty() && now - since > UNKILLABLE_AFTER;
        stuck.then(|| sweep.forbidden.iter().map(|pid| pid.as_raw().unsigned_abs()).collect())
    }

    /// Reads and drops what is in the pipes; forgets the ones that have ended.
    pub(super) fn drain(&mut self) {
        let pipes = std::mem::take(&mut self.drains);
        self.drains = pipes.into_iter().filter_map(drain_pipe).collect();
    }
}

/// Empties a pipe once over; `None` when it has ended.
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
