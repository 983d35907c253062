//! SIGKILL at random moments, to each kind of process in turn, and what is left. The seed is printed; with it in the
//! environment (`PUSHFLOW_TEST_SEED`) the moments are the same again. Counts are printed.
//!
//! - [`schedulers`]: two hundred, on all pools.
//! - [`workers`]: and their keepers, while ten thousand tasks run.
//! - [`guardians`]: killed, and stopped.

mod guardians;
mod schedulers;
mod workers;

use std::fs;
use std::panic::resume_unwind;
use std::thread;

use pushflow_tests::folder::Folder;
use pushflow_tests::processes::Process;

const METHODS: [&str; 3] = ["spawn", "forkserver", "fork"];

/// How many programs of one test run at the same time.
const LANES: usize = 4;

/// Does this in so many lanes at a time, with every number below `count`; what it gave.
fn in_lanes<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let lane = |lane| (lane..count).step_by(LANES).map(&work).collect::<Vec<T>>();
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|number| scope.spawn(move || lane(number))).collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

// ----- processes without a mark -----

/// The folder in which tasks let processes loose: a file for each, named by its pid.
fn daemon_folder() -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.path("daemons")).expect("the folder is new");
    folder
}

/// The processes that were let loose and are still there.
fn daemons(folder: &Folder) -> Vec<Process> {
    let entries = fs::read_dir(folder.path("daemons")).expect("the folder is there");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // They have become `sleep`, or are about to; anything else has the number of one that is gone.
    pids.filter_map(Process::find).filter(|p| p.state != 'Z' && ["sleep", "sh", "env"].contains(&&*p.name)).collect()
}
