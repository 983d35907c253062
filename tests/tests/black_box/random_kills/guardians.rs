//! The guardian is killed: the run fails at once and says so, and death signals end everything. Or it is stopped: the run
//! ends nevertheless, and the scheduler lets the guardian go on, so that it ends what is left. Where the scheduler is killed
//! meanwhile, the guardian does so when somebody else lets it go on.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pushflow::{POLICIES, Policy};
use pushflow_tests::folder::Folder;
use pushflow_tests::processes::{wait_since, wait_until};
use pushflow_tests::random::{Random, say};
use pushflow_tests::run::{Program, Running};
use serde_json::json;

use super::{METHODS, in_lanes};
use crate::test_program;

/// Within this time a run has ended whose guardian is killed: at once, as a busy machine understands that.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

const PYTHON_SLEEPER: &str = "
import time

def task(**inputs):
    open(__file__ + '.ready', 'w').close()
    time.sleep(1000)
";

/// A command and a Python function that never end and leave nothing that could hide. The function says when it begins.
fn sleepers() -> Folder {
    let folder = Folder::with_tasks(PYTHON_SLEEPER, &[]);
    let script = folder.write_program("script.sh", "#!/bin/sh\nexec sleep 1000\n");
    let nodes = json!([
        {"id": "command", "task_type": "script", "task_identifier": script},
        {"id": "interpreter", "task_type": "ppfmethod", "task_identifier": "tasks.task"},
    ]);
    folder.write_graph(nodes, json!([]));
    folder
}

/// Waits until there is a guardian in its run directory.
fn wait_for_run_directories(running: &Running) -> HashSet<PathBuf> {
    let mut directories = HashSet::new();
    wait_until("a run directory", Duration::from_secs(30), || {
        directories = running.mark().run_directories();
        !directories.is_empty()
    });
    directories
}

/// A command and an interpreter, or workers of a pool in a worker.
fn start_sleepers(folder: &Folder, policy: &Policy, method: &str, nested: bool) -> Running {
    let pool = policy.name;
    if !nested {
        let arguments = ["--pool", pool, "--start-method", method, "--workers", "2"];
        return Program::pushflow_run(folder.graph()).args(arguments).start();
    }
    let inputs = json!({"pool": "billiard", "start_method": method, "task": "sleeps_for_ever"});
    let settings = json!({
        "task": "nests", "shape": "wide", "width": 2, "pool": pool, "start_method": method, "inputs": inputs,
    });
    test_program(&settings).start()
}

/// Kills the guardian some time after it has begun: how many processes there were then, and how long after that the
/// run had ended.
fn kill_guardian(policy: &Policy, method: &str, nested: bool, delay: Duration) -> (usize, Duration) {
    let folder = sleepers();
    let mut running = start_sleepers(&folder, policy, method, nested);
    let directories = wait_for_run_directories(&running);
    thread::sleep(delay);
    let guardian = running.wait_for_guardian();
    let alive = running.mark().processes().len();
    let killed = Instant::now();
    guardian.kill();
    // The death signals of keepers and workers end everything, and the scheduler ends by itself.
    let what = format!("the end of the run on {} by {method}, nested: {nested}", policy.name);
    let ended_after = wait_since(killed, &what, ENDS_WITHIN, || !running.is_running());
    let (finished, rest) = running.wait_for_end();
    rest.mark().assert_none_left();
    // Nobody is left to remove it: a named exception.
    directories.iter().for_each(|directory| drop(fs::remove_dir_all(directory)));
    let lost = format!("the guardian (pid {}) has ended", guardian.pid);
    if finished.code() == Some(0) {
        // The test program tells of its run.
        let run = &finished.json()["runs"][0];
        assert_eq!(run["ending"], "Failed", "{run}");
        assert!(run["errors"].to_string().contains(&lost), "{run}");
    } else {
        // 2 where the pool was still being opened, so that nothing was run.
        assert!([Some(1), Some(2)].contains(&finished.code()), "{finished:#?}");
        finished.assert_error(&lost);
    }
    (alive, ended_after)
}

/// Whoever asks a stopped guardian for something can't know that it will not answer; so this takes seconds.
#[test]
fn a_run_whose_guardian_is_stopped_ends_nevertheless_and_leaves_nothing() {
    let cases = [(None, Some(3)), (Some(Signal::SIGINT), Some(130)), (Some(Signal::SIGKILL), None)];
    in_lanes(cases.len(), |number| {
        let (signal, code) = cases[number];
        let folder = sleepers();
        // A time that includes the opening of the pools, on a busy machine, too.
        let timeout = if signal.is_some() { "10m" } else { "10s" };
        let pool = ["--pool", "multiprocessing", "--workers", "2"];
        let times = ["--timeout", timeout, "--interrupt-grace", "300ms"];
        let running = Program::pushflow_run(folder.graph()).args(pool).args(times).start();
        running.wait_for_process("sleep");
        folder.wait_for("tasks.py.ready");
        let guardian = running.wait_for_guardian();
        let tell = |signal| kill(Pid::from_raw(guardian.pid), signal).expect("it is there");
        tell(Signal::SIGSTOP);
        signal.into_iter().for_each(|signal| running.signal(signal));
        let (finished, rest) = running.wait_for_end();
        assert_eq!(finished.code(), code, "{finished:#?}");
        if code.is_none() {
            assert!(guardian.is_running(), "nobody has let it go on");
            tell(Signal::SIGCONT);
        }
        rest.mark().assert_none_left();
    });
}

#[test]
fn a_run_whose_guardian_is_killed_at_a_random_moment_fails_and_leaves_nothing() {
    let random = Random::of_test("guardians");
    let cases: Vec<_> = POLICIES.iter().flat_map(|policy| METHODS.map(|method| (policy, method))).collect();
    let killed = in_lanes(2 * cases.len(), |number| {
        let (policy, method) = cases[number % cases.len()];
        let mut random = random.branch(u64::try_from(number).expect("it is small"));
        kill_guardian(policy, method, number >= cases.len(), random.time_below(Duration::from_millis(300)))
    });
    say(&format!(
        "guardians: {} killed, {} processes alive then, 0 left, every run failed and said why, the slowest {:?} after \
         the kill",
        killed.len(),
        killed.iter().map(|(alive, _)| alive).sum::<usize>(),
        killed.iter().map(|(_, ended_after)| *ended_after).max().unwrap_or_default(),
    ));
}
