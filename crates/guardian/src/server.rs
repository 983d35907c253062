//! The guardian: one small process beside each scheduler, which starts and ends every other process.
//!
//! # Why
//! A scheduler can be killed at any moment, and no process may remain after it. So the processes are not children of
//! the scheduler: the guardian starts them, outlives the scheduler, and ends the processes that are left.
//!
//! # Who is whose parent, and who asked for whom
//! ```text
//! scheduler ── guardian ── keeper ── worker ── whatever its tasks start themselves
//!                       ├─ keeper ── worker of a pool that a task in the first worker opened
//!                       ├─ keeper ── command, interpreter
//!                       └─ warm interpreter
//! ```
//! Each process has a [`keeper`]: a fork of the guardian that adopts all descendants (`PR_SET_CHILD_SUBREAPER`). So a
//! process that double-forks, calls `setsid` or clears its environment keeps its place in one tree. The process dies
//! with its keeper, and the keeper with the guardian (`PR_SET_PDEATHSIG`). A [`warm`] interpreter is a child of the
//! guardian, too, and has no keeper: it runs no task.
//!
//! The processes are asked for by a [`client`]: the scheduler, or a worker, which has a socket to the guardian for the
//! processes that its tasks need. The guardian refuses a daemonic client the children that daemonic processes may not
//! have.
//!
//! # The states of a process
//! - *starting*: the keeper was forked. It reports `Started` or `NotStarted`.
//! - *running*: the keeper has reported `Started`. The state lasts until the keeper reports `Exited`, the client asks
//!   for the end, or the client ends. If the client was a worker, the process is ended at once. If it was the
//!   scheduler, the process is ended after the grace of [`OnSchedulerExit`](crate::OnSchedulerExit).
//! - *ending*: in each sweep, all descendants of the keeper get SIGKILL, until the keeper exits because it has no child
//!   left. To stop the descendants first would not converge against a loop of fork and exit; repeated kills do. If the
//!   process is a worker, the processes that it had asked for are ended, too.
//! - *reaped*: the guardian has reaped the keeper, and a process that this process had asked for is still ending.
//! - *removed*: the guardian has sent `Gone` to the client, and knows nothing of the process any more.
//!
//! If a keeper is killed, its descendants become children of the guardian: the [`orphans`], which the guardian kills.
//! If a keeper is stopped by a signal, the guardian continues it.
//!
//! # The loop
//! The guardian waits at one place only: for the sockets of its clients and keepers, a pidfd of the scheduler, and a
//! signalfd for SIGCHLD. Sends do not block, and one sweep examines a bounded number of processes. The scheduler has
//! ended when its socket ends or its pidfd becomes readable. Then each process is ended at once or after its grace, the
//! guardian empties the pipes that nobody reads any more, and it exits when no process is left.

mod client;
mod directory;
mod forked_worker;
mod keeper;
mod orphans;
mod process;
mod reap;
mod requests;
mod wake;
mod warm;
mod warm_start;

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
use pushflow_protocol::fd_message;
use tempfile::TempDir;

use self::client::{Client, ClientId, ProcessKey};
use self::forked_worker::ForkedWorkerSetup;
pub use self::keeper::keep_adopted;
use self::orphans::Orphans;
use self::process::Process;
use self::wake::WakeReason;
use self::warm::WarmPrograms;
use crate::build_id::BUILD;
use crate::messages::{FromGuardian, ToGuardian};
use crate::worker_program::WorkerProgram;

/// How long to wait between two sweeps of a tree that is being ended.
const SWEEP_INTERVAL: Duration = Duration::from_millis(2);
/// How many processes one sweep examines at most before the guardian looks at its sockets again.
const SWEEP_BUDGET: usize = 256;

/// The whole life of a guardian: serves the scheduler at the other end of `socket` until the scheduler has ended and no
/// process is left.
///
/// `inherited` are the numbers at which the calling program had files, if this process is a fork of its zygote. Forked
/// workers keep these numbers taken.
///
/// # Errors
/// When the guardian could not begin, or can't wait or remove its run directory. The scheduler sees the end of its
/// socket.
pub fn run_guardian(socket: SeqPacket, inherited: Vec<RawFd>, program: WorkerProgram) -> io::Result<()> {
    let (scheduler, directory) = match begin(&socket) {
        Ok(begun) => begun,
        Err(error) => {
            // The only way to report it: standard error is /dev/null.
            let unable = FromGuardian::Unable { reason: error.to_string() };
            fd_message::send(&socket, &unable, &[]).ok();
            return Err(error);
        }
    };
    let mut guardian = Guardian::new(socket, scheduler, inherited, program)?;
    let run_directory = directory.path().as_os_str().to_owned();
    guardian.send(ClientId::SCHEDULER, &FromGuardian::Ready { build: BUILD.to_owned(), run_directory });
    guardian.serve()?;
    // Not left to the drop, which would hide the error. Killed workers may have left files in it.
    directory.close()
}

/// Makes this process a guardian. Returns a pidfd of the scheduler, and the run directory.
fn begin(socket: &SeqPacket) -> io::Result<(PidFd, TempDir)> {
    nix::sys::prctl::set_name(c"pushflow-guard")?;
    pushflow_os::signals::block_all()?;
    // Before there are keepers, which inherit it.
    pushflow_os::signals::set_default_sigchld();
    nix::sys::prctl::set_child_subreaper(true)?;
    // The guardian has sockets for all processes at once.
    limits::raise_limit();
    let Some((ToGuardian::Watch, mut files)) = fd_message::receive(socket, true)? else {
        return Err(io::Error::other("the scheduler did not introduce itself"));
    };
    process_tree::require_own_view()?;
    let scheduler = files.pop().ok_or_else(|| io::Error::other("the scheduler sent no pidfd"))?;
    let directory = directory::make()?;
    // So that the guardian keeps no other folder in use, and a guardian below this one finds this run directory.
    nix::unistd::chdir(directory.path())?;
    Ok((PidFd::from_received(scheduler), directory))
}

/// The state of a guardian.
struct Guardian {
    /// A pidfd of the scheduler; `None` after its end.
    scheduler: Option<PidFd>,
    /// The clients that can still ask for processes.
    clients: BTreeMap<ClientId, Client>,
    /// A scheduler that has closed its side of the socket, and may wait for the exit of the guardian. It still gets
    /// `Unkillable`.
    former_scheduler: Option<Client>,
    /// The number of the next client.
    next_client: u64,
    /// The process that each client is, except the scheduler. Kept until the process is removed.
    workers: HashMap<ClientId, ProcessKey>,
    child_ended: SignalFd,
    /// The processes from the fork of their keepers until they are removed.
    processes: HashMap<ProcessKey, Process>,
    /// The processes by the pids of keepers that have not been reaped.
    by_keeper: HashMap<Pid, ProcessKey>,
    warm: WarmPrograms,
    forked_worker_setup: ForkedWorkerSetup,
    orphans: Orphans,
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
            forked_worker_setup: ForkedWorkerSetup { inherited, serve: program.serve },
            orphans: Orphans::default(),
        })
    }

    /// The loop of the guardian.
    fn serve(&mut self) -> io::Result<()> {
        while self.scheduler.is_some()
            || !self.processes.is_empty()
            || !self.warm.is_empty()
            || self.orphans.may_exist()
        {
            for wake in self.wait()? {
                match wake {
                    WakeReason::Client(client) => self.read_client(client),
                    WakeReason::SchedulerEnded => self.close_client(ClientId::SCHEDULER),
                    WakeReason::ChildEnded => self.reap(),
                    WakeReason::Keeper(process) => self.read_keeper(process),
                    WakeReason::Drain(process) => self.drain(process),
                    WakeReason::Warm(pid) => self.read_warm(pid),
                    WakeReason::Order(process) => self.read_order(process),
                    WakeReason::Spare(program) => self.read_spare(program),
                }
            }
            self.sweep();
        }
        Ok(())
    }

    /// Waits until a file is ready or the next sweep is due. Returns which files are ready.
    fn wait(&self) -> io::Result<Vec<WakeReason>> {
        let mut files: Vec<(BorrowedFd<'_>, PollFlags, WakeReason)> =
            vec![(self.child_ended.as_fd(), PollFlags::POLLIN, WakeReason::ChildEnded)];
        if let Some(scheduler) = &self.scheduler {
            files.push((scheduler.as_fd(), PollFlags::POLLIN, WakeReason::SchedulerEnded));
        }
        for (&id, client) in &self.clients {
            let mut flags = PollFlags::POLLIN;
            flags.set(PollFlags::POLLOUT, client.has_waiting());
            files.push((client.socket.as_fd(), flags, WakeReason::Client(id)));
        }
        for (&id, process) in &self.processes {
            if let Some(reports) = &process.reports {
                files.push((reports.as_fd(), PollFlags::POLLIN, WakeReason::Keeper(id)));
            }
            if self.scheduler.is_none() && id.client == ClientId::SCHEDULER {
                files
                    .extend(process.drains.iter().map(|pipe| (pipe.as_fd(), PollFlags::POLLIN, WakeReason::Drain(id))));
            }
        }
        files.extend(self.warm.files().map(|(file, wake)| (file, PollFlags::POLLIN, wake)));
        let mut polled: Vec<PollFd<'_>> = files.iter().map(|(file, flags, _)| PollFd::new(*file, *flags)).collect();
        match poll(&mut polled, self.timeout()) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut wakes: Vec<WakeReason> = polled
            .iter()
            .zip(&files)
            .filter(|(poll, _)| poll.revents().is_some_and(|events| !events.is_empty()))
            .map(|(_, (_, _, wake))| *wake)
            .collect();
        wakes.dedup();
        Ok(wakes)
    }

    /// The time until the next sweep.
    fn timeout(&self) -> PollTimeout {
        let next = self.orphans.may_exist().then(|| Instant::now() + SWEEP_INTERVAL);
        let next = self.processes.values().filter_map(|process| process.next_sweep(SWEEP_INTERVAL)).chain(next);
        let next = next.chain(self.warm.due()).min();
        match next {
            None => PollTimeout::NONE,
            // Rounded up to milliseconds: a timeout of 0 before the sweep is due would spin.
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        }
    }
}
