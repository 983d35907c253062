//! Schedulers are killed at random moments from their start to their end, while their tasks start daemons. A second later,
//! or when the grace has passed, no process is left.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pushflow::POLICIES;
use pushflow_tests::folder::Folder;
use pushflow_tests::processes::{CLEAN_UP_LIMIT, Process, time_until_none_left};
use pushflow_tests::random::{Random, say};
use pushflow_tests::run::Running;
use serde_json::{Value, json};

use super::{METHODS, daemon_folder, daemons, in_lanes};
use crate::test_program;

const SCHEDULER_KILLS: usize = 200;

/// Runs last about so long, if they end.
const RUN_TIME: Duration = Duration::from_millis(500);

/// The grace of half the runs on pools that are not daemonic.
const GRACE: Duration = Duration::from_millis(300);

/// The result of one kill of a scheduler.
struct SchedulerKill {
    what: String,
    /// How many runs had ended before the moment of the kill, so that another run was started.
    had_ended: usize,
    /// The processes just before the kill, if the test listed them.
    alive: Option<usize>,
    daemons: usize,
    left: Vec<Process>,
    /// How long after the kill nothing was left, or after the end of the grace if there is one.
    gone_after: Duration,
    directories: HashSet<PathBuf>,
}

/// The settings of a run, and the time after the end of its scheduler after which no process may be left.
fn daemon_run(number: usize, folder: &Folder) -> (Value, Duration) {
    let policy = POLICIES[number % POLICIES.len()];
    let method = METHODS[number / POLICIES.len() % METHODS.len()];
    let with_grace = number / (POLICIES.len() * METHODS.len()) % 2 == 1;
    // A third of the runs would never end by themselves.
    let sleep = if number.is_multiple_of(3) { 60_000 } else { 150 };
    let inputs = json!({"folder": folder.path("daemons"), "sleep_ms": sleep});
    let mut settings = json!({
        "mode": "daemons", "pool": policy.name, "start_method": method, "workers": 2, "inputs": inputs,
    });
    if policy.class.daemonic {
        // Daemonic pools have no grace, whatever the settings ask for. The settings ask for the default, which is long.
        return (settings, CLEAN_UP_LIMIT);
    }
    let grace = if with_grace { GRACE } else { Duration::ZERO };
    settings["orphan_grace_ms"] = json!(u64::try_from(grace.as_millis()).expect("it is short"));
    (settings, CLEAN_UP_LIMIT + grace)
}

/// What was seen just before a kill.
struct Look {
    alive: usize,
    directories: HashSet<PathBuf>,
}

/// Starts a run whose scheduler is to be killed; `None` if the run ends before that moment.
fn start_daemon_run(
    number: usize,
    settings: &Value,
    folder: &Folder,
    moment: Duration,
) -> Option<(Running, Option<Look>)> {
    let moment = Instant::now() + moment;
    let mut running = test_program(settings).start();
    thread::sleep(moment.saturating_duration_since(Instant::now()));
    // To list the processes takes milliseconds: with a list before each kill, no kill would come in the first of them.
    let look = || Look { alive: left(&running, folder).len(), directories: running.mark().run_directories() };
    let look = (number % 2 == 1).then(look);
    running.is_running().then_some((running, look))
}

fn kill_scheduler(number: usize, mut random: Random) -> SchedulerKill {
    let folder = daemon_folder();
    let (settings, limit) = daemon_run(number, &folder);
    let mut had_ended = 0;
    let (running, look) = loop {
        match start_daemon_run(number, &settings, &folder, random.time_below(RUN_TIME)) {
            Some(started) => break started,
            None => had_ended += 1,
        }
    };
    let killed = Instant::now();
    running.signal(Signal::SIGKILL);
    let mut directories = running.mark().run_directories();
    let gone = time_until_none_left(killed, limit, || left(&running, &folder));
    directories.extend(look.iter().flat_map(|look| look.directories.clone()));
    let gone_after = gone.as_ref().map_or(killed.elapsed(), |time| *time);
    let gone_after = (gone_after + CLEAN_UP_LIMIT).saturating_sub(limit);
    let (_, rest) = running.wait_for_end();
    // Processes that were being started during the list exist by now, if they are left.
    let left =
        gone.and_then(|_| time_until_none_left(killed, limit, || left(&rest, &folder))).err().unwrap_or_default();
    left.iter().filter(|process| process.name == "sleep").for_each(Process::kill);
    let daemons = fs::read_dir(folder.path("daemons")).expect("the folder is there").count();
    let what = format!("kill {number}: {settings}");
    let alive = look.map(|look| look.alive);
    SchedulerKill { what, had_ended, alive, daemons, left, gone_after, directories }
}

#[test]
fn two_hundred_schedulers_killed_at_random_moments_leave_nothing() {
    let random = Random::of_test("schedulers");
    let kills = in_lanes(SCHEDULER_KILLS, |number| {
        kill_scheduler(number, random.branch(u64::try_from(number).expect("it is small")))
    });
    let count = |what: fn(&SchedulerKill) -> usize| kills.iter().map(what).sum::<usize>();
    let looked_at: Vec<usize> = kills.iter().filter_map(|kill| kill.alive).collect();
    let all_left: Vec<_> =
        kills.iter().filter(|kill| !kill.left.is_empty()).map(|kill| (&kill.what, &kill.left)).collect();
    let slowest = kills.iter().map(|kill| kill.gone_after).max().unwrap_or_default();
    let told: HashSet<&PathBuf> = kills.iter().flat_map(|kill| &kill.directories).collect();
    let left_directories = told.iter().filter(|directory| directory.exists()).count();
    say(&format!(
        "schedulers: {} killed, and {} that had ended before; {} processes alive at the {} kills with a look; {} let \
         loose; {} left (the slowest were gone {slowest:?} after the kill or the grace); {left_directories} of {} run \
         directories left",
        kills.len(),
        count(|kill| kill.had_ended),
        looked_at.iter().sum::<usize>(),
        looked_at.len(),
        count(|kill| kill.daemons),
        count(|kill| kill.left.len()),
        told.len(),
    ));
    assert!(all_left.is_empty(), "{all_left:#?}");
    let found = kills.iter().filter(|kill| !kill.directories.is_empty()).count();
    assert!(found > kills.len() / 10, "run directories were found of {found} runs only");
    assert_eq!(left_directories, 0);
    assert!(count(|kill| kill.daemons) > 0, "no task was run at all");
}

/// All processes of a run that are left.
fn left(running: &Running, folder: &Folder) -> Vec<Process> {
    let mut all = running.mark().processes();
    all.extend(daemons(folder));
    all.sort_by_key(|process| process.pid);
    all.dedup_by_key(|process| process.pid);
    all
}
