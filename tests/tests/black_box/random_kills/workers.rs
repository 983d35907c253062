//! Workers, or their keepers, are killed one after the other while ten thousand tasks run: each task ends exactly once,
//! none is begun twice, and what is lost is what the killed workers ran: one task each at the most.

use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::Duration;
use std::{fmt, fs};

use pushflow_tests::folder::Folder;
use pushflow_tests::parallel::run_all;
use pushflow_tests::processes::Process;
use pushflow_tests::random::{Random, say};
use serde_json::{Value, json};

use super::{daemon_folder, daemons};
use crate::test_program;

/// The short name of a worker that runs the test program.
const WORKER: &str = "pushflow-test-p";

const TASKS: u64 = 10_000;

/// A pool that ran many tasks while its processes were killed one after the other.
struct KilledPool {
    what: String,
    /// The workers that were killed, themselves or with their keepers.
    kills: HashSet<u64>,
    /// The tasks that each worker had begun, as the tasks wrote down themselves.
    begun: HashMap<u64, Vec<u64>>,
    report: Value,
}

/// How the processes of a pool are started and killed.
struct Manner {
    pool: &'static str,
    method: &'static str,
    work: Duration,
    /// The process to kill when a worker was chosen: the worker or its keeper.
    victim: fn(&Process) -> Option<Process>,
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, tasks of {:?}", self.pool, self.method, self.work)
    }
}

/// Runs many tasks in a pool while its processes are killed. Some of the tasks start daemons, too.
fn kill_while_tasks_run(manner: &Manner, mut random: Random) -> KilledPool {
    let folder = daemon_folder();
    let work = u64::try_from(manner.work.as_micros()).expect("it is short");
    let inputs = json!({"folder": folder.path(""), "daemon_every": 500, "abort_every": 0, "work_us": work, "pad": 0});
    let settings = json!({
        "mode": "many tasks", "pool": manner.pool, "start_method": manner.method, "workers": 4, "count": TASKS,
        "inputs": inputs,
    });
    let mut running = test_program(&settings).start();
    let mut kills = HashSet::new();
    // Three workers in a row that end before they are ready are a reason to give up, not a coincidence: so between any
    // two that have not begun a task, another one begins its first.
    let mut begun_at_unready_kill = None;
    while running.is_running() {
        thread::sleep(Duration::from_millis(5) + random.time_below(Duration::from_millis(30)));
        let workers = running.mark().workers_named(WORKER);
        let Some(worker) = random.choose(&workers) else { continue };
        let is_ready = folder.has(&format!("begun-{}", worker.pid));
        let begun = (!is_ready).then(|| begun(&folder).len());
        if begun.is_some() && begun == begun_at_unready_kill {
            continue;
        }
        let Some(victim) = (manner.victim)(worker).filter(Process::is_running) else { continue };
        victim.kill();
        begun_at_unready_kill = begun.or(begun_at_unready_kill);
        kills.insert(u64::from(worker.pid.unsigned_abs()));
    }
    let report = running.wait().assert_code(0).json();
    let left = daemons(&folder);
    left.iter().for_each(Process::kill);
    assert_eq!(left.len(), 0, "what was let loose is left");
    assert!(fs::read_dir(folder.path("daemons")).expect("it is there").count() > 0, "no daemon was started");
    KilledPool { what: manner.to_string(), kills, begun: begun(&folder), report }
}

/// The tasks that each worker has begun so far.
fn begun(folder: &Folder) -> HashMap<u64, Vec<u64>> {
    let entries = fs::read_dir(folder.path("")).expect("the folder is there").flatten();
    let pid = |name: &str| name.strip_prefix("begun-")?.parse().ok();
    let names = entries.filter_map(|entry| Some((pid(entry.file_name().to_str()?)?, entry.path())));
    let numbers =
        |path| fs::read_to_string(path).expect("it is text").lines().map(|n| n.parse().expect("a number")).collect();
    names.map(|(pid, path)| (pid, numbers(path))).collect()
}

impl KilledPool {
    /// Every task has ended exactly once, none was begun twice, and what failed had been begun by a worker that was
    /// killed: at most one for each.
    fn assert_only_what_ran_is_lost(&self) {
        let KilledPool { what, kills, begun, report } = self;
        let failures = report["failures"].as_array().expect("a list");
        let twice =
            begun.values().map(Vec::len).sum::<usize>() - begun.values().flatten().collect::<HashSet<_>>().len();
        let mut lost = HashMap::<u64, Vec<u64>>::new();
        for failure in failures {
            assert_eq!(failure["kind"], "WorkerLost", "{what}: {failure}");
            let [pid, number] =
                ["pid", "number"].map(|name| failure[name].as_u64().unwrap_or_else(|| panic!("{what}: {failure}")));
            assert!(kills.contains(&pid), "{what}: nobody has killed the worker of {failure}");
            lost.entry(pid).or_default().push(number);
        }
        let most_lost = lost.values().map(Vec::len).max().unwrap_or(0);
        say(&format!(
            "{what}: {} kills; of {TASKS} tasks {} ended once, {} more often, {} with their result, {} lost (at most \
             {most_lost} with one worker); {twice} were begun twice",
            kills.len(),
            report["ended_once"],
            report["ended_more_often"],
            report["right"],
            failures.len(),
        ));
        assert_eq!(
            (&report["ended_once"], &report["ended_more_often"]),
            (&json!(TASKS), &json!(0)),
            "{what}: {report}"
        );
        assert_eq!(report["right"].as_u64(), TASKS.checked_sub(failures.len() as u64), "{what}: {report}");
        assert_eq!(twice, 0, "{what}");
        assert!(most_lost <= 1, "{what}: {lost:?}");
        for (pid, numbers) in &lost {
            // The last task may have begun and not have written that down yet.
            let said = begun.get(pid).map_or(&[][..], Vec::as_slice);
            let unsaid = numbers.iter().filter(|number| !said.contains(number)).count();
            assert!(unsaid <= 1, "{what}: the worker {pid} had begun {said:?}, but {numbers:?} were lost");
        }
        assert!(kills.len() > 10 && !lost.is_empty(), "{what}: too few kills, or none hit a running attempt");
    }
}

/// Attempts that take longer than a millisecond are given to a worker one at a time.
const LONG: Duration = Duration::from_micros(1500);
/// Of shorter ones a worker has several, and answers them together.
const SHORT: Duration = Duration::from_micros(300);

fn itself(worker: &Process) -> Option<Process> {
    Some(worker.clone())
}

fn its_keeper(worker: &Process) -> Option<Process> {
    Process::find(worker.parent).filter(|keeper| keeper.name == "pushflow-keep")
}

/// Kills in several pools at the same time, since the programs wait most of their time.
fn kill_in_pools(manners: &[Manner], test: &str) {
    let random = Random::of_test(test);
    run_all(manners, |manner| {
        let number = manners.iter().position(|other| std::ptr::eq(other, manner)).expect("it is one of them");
        let pool = kill_while_tasks_run(manner, random.branch(number as u64));
        pool.assert_only_what_ran_is_lost();
    });
}

#[test]
fn ten_thousand_tasks_end_once_each_while_workers_are_killed_at_random() {
    let manner = |pool, method, work| Manner { pool, method, work, victim: itself };
    let manners = [("process", "spawn", LONG), ("billiard", "fork", LONG), ("process", "forkserver", SHORT)];
    kill_in_pools(&manners.map(|(pool, method, work)| manner(pool, method, work)), "workers");
}

#[test]
fn ten_thousand_tasks_end_once_each_while_keepers_are_killed_at_random() {
    let manner = |pool, method, work| Manner { pool, method, work, victim: its_keeper };
    kill_in_pools(&[manner("process", "fork", LONG), manner("billiard", "spawn", SHORT)], "keepers");
}

/// Many tasks that take no time are under way in a worker at once: those that have ended keep their results, and those that
/// wait are run by another.
#[test]
fn a_task_that_ends_its_worker_is_lost_alone_however_short_the_tasks_before_and_after_it_are() {
    const COUNT: u64 = 1_000;
    // Less than a worker has at once.
    const EVERY: u64 = 20;
    // Long results are answered in shared memory.
    let cases = [("process", "spawn", 1, 0), ("billiard", "fork", 2, 0), ("ndprocess", "forkserver", 1, 20_000)];
    for (pool, method, workers, pad) in cases {
        let folder = daemon_folder();
        let inputs =
            json!({"folder": folder.path(""), "daemon_every": 0, "abort_every": EVERY, "work_us": 0, "pad": pad});
        let settings = json!({
            "mode": "many tasks", "pool": pool, "start_method": method, "workers": workers, "count": COUNT, "inputs": inputs,
        });
        let report = test_program(&settings).start().wait().assert_code(0).json();
        let failures = report["failures"].as_array().expect("a list");
        let mut lost: Vec<u64> = failures.iter().filter_map(|failure| failure["number"].as_u64()).collect();
        lost.sort_unstable();
        let aborting: Vec<u64> = (0..COUNT).filter(|number| number % EVERY == EVERY - 1).collect();
        assert_eq!(lost, aborting, "{pool}, {method}: {failures:?}");
        for failure in failures {
            assert_eq!(failure["kind"], "WorkerLost", "{pool}, {method}: {failure}");
            assert!(failure["message"].to_string().contains("SIGABRT"), "{pool}, {method}: {failure}");
        }
        assert_eq!(report["ended_once"], COUNT, "{pool}, {method}");
        assert_eq!(report["right"], COUNT - COUNT / EVERY, "{pool}, {method}");
    }
}
