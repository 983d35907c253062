//! [`WarmProgram`]: one warm interpreter, its start, its orders and its end.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{AccessFlags, Pid, access, getpid};
use pushflow_model::TaskModule;
use pushflow_os::{SeqPacket, process_tree};

use super::super::keeper;
use super::order::{Order, Spare, texts};
use crate::messages::{ProcessSource, StartRequest, WORKER_PID, WarmStart};

/// The number at which a warm interpreter finds the socket for orders.
const ORDERS: RawFd = 3;
/// The name of the link in the run directory that keepers execute. It gives them this name from the first instruction
/// on.
const KEEPER_LINK: &str = "pushflow-keep";
/// How many descendants of a warm interpreter are examined when it is ended.
const BUDGET: usize = 256;

/// The parts of a request that all forks of one warm interpreter have in common.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Recipe {
    program: OsString,
    arguments: Vec<OsString>,
    modules: Vec<TaskModule>,
    environment: Vec<(OsString, Option<OsString>)>,
    directory: Option<OsString>,
}

impl Recipe {
    /// The recipe of a request. The variable [`WORKER_PID`] is not part of it.
    pub(super) fn new(request: &StartRequest, warm: &WarmStart) -> Recipe {
        let common = request.environment.iter().filter(|(name, _)| name != WORKER_PID);
        Recipe {
            program: request.program.clone(),
            arguments: warm.arguments.clone(),
            modules: warm.modules.clone(),
            environment: common.cloned().collect(),
            directory: request.directory.clone(),
        }
    }

    /// The modules to import.
    pub(super) fn modules(&self) -> &[TaskModule] {
        &self.modules
    }
}

/// A warm interpreter from its start until it has been reaped.
pub(super) struct WarmProgram {
    pub(super) recipe: Recipe,
    pub(super) pid: Pid,
    /// The socket for orders; `None` after its end.
    pub(super) socket: Option<SeqPacket>,
    /// Whether it has said that it is warm.
    pub(super) is_warm: bool,
    /// Whether the guardian has killed it.
    pub(super) is_ending: bool,
    /// The open orders.
    pub(super) orders: Vec<Order>,
    /// The spare that was forked, or is being forked.
    pub(super) spare: Option<Spare>,
    /// The number of its last order among all orders of the guardian.
    pub(super) last_order: u64,
    /// The path of the program that keepers execute.
    keeper: PathBuf,
}

impl WarmProgram {
    /// Starts a warm interpreter. Until its imports are done it prints to the standard output and error of the first
    /// process that it is to fork.
    pub(super) fn start(
        recipe: Recipe,
        source: &[u8],
        request: &StartRequest,
        files: &[OwnedFd],
    ) -> io::Result<WarmProgram> {
        let [_, stdout, stderr] = files else { return Err(io::Error::from(io::ErrorKind::InvalidInput)) };
        let keeper = keeper_link()?;
        let (ours, theirs) = SeqPacket::pair()?;
        let files = [memory_file(source)?, stdout.try_clone()?, stderr.try_clone()?, theirs.into_fd()];
        let request = StartRequest {
            source: ProcessSource::Program,
            arguments: recipe.arguments.clone(),
            numbers: vec![0, 1, 2, ORDERS],
            ..request.clone()
        };
        let pid = keeper::fork_child(&request, &files)?;
        let (is_warm, is_ending) = (false, false);
        let (socket, orders) = (Some(ours), Vec::new());
        Ok(WarmProgram { recipe, pid, socket, is_warm, is_ending, orders, spare: None, last_order: 0, keeper })
    }

    /// A warm interpreter without a process, for tests.
    #[cfg(test)]
    pub(super) fn pretended(recipe: Recipe, pid: Pid, orders: Vec<Order>) -> WarmProgram {
        let (is_warm, is_ending) = (true, false);
        let keeper = PathBuf::new();
        WarmProgram { recipe, pid, socket: None, is_warm, is_ending, orders, spare: None, last_order: 0, keeper }
    }

    /// Orders a process. Returns the socket on which its keeper will report.
    pub(super) fn send(&self, request: &StartRequest, files: &[OwnedFd]) -> io::Result<SeqPacket> {
        let (ProcessSource::Warm(warm), Some(channel)) = (&request.source, files.first()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        self.send_for(&warm.name, &[channel.as_fd()])
    }

    /// Orders a spare. Returns the socket on which its keeper will report.
    pub(super) fn send_for_spare(&self) -> io::Result<SeqPacket> {
        self.send_for("", &[])
    }

    fn send_for(&self, name: &str, files: &[BorrowedFd<'_>]) -> io::Result<SeqPacket> {
        let socket = self.socket.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        let (ours, theirs) = SeqPacket::pair()?;
        let files: Vec<BorrowedFd<'_>> = [theirs.as_fd()].iter().chain(files).copied().collect();
        socket.send(&texts(&[self.keeper.as_os_str().as_bytes(), name.as_bytes()]), &files, false)?;
        Ok(ours)
    }

    /// The time at which an order, or a spare that is being forked, is overdue.
    pub(super) fn due(&self) -> Option<Instant> {
        let spare = self.spare.iter().filter(|spare| spare.keeper.is_none()).map(|spare| spare.due);
        self.orders.iter().map(|order| order.due).chain(spare).min()
    }

    /// Whether this is the keeper of its spare.
    pub(super) fn is_keeper_of_spare(&self, pid: Pid) -> bool {
        self.spare.as_ref().is_some_and(|spare| spare.keeper == Some(pid))
    }

    /// Kills the warm interpreter, and the processes that its imports have started. A descendant that this pass misses
    /// becomes an orphan.
    pub(super) fn end(&mut self) {
        self.is_ending = true;
        self.spare = None;
        process_tree::kill_descendants(self.pid, BUDGET);
        // By pid, which needs no file descriptor. The interpreter has not been reaped, so no other process can have its
        // pid.
        kill(self.pid, Signal::SIGKILL).ok();
    }
}

/// Makes a link with the name of keepers to the program that this process runs, if there is none. The link leads over
/// `/proc`, since the path of the program may lead to another file by now.
fn keeper_link() -> io::Result<PathBuf> {
    let link = std::env::current_dir()?.join(KEEPER_LINK);
    match std::os::unix::fs::symlink(Path::new("/proc").join(getpid().to_string()).join("exe"), &link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => access(&link, AccessFlags::X_OK)?,
    }
    Ok(link)
}

/// A memory file of these bytes, at its beginning.
fn memory_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(c"pushflow python", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}
