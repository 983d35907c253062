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
//! What the death of a keeper leaves to the guardian is a stray, see [`strays`]. A keeper that was stopped goes on.
//!
//! # The loop
//! It waits on the clients' sockets, a pidfd of the scheduler, SIGCHLD (as a file) and the keepers' sockets, and never
//! anywhere else: sends do not block, a sweep looks at a bounded number of processes before the next wait. When the
//! socket ends or the pidfd says so, the scheduler is gone: the lifetime rule of each process decides between ending it
//! now or after its grace, pipes nobody reads any more are emptied, and the guardian leaves when there is nothing left.

mod burial;
mod client;
mod copy;
mod directory;
mod keeper;
mod process;
mod requests;
mod strays;
mod warm;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use pushflow_os::{PidFd, SeqPacket, limits, process_tree};
use pushflow_protocol::courier;
use tempfile::TempDir;

use self::client::{Client, ClientId, Key};
use self::copy::ForkedWorkers;
use self::process::Process;
use self::strays::Strays;
use self::warm::WarmPrograms;
pub use self::warm::keep_adopted;
use crate::build_id::BUILD;
use crate::messages::{FromGuardian, ToGuardian};
use crate::worker_program::WorkerProgram;

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
pub fn run_guardian(socket: SeqPacket, inherited: Vec<RawFd>, program: WorkerProgram) -> io::Result<()> {
    let (scheduler, directory) = match begin(&socket) {
        Ok(begun) => begun,
        Err(error) => {
            // The guardian has no other way to say anything.
            let told = FromGuardian::Unable { reason: error.to_string() };
            courier::send(&socket, &told, &[]).ok();
            return Err(error);
        }
    };
    let mut guardian = Guardian::new(socket, scheduler, inherited, program)?;
    let run_directory = directory.path().as_os_str().to_owned();
    guardian.tell(ClientId::SCHEDULER, &FromGuardian::Ready { build: BUILD.to_owned(), run_directory });
    guardian.serve()?;
    // It may hold what killed workers left.
    directory.close()
}

/// Becomes a guardian: the scheduler to watch, and the run directory.
fn begin(socket: &SeqPacket) -> io::Result<(PidFd, TempDir)> {
    nix::sys::prctl::set_name(c"pushflow-guard")?;
    pushflow_os::signals::block_all()?;
    // Before there are children: keepers are forks, and inherit it.
    pushflow_os::signals::set_default_sigchld();
    nix::sys::prctl::set_child_subreaper(true)?;
    // It has files of every process at once, and so more than any of them.
    limits::raise_limit();
    let Some((ToGuardian::Watch, mut files)) = courier::receive(socket, true)? else {
        return Err(io::Error::other("the scheduler did not introduce itself"));
    };
    process_tree::require_own_view()?;
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
    /// The scheduler that needs nothing any more, but may still wait for the end: for the last words to it.
    former_scheduler: Option<Client>,
    next_client: u64,
    /// Which process a client is; the scheduler is none.
    workers: HashMap<ClientId, Key>,
    child_ended: SignalFd,
    processes: HashMap<Key, Process>,
    by_keeper: HashMap<Pid, Key>,
    warm: WarmPrograms,
    forked_workers: ForkedWorkers,
    strays: Strays,
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
    fn new(socket: SeqPacket, scheduler: PidFd, inherited: Vec<RawFd>, program: WorkerProgram) -> io::Result<Guardian> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGCHLD);
        Ok(Guardian {
            scheduler: Some(scheduler),
            clients: BTreeMap::from([(ClientId::SCHEDULER, Client::new(socket, None))]),
            former_scheduler: None,
            next_client: 1,
            workers: HashMap::new(),
            child_ended: SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?,
            processes: HashMap::new(),
            by_keeper: HashMap::new(),
            warm: WarmPrograms::new(program.python_source),
            forked_workers: ForkedWorkers { inherited, serve: program.serve },
            strays: Strays::default(),
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        while self.scheduler.is_some()
            || !self.processes.is_empty()
            || !self.warm.is_empty()
            || self.strays.are_looked_for()
        {
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
        let next = self.strays.are_looked_for().then(|| Instant::now() + SWEEP_INTERVAL);
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
}
