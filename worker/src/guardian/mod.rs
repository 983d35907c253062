//! The guardian: one small process beside each scheduler that starts every other process and buries it.
//!
//! # Why
//! A scheduler can be killed at any moment, and then nobody may be left behind. So processes are not the scheduler's
//! children: the guardian starts them, outlives the scheduler, and ends what is left.
//!
//! # Who is whose parent, and who asked for whom
//! ```text
//! scheduler ── guardian ── keeper ── worker ── whatever its tasks start themselves
//!                       ├─ keeper ── worker of a pool that a task in the first worker opened
//!                       └─ keeper ── command, interpreter
//! ```
//! Each process has a [`keeper`]: a fork of the guardian that adopts everything below it (`PR_SET_CHILD_SUBREAPER`), so
//! that what double-forks, calls `setsid` or clears its environment still has a place in one tree. The death signal of
//! the process follows its keeper, the keeper's follows the guardian.
//!
//! A [`warm`] interpreter is a child of the guardian, too, and has no keeper: it runs no task.
//!
//! Who asks is a [`client`]: the scheduler, or a worker, which has a socket to the guardian for what its tasks need. A
//! client that is daemonic is refused what daemonic processes may not have. What a worker asked for ends with it.
//!
//! # The states of a process
//! - *starting*: the keeper was forked; it reports `Started` or `NotStarted`.
//! - *running*: until the keeper reports `Exited`, or an end is asked for, or its client is gone: at once if that is a
//!   worker, after the grace of its lifetime rule if it is the scheduler.
//! - *ending*: everything below the keeper gets SIGKILL, again and again, until the keeper leaves because nothing is
//!   below it any more. Stopping first would not converge against a loop of fork and exit; repeated kills do. With a
//!   worker ends what it had asked for.
//! - *buried*: the keeper has been reaped; something that the process had asked for is still ending.
//! - *gone*: the guardian says so and forgets.
//!
//! # The loop
//! It waits on the clients' sockets, a pidfd of the scheduler, SIGCHLD (as a file) and the keepers' sockets, and never
//! anywhere else: sends do not block, a sweep looks at a bounded number of processes before the next wait. When the
//! socket ends or the pidfd says so, the scheduler is gone: the lifetime rule of each process decides between ending it
//! now or after its grace, pipes nobody reads any more are emptied, and the guardian leaves when there is nothing left.

mod client;
mod copy;
mod directory;
mod keeper;
mod process;
mod warm;

use std::collections::{BTreeMap, HashMap};
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
use pushflow_protocol::{
    Exit, FromGuardian, GUARDIAN_SOCKET, KeeperReport, Launch, ProcessId, StartFailure, ToGuardian, courier,
};
use tempfile::TempDir;

use self::client::{Client, ClientId, Key};
use self::process::Process;
use self::warm::WarmPrograms;
pub(crate) use self::warm::keep_adopted;

/// How long to wait between two sweeps of a tree that is being ended.
const SWEEP_INTERVAL: Duration = Duration::from_millis(2);
/// How many processes one sweep looks at before the guardian looks at everything else again.
const SWEEP_BUDGET: usize = 256;
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
    guardian.tell(ClientId::SCHEDULER, &FromGuardian::Ready { build: build.to_owned(), run_directory });
    guardian.serve()?;
    // It may hold what killed workers left.
    directory.close()
}

/// Becomes a guardian: the scheduler to watch, and the run directory.
fn begin(socket: &SeqPacket) -> io::Result<(PidFd, TempDir)> {
    nix::sys::prctl::set_name(c"pushflow-guard")?;
    pushflow_os::signals::block_all()?;
    // Before there are children: keepers are forks, and inherit it.
    pushflow_os::signals::notice_children();
    nix::sys::prctl::set_child_subreaper(true)?;
    let Some((ToGuardian::Watch, mut files)) = courier::receive(socket, true)? else {
        return Err(io::Error::other("the scheduler did not introduce itself"));
    };
    let scheduler = files.pop().ok_or_else(|| io::Error::other("the scheduler sent no pidfd"))?;
    let directory = directory::make()?;
    // It keeps no other folder in use, and whoever looks for the run directory of a guardian finds it.
    nix::unistd::chdir(directory.path())?;
    Ok((PidFd::from_received(scheduler), directory))
}

struct Guardian {
    /// `None` once it is gone.
    scheduler: Option<PidFd>,
    clients: BTreeMap<ClientId, Client>,
    next_client: u64,
    /// Which process a client is; the scheduler is none.
    workers: HashMap<ClientId, Key>,
    child_ended: SignalFd,
    processes: HashMap<Key, Process>,
    by_keeper: HashMap<Pid, Key>,
    warm: WarmPrograms,
    /// Numbers of files that workers which are copies keep.
    inherited: Vec<RawFd>,
    /// A keeper was killed, so that what was below it may be the guardian's own child now.
    strays: bool,
}

/// What a wait was for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wake {
    Client(ClientId),
    SchedulerEnded,
    ChildEnded,
    Keeper(Key),
    Drain(Key),
    Warm(Pid),
    Order(Key),
    Spare(Pid),
}

impl Guardian {
    fn new(socket: SeqPacket, scheduler: PidFd, inherited: Vec<RawFd>) -> io::Result<Guardian> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGCHLD);
        Ok(Guardian {
            scheduler: Some(scheduler),
            clients: BTreeMap::from([(ClientId::SCHEDULER, Client::new(socket, None))]),
            next_client: 1,
            workers: HashMap::new(),
            child_ended: SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?,
            processes: HashMap::new(),
            by_keeper: HashMap::new(),
            warm: WarmPrograms::default(),
            inherited,
            strays: false,
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        while self.scheduler.is_some() || !self.processes.is_empty() || !self.warm.is_empty() || self.strays {
            for wake in self.wait()? {
                match wake {
                    Wake::Client(client) => self.hear_client(client),
                    Wake::SchedulerEnded => self.client_gone(ClientId::SCHEDULER),
                    Wake::ChildEnded => self.reap(),
                    Wake::Keeper(process) => self.hear_keeper(process),
                    Wake::Drain(process) => self.drain(process),
                    Wake::Warm(pid) => self.hear_warm(pid),
                    Wake::Order(process) => self.hear_order(process),
                    Wake::Spare(program) => self.hear_spare(program),
                }
            }
            self.sweep();
        }
        Ok(())
    }

    /// Waits until something has happened, or it is time for the next sweep.
    fn wait(&self) -> io::Result<Vec<Wake>> {
        let mut files: Vec<(BorrowedFd<'_>, PollFlags, Wake)> =
            vec![(self.child_ended.as_fd(), PollFlags::POLLIN, Wake::ChildEnded)];
        if let Some(scheduler) = &self.scheduler {
            files.push((scheduler.as_fd(), PollFlags::POLLIN, Wake::SchedulerEnded));
        }
        for (&id, client) in &self.clients {
            let mut flags = PollFlags::POLLIN;
            flags.set(PollFlags::POLLOUT, client.is_behind());
            files.push((client.socket.as_fd(), flags, Wake::Client(id)));
        }
        for (&id, process) in &self.processes {
            if let Some(reports) = &process.reports {
                files.push((reports.as_fd(), PollFlags::POLLIN, Wake::Keeper(id)));
            }
            if self.scheduler.is_none() && id.client == ClientId::SCHEDULER {
                files.extend(process.drains.iter().map(|pipe| (pipe.as_fd(), PollFlags::POLLIN, Wake::Drain(id))));
            }
        }
        files.extend(self.warm.files().map(|(file, wake)| (file, PollFlags::POLLIN, wake)));
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
        let next = self.processes.values().filter_map(|process| process.next_sweep(SWEEP_INTERVAL)).chain(next);
        let next = next.chain(self.warm.due()).min();
        match next {
            None => PollTimeout::NONE,
            // Rounded up: a timeout of 0 ms before the time has come would spin.
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        }
    }

    // ----- clients -----

    fn hear_client(&mut self, id: ClientId) {
        while let Some(client) = self.clients.get_mut(&id) {
            if client.deliver().is_err() {
                return self.client_gone(id);
            }
            match courier::receive(&client.socket, false) {
                Ok(Some((message, files))) => self.obey(id, message, files),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(None) => return self.client_gone(id),
                Err(_) => return self.client_garbled(id),
            }
        }
    }

    fn obey(&mut self, client: ClientId, message: ToGuardian, files: Vec<OwnedFd>) {
        match message {
            ToGuardian::Watch => {}
            ToGuardian::Start { process, launch } => self.start(Key { client, process }, launch, files),
            ToGuardian::Signal { process, signal } => {
                // Nobody signals what is still an order: it is known to have started only when it is none any more.
                let process = self.processes.get_mut(&Key { client, process });
                if let (Some(process), Ok(signal)) = (process, Signal::try_from(signal)) {
                    process.signal_group(signal);
                }
            }
            ToGuardian::End { process } => {
                let id = Key { client, process };
                if !self.cancel_order(id) {
                    self.end(id);
                }
            }
        }
    }

    fn start(&mut self, id: Key, launch: Launch, files: Vec<OwnedFd>) {
        let Some(client) = self.clients.get(&id.client) else { return };
        if self.processes.contains_key(&id) || self.warm.has_order(id) {
            // A name that is used twice: whoever says that is no client.
            return self.client_garbled(id.client);
        }
        let refused = match client.may_start(launch.class) {
            true => self.make_or_fork(id, launch, files),
            false => Some(StartFailure::Daemonic),
        };
        if let Some(reason) = refused {
            self.refuse(id, reason);
        }
    }

    fn fork_keeper(&mut self, id: Key, mut launch: Launch, mut files: Vec<OwnedFd>) -> io::Result<()> {
        let drains = files.split_off(launch.numbers.len().min(files.len()));
        let own_client = match launch.class {
            Some(class) => {
                let (ours, theirs) = SeqPacket::pair()?;
                files.push(theirs.into_fd());
                launch.numbers.push(GUARDIAN_SOCKET);
                Some(Client::new(ours, Some(class)))
            }
            None => None,
        };
        let (pid, reports) = keeper::fork(&launch, &files, &self.inherited)?;
        let own_client = own_client.map(|client| {
            let client_id = ClientId(self.next_client);
            self.next_client += 1;
            self.clients.insert(client_id, client);
            self.workers.insert(client_id, id);
            client_id
        });
        self.by_keeper.insert(pid, id);
        self.processes.insert(id, Process::new(pid, reports, drains, launch.on_orphan, own_client));
        Ok(())
    }

    /// What the scheduler asked for is ended by its lifetime rule; what a worker asked for, at once.
    fn client_gone(&mut self, id: ClientId) {
        let Some(client) = self.clients.remove(&id) else { return };
        self.forget_orders_of(id);
        if id == ClientId::SCHEDULER {
            self.hear_last_words(&client);
            self.scheduler = None;
            let now = Instant::now();
            let owned = self.processes.iter_mut().filter(|(key, _)| key.client == id);
            owned.for_each(|(_, process)| process.orphan(now));
            self.close_warm();
        } else {
            self.owned_by(id).into_iter().for_each(|owned| self.end(owned));
        }
    }

    /// It said what no client says: a task has written into its worker's socket, say. That worker is of no use any more.
    fn client_garbled(&mut self, id: ClientId) {
        if let Some(&worker) = self.workers.get(&id) {
            self.tell(worker.client, &FromGuardian::Garbled { process: worker.process });
            self.end(worker);
        }
        self.client_gone(id);
    }

    /// What the scheduler still asked to be ended or signalled, before it was gone, is not for its lifetime rule.
    fn hear_last_words(&mut self, scheduler: &Client) {
        while let Ok(Some((message, files))) = courier::receive(&scheduler.socket, false) {
            if matches!(message, ToGuardian::Signal { .. } | ToGuardian::End { .. }) {
                self.obey(ClientId::SCHEDULER, message, files);
            }
        }
    }

    fn owned_by(&self, client: ClientId) -> Vec<Key> {
        self.processes.keys().copied().filter(|key| key.client == client).collect()
    }

    /// A client that can't be told is gone.
    fn tell(&mut self, id: ClientId, message: &FromGuardian) {
        if let Some(client) = self.clients.get_mut(&id)
            && client.tell(message).is_err()
        {
            self.client_gone(id);
        }
    }

    // ----- keepers -----

    fn hear_keeper(&mut self, id: Key) {
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

    /// Reaps whatever has ended: keepers, and strays that the death of a keeper left to the guardian.
    fn reap(&mut self) {
        while let Ok(Some(_)) = self.child_ended.read_signal() {}
        while let Ok(Some(reaped)) = wait::reap_any() {
            // A keeper that was killed could not see to what is below it.
            self.strays |= reaped.status != Status::Exited(0);
            if !self.warm_ended(reaped.pid) {
                self.keeper_ended(reaped.pid);
            }
        }
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
    fn end(&mut self, id: Key) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.end();
        if let Some(client) = process.client {
            self.client_gone(client);
        }
    }

    fn sweep(&mut self) {
        let now = Instant::now();
        let mut given_up = Vec::new();
        for (&id, process) in &mut self.processes {
            if let Some(pids) = process.sweep(now, SWEEP_BUDGET) {
                given_up.push((id, process.keeper, pids));
            }
        }
        for (id, keeper, pids) in given_up {
            self.by_keeper.remove(&keeper);
            self.tell(id.client, &FromGuardian::Unkillable { process: id.process, pids });
            self.bury(id);
        }
        self.give_up_orders();
        if self.strays && !self.warm.may_have_made() {
            self.sweep_strays();
        }
    }

    /// Kills what the death of a keeper left to the guardian: any child that is neither a known keeper nor a warm
    /// interpreter.
    fn sweep_strays(&mut self) {
        let is_known = |pid: &Pid| self.by_keeper.contains_key(pid) || self.warm.is_one(*pid);
        let strays: Vec<Pid> = tree::children(nix::unistd::getpid()).into_iter().filter(|pid| !is_known(pid)).collect();
        for &stray in &strays {
            tree::kill_below(stray, SWEEP_BUDGET);
            tree::kill_child(nix::unistd::getpid(), stray).ok();
        }
        self.strays = !strays.is_empty();
        self.reap();
    }

    /// Reads and drops what a process writes for a scheduler that is gone.
    fn drain(&mut self, id: Key) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.drain();
    }
}
