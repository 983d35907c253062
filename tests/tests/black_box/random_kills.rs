//! SIGKILL at random moments, to each kind of process in turn: no process is left. The tests print counts and their seed;
//! with that seed in the environment (`PUSHFLOW_TEST_SEED`) the moments are the same again.
//!
//! - [`schedulers`]: two hundred schedulers are killed, on all pools.
//! - [`workers`]: workers and keepers are killed while ten thousand tasks run.
//! - [`guardians`]: guardians are killed or stopped.

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

/// Calls the function with every number below `count`, in several lanes at a time, and returns the results.
fn in_lanes<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let lane = |lane| (lane..count).step_by(LANES).map(&work).collect::<Vec<T>>();
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|number| scope.spawn(move || lane(number))).collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

// ----- processes without a mark -----

/// The folder in which each daemon that a task starts makes a file named by its pid.
fn daemon_folder() -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.path("daemons")).expect("the folder is new");
    folder
}

/// The daemons that still run.
fn daemons(folder: &Folder) -> Vec<Process> {
    let entries = fs::read_dir(folder.path("daemons")).expect("the folder is there");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // A daemon is `sleep`, or is about to execute it. A process of another name has the pid of a daemon that has ended.
    pids.filter_map(Process::find).filter(|p| p.state != 'Z' && ["sleep", "sh", "env"].contains(&&*p.name)).collect()
}
