//! One warm interpreter: its start, its orders, its end.

use std::ffi::{OsStr, OsString};
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
use super::{Order, Spare};
use crate::messages::{Launch, Source, WORKER_PID, Warm};

/// The file at which it finds the socket for orders.
const ORDERS: RawFd = 3;
/// What keepers execute, in the run directory: a link, so that they have this name from the beginning.
const KEEPER_LINK: &str = "pushflow-keep";
/// How many processes below one that is ended are looked at.
const BUDGET: usize = 256;

/// All that copies of one interpreter have in common.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Recipe {
    program: OsString,
    arguments: Vec<OsString>,
    modules: Vec<TaskModule>,
    environment: Vec<(OsString, Option<OsString>)>,
    directory: Option<OsString>,
}

impl Recipe {
    pub(super) fn new(launch: &Launch, warm: &Warm) -> Recipe {
        let common = launch.environment.iter().filter(|(name, _)| name != WORKER_PID);
        Recipe {
            program: launch.program.clone(),
            arguments: warm.arguments.clone(),
            modules: warm.modules.clone(),
            environment: common.cloned().collect(),
            directory: launch.directory.clone(),
        }
    }

    pub(super) fn modules(&self) -> &[TaskModule] {
        &self.modules
    }
}

/// A warm interpreter from its start until it has been reaped.
pub(super) struct WarmProgram {
    pub(super) recipe: Recipe,
    pub(super) pid: Pid,
    /// `None` once it has closed it.
    pub(super) socket: Option<SeqPacket>,
    /// It has said that it is warm.
    pub(super) is_warm: bool,
    /// It has been killed.
    pub(super) is_ending: bool,
    /// What it has not answered.
    pub(super) orders: Vec<Order>,
    pub(super) spare: Option<Spare>,
    /// The number of its last order.
    pub(super) last_order: u64,
    keeper: PathBuf,
}

impl WarmProgram {
    /// Starts one; what it prints while it starts and imports goes where the process prints that is to be made first.
    pub(super) fn start(recipe: Recipe, source: &[u8], launch: &Launch, files: &[OwnedFd]) -> io::Result<WarmProgram> {
        let [_, stdout, stderr] = files else { return Err(io::Error::from(io::ErrorKind::InvalidInput)) };
        let keeper = keeper_link()?;
        let (ours, theirs) = SeqPacket::pair()?;
        let files = [memory_file(source)?, stdout.try_clone()?, stderr.try_clone()?, theirs.into_fd()];
        let launch = Launch {
            source: Source::Program,
            arguments: recipe.arguments.clone(),
            numbers: vec![0, 1, 2, ORDERS],
            ..launch.clone()
        };
        let pid = keeper::fork_child(&launch, &files)?;
        let (is_warm, is_ending) = (false, false);
        let (socket, orders) = (Some(ours), Vec::new());
        Ok(WarmProgram { recipe, pid, socket, is_warm, is_ending, orders, spare: None, last_order: 0, keeper })
    }

    /// One that is warm, for tests: there is no process.
    #[cfg(test)]
    pub(super) fn pretended(recipe: Recipe, pid: Pid, orders: Vec<Order>) -> WarmProgram {
        let (is_warm, is_ending) = (true, false);
        let keeper = PathBuf::new();
        WarmProgram { recipe, pid, socket: None, is_warm, is_ending, orders, spare: None, last_order: 0, keeper }
    }

    /// Orders a process: where its keeper will report.
    pub(super) fn send(&self, launch: &Launch, files: &[OwnedFd]) -> io::Result<SeqPacket> {
        let (Source::Warm(warm), Some(channel)) = (&launch.source, files.first()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        self.send_for(&warm.name, &[channel.as_fd()])
    }

    /// Orders a process that nobody needs yet.
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

    /// When an order, or a spare that is being made, takes too long.
    pub(super) fn due(&self) -> Option<Instant> {
        let spare = self.spare.iter().filter(|spare| spare.keeper.is_none()).map(|spare| spare.due);
        self.orders.iter().map(|order| order.due).chain(spare).min()
    }

    pub(super) fn is_keeper_of_spare(&self, pid: Pid) -> bool {
        self.spare.as_ref().is_some_and(|spare| spare.keeper == Some(pid))
    }

    /// Kills it, and what its imports have started. What it leaves to the guardian meanwhile is a stray.
    pub(super) fn end(&mut self) {
        self.is_ending = true;
        self.spare = None;
        process_tree::kill_descendants(self.pid, BUDGET);
        // Its pid is its own until it is reaped, so that no look is needed that may have no file left.
        kill(self.pid, Signal::SIGKILL).ok();
    }
}

impl Order {
    /// Sends a process that was made what it is to be, and the worker's files.
    pub(super) fn hand_over(&self) -> io::Result<()> {
        let Source::Warm(warm) = &self.launch.source else { return Err(io::ErrorKind::InvalidInput.into()) };
        let worker = self.launch.environment.iter().rfind(|(name, _)| name == WORKER_PID);
        let worker = worker.and_then(|(_, pid)| pid.as_deref()).unwrap_or(OsStr::new(""));
        let files: Vec<BorrowedFd<'_>> = self.files.iter().map(AsFd::as_fd).collect();
        self.reports.send(&texts(&[warm.name.as_bytes(), worker.as_bytes()]), &files, false)
    }
}

/// Texts in a message, each ended by a zero byte.
fn texts(texts: &[&[u8]]) -> Vec<u8> {
    texts.iter().flat_map(|text| text.iter().copied().chain([0])).collect()
}

/// The program that this process runs, under the name of keepers. Not by its path: there may be another file by now.
fn keeper_link() -> io::Result<PathBuf> {
    let link = std::env::current_dir()?.join(KEEPER_LINK);
    match std::os::unix::fs::symlink(Path::new("/proc").join(getpid().to_string()).join("exe"), &link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => access(&link, AccessFlags::X_OK)?,
    }
    Ok(link)
}

/// A file of these bytes, to be read from its beginning.
fn memory_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(c"pushflow python", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}
