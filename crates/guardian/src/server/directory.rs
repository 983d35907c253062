//! The run directory of a guardian, in which the sockets of the handshake are.
//!
//! # Where it is
//! In `/tmp`, not in `TMPDIR`: the path of a socket has at most 107 bytes. Where a task has started a scheduler of its
//! own, both end with the task: nobody is left then to remove that scheduler's run directory. So that one is made inside
//! the run directory of the guardian that the task belongs to, and goes with it. The variable `PUSHFLOW_RUN_DIRECTORY`,
//! which everything has that a task starts, says where that is. It may also have come to a program that outlives the
//! task, by a batch system say, so the guardian whose directory it is must be an ancestor.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Pid, getpid};
use pushflow_os::process_tree;
use tempfile::TempDir;

use crate::role;

/// What the names of run directories begin with.
const PREFIX: &str = "pushflow-";
/// The longest path of a directory in which another one is made: 107 bytes, less those of that one's name and of a
/// socket below it.
const LONGEST_OUTER: usize = 107 - "/pushflow-XXXXXX".len() - "/rust-ipc-socket-XXXXXX/socket".len();

/// Makes the run directory, which nobody else may look into.
pub(super) fn make() -> io::Result<TempDir> {
    let outer = std::env::var_os(role::RUN_DIRECTORY).and_then(|named| outer(Path::new(&named)));
    let parent = outer.unwrap_or_else(|| PathBuf::from("/tmp"));
    let made = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&parent).and_then(|directory| {
        // The umask of whoever started this program may have taken or left more.
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o700))?;
        Ok(directory)
    });
    made.map_err(|error| {
        let parent = parent.display();
        io::Error::new(error.kind(), format!("a folder for sockets can't be made in {parent}: {error}"))
    })
}

/// The run directory to make another one in: this one, if it is that of an ancestor, or if its path is too long the next
/// one around it, which stays longer.
fn outer(named: &Path) -> Option<PathBuf> {
    if !is_own_run_directory(named) || !is_of_ancestor(named) {
        return None;
    }
    let around = named.ancestors().take_while(|directory| is_own_run_directory(directory));
    around.filter(|directory| directory.as_os_str().as_bytes().len() <= LONGEST_OUTER).map(Path::to_owned).next()
}

fn is_own_run_directory(directory: &Path) -> bool {
    let is_named_so = directory.file_name().is_some_and(|name| name.as_bytes().starts_with(PREFIX.as_bytes()));
    let user = std::fs::metadata("/proc/self").map(|data| data.uid()).ok();
    let is_own = |data: std::fs::Metadata| data.is_dir() && Some(data.uid()) == user;
    is_named_so && directory.symlink_metadata().is_ok_and(is_own)
}

/// Whether a process above this one works in that directory, as its guardian does.
fn is_of_ancestor(directory: &Path) -> bool {
    let known = |pid: &Pid| process_tree::parent_and_state(*pid).ok().flatten();
    let parent = |pid: &Pid| known(pid).map(|(parent, _)| parent).filter(|pid| pid.as_raw() > 1);
    let works_there = |pid: Pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == directory);
    std::iter::successors(parent(&getpid()), parent).any(works_there)
}
