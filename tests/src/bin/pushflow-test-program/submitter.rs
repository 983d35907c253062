//! Submits one task after another to one pool, and says what came back of each and whether the pool goes on.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pushflow::{Data, Key, Pending, PoolOptions, PythonOptions, TaskPool, TaskResult, TaskSpec};
use serde_json::{Value, json};

use crate::misbehaving::nested;

type Failure = Box<dyn std::error::Error>;

/// How long an outcome is waited for, unless the step says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often something is looked at that can't be waited for.
const PAUSE: Duration = Duration::from_millis(2);

/// Takes all steps on one pool. What they say (each a JSON object):
///
/// - `rust`, `python` (of the module `tasks`) or `command`: the task. `inputs`. `depth`: one more input, `deep`, nested so
///   deep.
/// - `when`: `ready`, when the task has written its pid into the file `ready`, or `stopped`, when that process is stopped.
/// - `then`: `interrupt` the attempt, or `kill` that process, or `kill keeper`.
/// - `callback`: `panics`; the outcome goes to a callback that panics with it.
/// - `patience_ms`: how long the outcome is waited for.
/// - `neighbours`: what happens to others when a busy worker is killed; see [`kill_a_busy_worker`].
///
/// `folder` is where files are; with `python` set there are Python tasks; `workers`, 2 by default.
pub(crate) fn take(steps: &[Value], settings: &Value) -> Result<Value, Failure> {
    let folder = PathBuf::from(settings["folder"].as_str().ok_or("there is no folder")?);
    let pool = open(settings, &folder)?;
    let (mut report, mut unanswered) = (Vec::new(), Vec::new());
    for step in steps {
        let seen = match step["neighbours"] == true {
            true => kill_a_busy_worker(&pool, &folder),
            false => one(&pool, &folder, step, &mut unanswered),
        };
        let after = four_more(&pool, step["python"].is_string() && settings["python"] == true);
        report.push(json!({"seen": seen?, "after": after?}));
    }
    let closed = pool.shutdown(Some(Duration::from_millis(500)), true);
    let late: Vec<Value> = unanswered.into_iter().map(|pending| describe(pending.wait())).collect();
    Ok(json!({"steps": report, "closed": closed, "late": late}))
}

fn open(settings: &Value, folder: &Path) -> Result<TaskPool, Failure> {
    let text = |name: &str, default| settings[name].as_str().unwrap_or(default);
    let python = || PythonOptions::new(std::env::var_os("PUSHFLOW_PYTHON").unwrap_or_default(), vec![folder.into()]);
    let mut options = PoolOptions::new()
        .max_workers(settings["workers"].as_u64().map_or(2, |workers| usize::try_from(workers).unwrap_or(2)))
        .start_method(text("start_method", "default").parse()?)
        .interrupt_grace(Duration::from_millis(200));
    options.python = (settings["python"] == true).then(python);
    Ok(TaskPool::open(text("pool", "process").parse()?, &options)?)
}

fn task(step: &Value) -> Result<TaskSpec, Failure> {
    if let Some(name) = step["rust"].as_str() {
        return Ok(TaskSpec::rust(name));
    }
    if let Some(function) = step["python"].as_str() {
        return Ok(TaskSpec::python("tasks", function));
    }
    let argv = step["command"].as_array().ok_or("a step has a task")?;
    Ok(TaskSpec::command(argv.iter().filter_map(Value::as_str)))
}

fn inputs(step: &Value) -> Result<Data, Failure> {
    let mut inputs = Data::new();
    for (name, value) in step["inputs"].as_object().into_iter().flatten() {
        inputs.insert(Key::from(name.as_str()), pushflow::parse_json(&value.to_string())?.into());
    }
    if let Some(levels) = step["depth"].as_u64() {
        inputs.insert(Key::from("deep"), nested(usize::try_from(levels)?).into());
    }
    Ok(inputs)
}

/// Runs the task of one step, and returns what its submitter sees.
fn one<'a>(
    pool: &'a TaskPool,
    folder: &Path,
    step: &Value,
    unanswered: &mut Vec<Pending<'a>>,
) -> Result<Value, Failure> {
    let patience = step["patience_ms"].as_u64().map_or(PATIENCE, Duration::from_millis);
    let ready = folder.join("ready");
    std::fs::remove_file(&ready).ok();
    if step["callback"] == "panics" {
        let (teller, told) = mpsc::channel();
        let callback = move |outcome: TaskResult| {
            teller.send(describe(outcome)).ok();
            panic!("the callback's own words");
        };
        pool.submit_then(task(step)?, inputs(step)?, callback)?;
        return Ok(told.recv_timeout(patience).unwrap_or_else(|_| json!("no answer")));
    }
    let pending = pool.submit(task(step)?, inputs(step)?)?;
    if let Some(when) = step["when"].as_str() {
        let process = wait_for_process(&ready, when == "stopped")?;
        act(step["then"].as_str().unwrap_or_default(), &pending, process)?;
    }
    Ok(match pending.wait_timeout(Some(patience)) {
        Ok(outcome) => describe(outcome),
        Err(pending) => {
            unanswered.push(pending);
            json!("no answer")
        }
    })
}

fn act(what: &str, pending: &Pending<'_>, process: i32) -> Result<(), Failure> {
    match what {
        "interrupt" => pending.interrupt(),
        "kill" => kill(Pid::from_raw(process), Signal::SIGKILL)?,
        "kill keeper" => kill(Pid::from_raw(keeper(process)?), Signal::SIGKILL)?,
        "" => {}
        other => return Err(format!("what is {other:?}?").into()),
    }
    Ok(())
}

/// The keeper of a process, when the keeper has reported that the process runs: then it waits, and has one open file.
fn keeper(process: i32) -> Result<i32, Failure> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let keeper: i32 = stat(process).and_then(|fields| fields.get(1)?.parse().ok()).ok_or("it has ended")?;
        let files = std::fs::read_dir(format!("/proc/{keeper}/fd"))?.count();
        if files == 1 && stat(keeper).is_some_and(|fields| fields.first().is_some_and(|state| state == "S")) {
            return Ok(keeper);
        }
        std::thread::sleep(PAUSE);
    }
    Err("the keeper does not wait".into())
}

/// The process that wrote its pid into this file. With `stopped` the function first waits until the process is stopped.
fn wait_for_process(ready: &Path, stopped: bool) -> Result<i32, Failure> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let process = std::fs::read_to_string(ready).ok().and_then(|text| text.trim().parse().ok());
        let is_stopped = |process| stat(process).is_some_and(|fields| fields.first().is_some_and(|state| state == "T"));
        match process {
            Some(process) if !stopped || is_stopped(process) => return Ok(process),
            _ => std::thread::sleep(PAUSE),
        }
    }
    Err("the task does not say that it is ready".into())
}

/// The fields of `/proc/PID/stat`, from the state on.
fn stat(process: i32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn describe(outcome: TaskResult) -> Value {
    match outcome {
        Ok(result) => json!({"result": result.to_json().unwrap_or_else(|error| error.to_string().into())}),
        Err(error) => json!({
            "kind": format!("{:?}", error.kind),
            "type": error.type_name,
            "message": error.message,
            "pid": error.pid,
            "stderr": error.stderr,
        }),
    }
}

/// The outcomes of four more tasks.
fn four_more(pool: &TaskPool, python: bool) -> Result<Vec<Value>, Failure> {
    let task = || if python { TaskSpec::python("tasks", "is_fine") } else { TaskSpec::rust("is_fine") };
    let pending: Result<Vec<_>, _> = (0..4).map(|_| pool.submit(task(), Data::new())).collect();
    let became = |pending: Pending<'_>| match pending.wait_timeout(Some(PATIENCE)) {
        Ok(Ok(_)) => json!("finished"),
        Ok(error) => describe(error),
        Err(_) => json!("no answer"),
    };
    Ok(pending?.into_iter().map(became).collect())
}

/// Keeps both workers busy, one with the task `victim`, the other with a nap of a second, while three more tasks wait.
/// Then kills the worker of `victim`. Returns the order in which the tasks ended, and their outcomes.
fn kill_a_busy_worker(pool: &TaskPool, folder: &Path) -> Result<Value, Failure> {
    let (teller, told) = mpsc::channel();
    let submit = |name: &'static str, task: &str, inputs: Data| {
        let teller = teller.clone();
        pool.submit_then(TaskSpec::rust(task), inputs, move |outcome| drop(teller.send((name, describe(outcome)))))
    };
    let file = |name: &str| {
        let file = folder.join(name);
        std::fs::remove_file(&file).ok();
        file
    };
    let begin = |name: &'static str, task: &str| -> Result<i32, Failure> {
        let file = file(name);
        submit(name, task, Data::new().with("file", file.to_string_lossy().into_owned()))?;
        wait_for_process(&file, false)
    };
    let victim = begin("victim", "sleeps_ready")?;
    begin("nap", "naps_ready")?;
    for _ in 0..3 {
        submit("waiting", "is_fine", Data::new())?;
    }
    kill(Pid::from_raw(victim), Signal::SIGKILL)?;
    let mut order = Vec::new();
    while order.len() < 5 {
        match told.recv_timeout(PATIENCE) {
            Ok((name, outcome)) => order.push(json!([name, outcome])),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(json!({"pid": victim, "order": order}))
}
