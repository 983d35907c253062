//! The modes of the program in which it does something else than to run a workflow of one task (the setting `mode`).

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use pushflow::{Data, RunOptions, TaskPool, TaskResult, TaskSpec};
use pushflow_tests::kernel_view::{Holdings, children};
use pushflow_tests::processes::Process;
use serde_json::{Value, json};

use crate::{Settings, Watcher, daemons, describe};

type Failure = Box<dyn std::error::Error>;

/// The time within which the remains of many short processes must have ended.
const SETTLE_TIME: Duration = Duration::from_secs(10);

/// Runs the mode that the settings name; `None` if they name none.
pub(crate) fn run(settings: &Settings) -> Option<Result<Value, Failure>> {
    Some(match settings.text("mode")? {
        "daemons" => run_daemons(settings),
        "many tasks" => run_many_tasks(settings),
        "orphans" => run_orphans(settings),
        "hand over" => run_hand_over(settings),
        mode => Err(format!("there is no mode {mode:?}").into()),
    })
}

fn options(settings: &Settings) -> Result<RunOptions, Failure> {
    settings.options(Arc::new(Watcher { every: usize::MAX, seen: Default::default() }))
}

fn open(settings: &Settings) -> Result<TaskPool, Failure> {
    let options = options(settings)?;
    Ok(TaskPool::open(options.pool.ok_or("the settings name no pool")?, &options.pool_options)?)
}

/// One run of the workflow of [`daemons`].
fn run_daemons(settings: &Settings) -> Result<Value, Failure> {
    Ok(describe(&daemons::workflow(settings)?.run(settings.inputs()?, &options(settings)?)?))
}

/// Runs `count` short tasks in one pool. Reports how many tasks ended how often, how many returned their own number, and
/// how the others failed.
fn run_many_tasks(settings: &Settings) -> Result<Value, Failure> {
    let count = i64::try_from(settings.number("count").unwrap_or(10_000))?;
    let pool = open(settings)?;
    let (sender, outcomes) = mpsc::channel::<(i64, TaskResult)>();
    for number in 0..count {
        let sender = sender.clone();
        let inputs = settings.inputs()?.with("number", number);
        pool.submit_then(TaskSpec::rust("tells_its_number"), inputs, move |outcome| {
            sender.send((number, outcome)).ok();
        })?;
    }
    drop(sender);
    let (mut ends, mut right, mut failures) = (HashMap::<i64, u32>::new(), 0, Vec::new());
    for (number, outcome) in outcomes {
        *ends.entry(number).or_default() += 1;
        match outcome {
            Ok(result) => right += i64::from(result.value("number")?.and_then(|value| value.as_int()) == Some(number)),
            Err(error) => {
                failures.push(json!({"number": number, "kind": format!("{:?}", error.kind), "pid": error.pid, "message": error.message}))
            }
        }
    }
    pool.shutdown(None, false);
    Ok(json!({
        "ended_once": ends.values().filter(|&&times| times == 1).count(),
        "ended_more_often": ends.values().filter(|&&times| times > 1).count(),
        "right": right,
        "failures": failures,
    }))
}

/// Runs a task that leaves many orphans, then many tasks. Reports the resources of all processes of the run, and the
/// content of its run directory, before and after.
fn run_orphans(settings: &Settings) -> Result<Value, Failure> {
    let pool = open(settings)?;
    let many = |count: u64| -> Result<(), Failure> {
        let inputs = |value| Data::new().with("value", value).with("limit", 0);
        let pending: Result<Vec<_>, _> =
            (0..i64::try_from(count)?).map(|value| pool.submit(TaskSpec::rust("count"), inputs(value))).collect();
        pending?.into_iter().try_for_each(|pending| pending.wait().map(drop))?;
        Ok(())
    };
    // The first of many tasks makes some files and threads once, which are no growth.
    let pid = || -> Result<Option<i64>, Failure> {
        let who = pool.submit(TaskSpec::rust("who"), Data::new())?.wait()?;
        Ok(who.value("pid")?.and_then(|pid| pid.as_int()))
    };
    let worker = pid()?;
    let orphans = |commands: i64, more: i64| {
        let inputs = Data::new().with("commands", commands).with("more", more);
        pool.submit(TaskSpec::rust("leaves_orphans"), inputs)
    };
    let count = settings.number("count").unwrap_or(20_000);
    orphans(5, 5)?.wait()?;
    many(count)?;
    let before = settled(|_| true);
    let (commands, more) = (settings.number("commands").unwrap_or(2_500), settings.number("more").unwrap_or(2_500));
    let result = orphans(i64::try_from(commands)?, i64::try_from(more)?)?.wait()?;
    many(count)?;
    let after = settled(|after| *after == before);
    let same_worker = pid()? == worker;
    Ok(json!({"before": before, "after": after, "same_worker": same_worker, "result": result.to_json()?}))
}

/// The resources of the process tree of this process, when they are as expected or the time limit has passed.
fn settled(is_right: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + SETTLE_TIME;
    loop {
        let began = Instant::now();
        let now = holdings();
        if is_right(&now) && !has_zombies(&now) || began > deadline {
            return now;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether one of the processes has a zombie child.
fn has_zombies(holdings: &Value) -> bool {
    holdings["processes"].as_array().into_iter().flatten().any(|process| process["zombies"] != 0)
}

/// The resources of each process of the tree, and the content of each of its run directories.
fn holdings() -> Value {
    let mut found = Vec::new();
    let mut directories = BTreeSet::new();
    let mut waiting = vec![i32::try_from(std::process::id()).unwrap_or_default()];
    while let Some(pid) = waiting.pop() {
        waiting.extend(children(pid));
        directories.extend(Process::find(pid).and_then(|process| process.run_directory()));
        if let Some(Holdings { name, files, threads, mappings, zombies }) = Holdings::of(pid) {
            found.push(
                json!({"name": name, "files": files, "threads": threads, "mappings": mappings, "zombies": zombies}),
            );
        }
    }
    json!({"processes": found, "run_directories": directories.iter().map(|path| entries(path)).collect::<Vec<_>>()})
}

/// The names of the files in a folder, or the error why it can't be read.
fn entries(folder: &Path) -> Value {
    let names = std::fs::read_dir(folder).and_then(|entries| {
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<io::Result<BTreeSet<_>>>()
    });
    names.map_or_else(|error| json!(error.to_string()), |names| json!(names))
}

/// Opens a pool on a thread, uses it there, and after the end of that thread on another. Returns the pids of the worker
/// before and after.
fn run_hand_over(settings: &Settings) -> Result<Value, Failure> {
    let who = |pool: &TaskPool| -> Result<i64, String> {
        let pending = pool.submit(TaskSpec::rust("who"), Data::new()).map_err(|error| error.to_string())?;
        let result = pending.wait().map_err(|error| error.to_string())?;
        let pid = result.value("pid").map_err(|error| error.to_string())?.and_then(|pid| pid.as_int());
        pid.ok_or_else(|| "the task said no pid".into())
    };
    let opened = std::thread::scope(|scope| {
        let first = scope.spawn(|| -> Result<_, String> {
            let pool = open(settings).map_err(|error| error.to_string())?;
            let pid = who(&pool)?;
            Ok((pool, pid))
        });
        first.join().map_err(|_| "the thread panicked")?
    });
    let (pool, first) = opened?;
    let later: Vec<i64> = (0..200).map(|_| who(&pool)).collect::<Result<_, _>>()?;
    Ok(json!({"first": first, "later": later}))
}
