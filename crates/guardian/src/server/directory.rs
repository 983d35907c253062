//! The run directory of a guardian, which holds the sockets for the handshakes with workers.
//!
//! # Where it is
//! The run directory is in `/tmp`, not in `TMPDIR`: the path of a socket has at most 107 bytes.
//!
//! A task can start a scheduler of its own. That scheduler and its guardian are killed with the task, and then nobody
//! could remove their run directory. So it is made inside the run directory of the task's guardian, which that guardian
//! removes. All processes that a task starts have its path in the variable `PUSHFLOW_RUN_DIRECTORY`. The variable may
//! also reach a program that outlives the task, for example over a batch system. So it is used only if the guardian of
//! that run directory is an ancestor of this process.

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
/// The longest path of a run directory in which another one can be made: 107 bytes, less the name of the inner one and
/// the path of a socket in it.
const LONGEST_OUTER: usize = 107 - "/pushflow-XXXXXX".len() - "/rust-ipc-socket-XXXXXX/socket".len();

/// Makes the run directory, which only its user can enter.
pub(super) fn make() -> io::Result<TempDir> {
    let outer = std::env::var_os(role::RUN_DIRECTORY).and_then(|named| outer(Path::new(&named)));
    let parent = outer.unwrap_or_else(|| PathBuf::from("/tmp"));
    let made = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&parent).and_then(|directory| {
        // Set here, since the umask may have changed the mode.
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o700))?;
        Ok(directory)
    });
    made.map_err(|error| {
        let parent = parent.display();
        io::Error::new(error.kind(), format!("a folder for sockets can't be made in {parent}: {error}"))
    })
}

/// The run directory in which to make another one; `None` if `named` is not the run directory of an ancestor. If the
/// path of `named` is too long, this is the next run directory around it.
fn outer(named: &Path) -> Option<PathBuf> {
    if !is_own_run_directory(named) || !is_of_ancestor(named) {
        return None;
    }
    let around = named.ancestors().take_while(|directory| is_own_run_directory(directory));
    around.filter(|directory| directory.as_os_str().as_bytes().len() <= LONGEST_OUTER).map(Path::to_owned).next()
}

/// Whether this is a run directory of this user.
fn is_own_run_directory(directory: &Path) -> bool {
    let is_named_so = directory.file_name().is_some_and(|name| name.as_bytes().starts_with(PREFIX.as_bytes()));
    let user = std::fs::metadata("/proc/self").map(|data| data.uid()).ok();
    let is_own = |data: std::fs::Metadata| data.is_dir() && Some(data.uid()) == user;
    is_named_so && directory.symlink_metadata().is_ok_and(is_own)
}

/// Whether an ancestor of this process has this working directory, as the guardian of a run directory has.
fn is_of_ancestor(directory: &Path) -> bool {
    let known = |pid: &Pid| process_tree::parent_and_state(*pid).ok().flatten();
    let parent = |pid: &Pid| known(pid).map(|(parent, _)| parent).filter(|pid| pid.as_raw() > 1);
    let works_there = |pid: Pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == directory);
    std::iter::successors(parent(&getpid()), parent).any(works_there)
}
