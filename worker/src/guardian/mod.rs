//! The guardian: one small process beside each scheduler that starts every other process and buries it.
//!
//! # Why
//! A scheduler can be killed at any moment, and then nobody may be left behind. So processes are not the scheduler's
//! children: the guardian starts them, outlives the scheduler, and ends what is left.
//!
//! # Who is whose parent
//! ```text
//! scheduler ── guardian ── keeper ── process ── whatever it starts
//!                       └─ keeper ── process
//! ```
//! Each process has a [`keeper`]: a fork of the guardian that adopts everything below it (`PR_SET_CHILD_SUBREAPER`), so
//! that what double-forks, calls `setsid` or clears its environment still has a place in one tree. The death signal of
//! the process follows its keeper, the keeper's follows the guardian.
//!
//! # The states of a process
//! - *starting*: the keeper was forked; it reports `Started` or `NotStarted`.
//! - *running*: until the keeper reports `Exited`, or an end is asked for, or its grace is over after the scheduler's death.
//! - *ending*: everything below the keeper gets SIGKILL, again and again, until the keeper leaves because nothing is
//!   below it any more. Stopping first would not converge against a loop of fork and exit; repeated kills do.
//! - *gone*: the keeper has been reaped. The guardian says so and forgets.
//!
//! # The loop
//! It waits on the scheduler's socket, a pidfd of the scheduler, SIGCHLD (as a file) and the keepers' sockets, and never
//! anywhere else: sends do not block, a sweep looks at a bounded number of processes before the next wait. When the
//! socket ends or the pidfd says so, the scheduler is gone: the lifetime rule of each process decides between ending it
//! now or after its grace, pipes nobody reads any more are emptied, and the guardian leaves when there is nothing left.

mod copy;
mod keeper;
mod process;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use pushflow_os::wait::{self, Status};
use pushflow_os::{PidFd, SeqPacket, tree};
use pushflow_protocol::courier::{self, Letter};
use pushflow_protocol::{Exit, FromGuardian, KeeperReport, Launch, ProcessId, ToGuardian};
use tempfile::TempDir;

use self::process::Process;

/// How long to wait between two sweeps of a tree that is being ended.
const SWEEP_INTERVAL: Duration = Duration::from_millis(2);
/// How many processes one sweep looks at before the guardian looks at everything else again.
const SWEEP_BUDGET: usize = 256;
/// How many messages may wait for a scheduler that does not read; one that reads nothing for so long is taken for gone.
const MAX_WAITING: usize = 65_536;

/// Is the guardian of whoever is at the other end of `socket`, until that one is gone and everything is buried.
///
/// `inherited` are the numbers of files that stand for those of the program that this one is a copy of.
///
/// # Errors
/// When the guardian could not begin; the scheduler then sees its socket end.
pub fn run(socket: SeqPacket, build: &str, inherited: Vec<RawFd>) -> io::Result<()> {
    let (scheduler, directory) = match begin(&socket) {
        Ok(begun) => begun,
        Err(error) => {
            // The guardian has no other way to say anything.
            let told = FromGuardian::Unable { reason: error.to_string() };
            courier::send(&socket, &told, &[]).ok();
            return Err(error);
        }
    };
    let mut guardian = Guardian::new(socket, scheduler, inherited)?;
    let run_directory = directory.path().as_os_str().to_owned();
    guardian.tell(&FromGuardian::Ready { build: build.to_owned(), run_directory });
    guardian.serve()?;
    // It may hold what killed workers left.
    directory.close()
}

/// Becomes a guardian: the scheduler to watch, and the run directory.
fn begin(socket: &SeqPacket) -> io::Result<(PidFd, TempDir)> {
    nix::sys::prctl::set_name(c"pushflow-guard")?;
    pushflow_os::signals::block_all()?;
    nix::sys::prctl::set_child_subreaper(true)?;
    let Some((ToGuardian::Watch, mut files)) = courier::receive(socket, true)? else {
        return Err(io::Error::other("the scheduler did not introduce itself"));
    };
    let scheduler = files.pop().ok_or_else(|| io::Error::other("the scheduler sent no pidfd"))?;
    nix::unistd::chdir("/")?;
    // Not in TMPDIR: the path of a socket has at most 107 bytes.
    let directory = tempfile::Builder::new().prefix("pushflow-").tempdir_in("/tmp").map_err(|error| {
        io::Error::new(error.kind(), format!("a folder for sockets can't be made in /tmp: {error}"))
    })?;
    Ok((PidFd::from_received(scheduler), directory))
}

struct Guardian {
    /// `None` once the scheduler is gone.
    scheduler: Option<Scheduler>,
    child_ended: SignalFd,
    processes: HashMap<ProcessId, Process>,
    by_keeper: HashMap<Pid, ProcessId>,
    /// Numbers of files that workers which are copies keep.
    inherited: Vec<RawFd>,
    /// A keeper was killed, so that what was below it may be the guardian's own child now.
    strays: bool,
}

struct Scheduler {
    socket: SeqPacket,
    process: PidFd,
    waiting: VecDeque<Letter>,
}

/// What a wait was for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wake {
    Scheduler,
    SchedulerEnded,
    ChildEnded,
    Keeper(ProcessId),
    Drain(ProcessId),
}

impl Guardian {
    fn new(socket: SeqPacket, process: PidFd, inherited: Vec<RawFd>) -> io::Result<Guardian> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGCHLD);
        Ok(Guardian {
            scheduler: Some(Scheduler { socket, process, waiting: VecDeque::new() }),
            child_ended: SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?,
            processes: HashMap::new(),
            by_keeper: HashMap::new(),
            inherited,
            strays: false,
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        while self.scheduler.is_some() || !self.processes.is_empty() || self.strays {
            for wake in self.wait()? {
                match wake {
                    Wake::Scheduler => self.hear_scheduler(),
                    Wake::SchedulerEnded => self.scheduler_gone(),
                    Wake::ChildEnded => self.reap(),
                    Wake::Keeper(process) => self.hear_keeper(process),
                    Wake::Drain(process) => self.drain(process),
                }
            }
            self.sweep();
            self.deliver();
        }
        Ok(())
    }

    /// Waits until something has happened, or it is time for the next sweep.
    fn wait(&self) -> io::Result<Vec<Wake>> {
        let mut files: Vec<(BorrowedFd<'_>, PollFlags, Wake)> =
            vec![(self.child_ended.as_fd(), PollFlags::POLLIN, Wake::ChildEnded)];
        if let Some(scheduler) = &self.scheduler {
            let mut flags = PollFlags::POLLIN;
            flags.set(PollFlags::POLLOUT, !scheduler.waiting.is_empty());
            files.push((scheduler.socket.as_fd(), flags, Wake::Scheduler));
            files.push((scheduler.process.as_fd(), PollFlags::POLLIN, Wake::SchedulerEnded));
        }
        for (&id, process) in &self.processes {
            if let Some(reports) = &process.reports {
                files.push((reports.as_fd(), PollFlags::POLLIN, Wake::Keeper(id)));
            }
            if self.scheduler.is_none() {
                files.extend(process.drains.iter().map(|pipe| (pipe.as_fd(), PollFlags::POLLIN, Wake::Drain(id))));
            }
        }
        let mut polled: Vec<PollFd<'_>> = files.iter().map(|(file, flags, _)| PollFd::new(*file, *flags)).collect();
        match poll(&mut polled, self.timeout()) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut wakes: Vec<Wake> = polled
            .iter()
            .zip(&files)
            .filter(|(poll, _)| poll.revents().is_some_and(|events| !events.is_empty()))
            .map(|(_, (_, _, wake))| *wake)
            .collect();
        wakes.dedup();
        Ok(wakes)
    }

    fn timeout(&self) -> PollTimeout {
        let next = if self.strays { Some(Instant::now() + SWEEP_INTERVAL) } else { None };
        let next = self.processes.values().filter_map(|process| process.next_sweep(SWEEP_INTERVAL)).chain(next).min();
        match next {
            None => PollTimeout::NONE,
            // Rounded up: a timeout of 0 ms before the time has come would spin.
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        }
    }

    // ----- the scheduler -----

    fn hear_scheduler(&mut self) {
        loop {
            let Some(scheduler) = &self.scheduler else { return };
            match courier::receive(&scheduler.socket, false) {
                Ok(Some((message, files))) => self.obey(message, files),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Its end, or what only somebody else than a scheduler can have sent.
                Ok(None) | Err(_) => return self.scheduler_gone(),
            }
        }
    }

    fn obey(&mut self, message: ToGuardian, files: Vec<OwnedFd>) {
        match message {
            ToGuardian::Watch => {}
            ToGuardian::Start { process, launch } => self.start(process, &launch, files),
            ToGuardian::Signal { process, signal } => {
                if let (Some(process), Ok(signal)) = (self.processes.get(&process), Signal::try_from(signal)) {
                    process.signal_group(signal);
                }
            }
            ToGuardian::End { process } => {
                if let Some(process) = self.processes.get_mut(&process) {
                    process.end();
                }
            }
        }
    }

    fn start(&mut self, id: ProcessId, launch: &Launch, mut files: Vec<OwnedFd>) {
        let drains = files.split_off(launch.numbers.len().min(files.len()));
        match keeper::fork(launch, &files, &self.inherited) {
            Ok((pid, reports)) => {
                self.by_keeper.insert(pid, id);
                self.processes.insert(id, Process::new(pid, reports, drains, launch.on_orphan));
            }
            Err(error) => {
                let errno = keeper::errno_of(&error);
                self.tell(&FromGuardian::NotStarted { process: id, errno });
                self.tell(&FromGuardian::Gone { process: id });
            }
        }
    }

    fn scheduler_gone(&mut self) {
        if self.scheduler.take().is_some() {
            let now = Instant::now();
            self.processes.values_mut().for_each(|process| process.orphan(now));
        }
    }

    fn tell(&mut self, message: &FromGuardian) {
        let Some(scheduler) = &mut self.scheduler else { return };
        match Letter::new(message) {
            Ok(letter) if scheduler.waiting.len() < MAX_WAITING => scheduler.waiting.push_back(letter),
            _ => self.scheduler_gone(),
        }
    }

    fn deliver(&mut self) {
        let Some(scheduler) = &mut self.scheduler else { return };
        while let Some(letter) = scheduler.waiting.front() {
            match letter.send(&scheduler.socket, &[], false) {
                Ok(()) => drop(scheduler.waiting.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.scheduler_gone(),
            }
        }
    }

    // ----- keepers -----

    fn hear_keeper(&mut self, id: ProcessId) {
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

    fn keeper_reported(&mut self, id: ProcessId, report: KeeperReport) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        match report {
            KeeperReport::Started { pid } => {
                process.started(pid);
                self.tell(&FromGuardian::Started { process: id, pid });
            }
            KeeperReport::NotStarted { errno } => {
                process.settled = true;
                self.tell(&FromGuardian::NotStarted { process: id, errno });
            }
            KeeperReport::Exited { exit, peak_memory_kib } => {
                process.settled = true;
                process.end();
                self.tell(&FromGuardian::Exited { process: id, exit, peak_memory_kib });
            }
        }
    }

    /// Reaps whatever has ended: keepers, and strays that the death of a keeper left to the guardian.
    fn reap(&mut self) {
        while let Ok(Some(_)) = self.child_ended.read_signal() {}
        while let Ok(Some(reaped)) = wait::reap_any(false) {
            // A keeper that was killed could not see to what is below it.
            self.strays |= reaped.status != Status::Exited(0);
            self.keeper_ended(reaped.pid);
        }
    }

    fn keeper_ended(&mut self, pid: Pid) {
        let Some(id) = self.by_keeper.remove(&pid) else { return };
        // What it reported before it left is told before its end.
        self.hear_keeper(id);
        let Some(process) = self.processes.remove(&id) else { return };
        if !process.settled {
            self.tell(&FromGuardian::Exited { process: id, exit: Exit::Unknown, peak_memory_kib: 0 });
        }
        self.tell(&FromGuardian::Gone { process: id });
    }

    // ----- ending -----

    fn sweep(&mut self) {
        let now = Instant::now();
        let mut given_up = Vec::new();
        for (&id, process) in &mut self.processes {
            if let Some(pids) = process.sweep(now, SWEEP_BUDGET) {
                given_up.push((id, pids));
            }
        }
        for (id, pids) in given_up {
            if let Some(process) = self.processes.remove(&id) {
                self.by_keeper.remove(&process.keeper);
            }
            self.tell(&FromGuardian::Unkillable { process: id, pids });
            self.tell(&FromGuardian::Gone { process: id });
        }
        if self.strays {
            self.sweep_strays();
        }
    }

    /// Kills what the death of a keeper left to the guardian: any child that is no known keeper.
    fn sweep_strays(&mut self) {
        let strays: Vec<Pid> =
            tree::children(nix::unistd::getpid()).into_iter().filter(|pid| !self.by_keeper.contains_key(pid)).collect();
        for &stray in &strays {
            tree::kill_below(stray, SWEEP_BUDGET);
            tree::kill_child(nix::unistd::getpid(), stray).ok();
        }
        self.strays = !strays.is_empty();
        self.reap();
    }

    /// Reads and drops what a process writes for a scheduler that is gone.
    fn drain(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.drain();
    }
}
