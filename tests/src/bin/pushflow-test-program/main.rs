//! A small program that uses pushflow, with tasks that misbehave in many ways.
//!
//! Its argument is a JSON object (see [`Settings`]). The program runs a workflow of one of its tasks, and prints the
//! outcome as JSON.

mod daemons;
mod misbehaving;
mod modes;
mod nested;
mod single;
mod submitter;

use std::collections::HashSet;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use pushflow::{Data, EventKind, Key, Observer, Outcome, PoolOptions, RunOptions, TaskContext, TaskSpec, Workflow};
use pushflow::{WorkflowEvent, task};
use serde_json::{Value, json};

// ----- the tasks -----

#[task]
fn panics() {
    panic!("the task's own words");
}

#[task]
fn returns_an_error() -> Result<Data, String> {
    Err("the task's own error".into())
}

#[task]
fn returns_a_number() -> i64 {
    7
}

#[task]
fn returns_what_cannot_travel() -> u64 {
    u64::MAX
}

#[task]
fn exits(code: i32) {
    std::process::exit(code);
}

#[task]
fn is_killed() {
    raise(Signal::SIGKILL).ok();
}

#[task]
fn aborts() {
    std::process::abort();
}

#[task]
fn segfaults() {
    // The first SIGSEGV only makes the handler of the Rust runtime, which looks for stack overflows, restore the default
    // action.
    while raise(Signal::SIGSEGV).is_ok() {}
}

#[task]
fn overflows_its_stack() {
    fn deeper(depth: u64) -> u64 {
        std::hint::black_box(if depth == u64::MAX { 0 } else { 1 + deeper(depth + 1) })
    }
    deeper(0);
}

#[task]
fn sleeps_for_ever() {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

#[task]
fn sleeps_until_cancelled(context: &TaskContext) -> Result<(), pushflow::Cancelled> {
    context.sleep(Duration::from_secs(3600))
}

/// Ignores SIGINT and SIGTERM.
#[task]
fn stops_its_process() -> Result<(), String> {
    raise(Signal::SIGSTOP).map_err(|error| error.to_string())
}

/// Sleeps for ever the first time, and makes a file, by which later calls know that they are not the first.
#[task]
fn sleeps_the_first_time(file: String) -> Result<Data, String> {
    let first = std::fs::OpenOptions::new().write(true).create_new(true).open(file).is_ok();
    if first {
        sleeps_for_ever();
    }
    Ok(Data::new().with("again", true))
}

/// Adds the actor's name to a file; the actor `sleeper` then sleeps for ever.
#[task]
fn notes_its_actor(file: String, sleeper: String, context: &TaskContext) -> Result<(), String> {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(file);
    let noted = file.and_then(|mut file| file.write_all(format!("{}\n", context.actor()).as_bytes()));
    noted.map_err(|error| error.to_string())?;
    if context.actor() == sleeper {
        sleeps_for_ever();
    }
    Ok(())
}

#[task]
fn prints_to_stderr(bytes: usize) -> Data {
    let line = format!("{}\n", "x".repeat(99));
    (0..bytes / line.len()).for_each(|_| eprint!("{line}"));
    Data::new().with("printed", true)
}

/// Leaves processes behind that are in another session, group and tree than the worker, and keep its output open.
#[task]
fn leaves_a_grandchild() -> Result<Data, String> {
    let status = std::process::Command::new("sh").args(["-c", "setsid sh -c 'sleep 1000 & sleep 1000' &"]).status();
    Ok(Data::new().with("left", status.map_err(|error| error.to_string())?.success()))
}

#[task]
fn who() -> Result<Data, String> {
    let executable = std::env::current_exe().map_err(|error| error.to_string())?;
    let pid = i64::from(std::process::id());
    Ok(Data::new().with("executable", executable.to_string_lossy().into_owned()).with("pid", pid))
}

/// The attributes that the kernel has of the worker process.
#[task]
fn facts() -> Result<Data, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.unwrap_or("no such field").to_owned()
    };
    let death_signal = nix::sys::prctl::get_pdeathsig().map_err(|error| error.to_string())?;
    let session = nix::unistd::getsid(None).map_err(|error| error.to_string())?;
    Ok(Data::new()
        .with("pid", i64::from(std::process::id()))
        .with("parent", i64::from(nix::unistd::getppid().as_raw()))
        .with("group", i64::from(nix::unistd::getpgrp().as_raw()))
        .with("session", i64::from(session.as_raw()))
        .with("death_signal", death_signal.map_or("none", Signal::as_str).to_owned())
        .with("name", field("Name"))
        .with("blocked", field("SigBlk"))
        .with("ignored", field("SigIgn"))
        .with("caught", field("SigCgt"))
        .with("variable", std::env::var("PUSHFLOW_TEST_VARIABLE").unwrap_or_default())
        .with("role", std::env::var("PUSHFLOW_ROLE").unwrap_or_default())
        .with("directory", std::env::current_dir().map_err(|error| error.to_string())?.to_string_lossy().into_owned())
        .with("files", open_files()))
}

/// The targets of the open files of this process, a line each, without the numbers of pipes and sockets.
fn open_files() -> String {
    let files = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    let mut targets: Vec<String> = targets.map(|target| target.to_string_lossy().into_owned()).collect();
    targets.iter_mut().for_each(|target| target.truncate(target.find(":[").unwrap_or(target.len())));
    targets.retain(|target| !target.starts_with("/proc/"));
    targets.sort();
    targets.join("\n")
}

/// Starts a process in a session and group of its own, makes a file, and sleeps for ever.
#[task]
fn hides_a_child_and_sleeps(file: String) -> Result<(), String> {
    let started = std::process::Command::new("setsid").args(["-f", "sleep", "1000"]).status();
    started.map_err(|error| error.to_string())?;
    std::fs::write(file, "").map_err(|error| error.to_string())?;
    sleeps_for_ever();
    Ok(())
}

/// The pid of the process that executed this program. In a fork of it, that is the pid of the original.
static BEFORE_INIT: AtomicU32 = AtomicU32::new(0);
/// Whether `init()` returned in this process, or in the process of which it is a fork.
static AFTER_INIT: AtomicBool = AtomicBool::new(false);

#[task]
fn state() -> Data {
    Data::new()
        .with("before", i64::from(BEFORE_INIT.load(Ordering::Relaxed)))
        .with("after", AFTER_INIT.load(Ordering::Relaxed))
        .with("pid", i64::from(std::process::id()))
}

#[task]
fn count(value: i64, limit: i64) -> Data {
    Data::new().with("value", value + 1).with("again", value + 1 < limit)
}

// ----- the program -----

/// The argument of the program, and the defaults.
struct Settings(Value);

impl Settings {
    fn text(&self, name: &str) -> Option<&str> {
        self.0[name].as_str()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.0[name].as_u64()
    }

    /// `task`: the name of the task. `shape`: `one` actor that runs it, `wide` for `width` such actors side by side,
    /// `loop` for an actor that runs again as long as its result has a true `again`, `retry` for an actor that runs
    /// until it does not fail. `limits_ms`: the time limits of actors.
    fn workflow(&self) -> Result<Workflow, Box<dyn std::error::Error>> {
        let task = || TaskSpec::rust(self.text("task").unwrap_or("who"));
        let mut workflow = Workflow::new("test");
        let start = workflow.start()?;
        let stop = workflow.stop()?;
        match self.text("shape").unwrap_or("one") {
            "loop" => {
                let actor = workflow.task("actor", task())?;
                let router = workflow.router("again?", "again", [true])?;
                workflow.connect(start, actor)?;
                workflow.connect(actor, router)?;
                workflow.connect_port(router, true, actor)?;
                workflow.connect_port(router, "other", stop)?;
            }
            "retry" => {
                let actor = workflow.task("actor", task())?;
                let handler = workflow.error_handler("handler")?;
                workflow.connect(start, actor)?;
                workflow.connect(actor, stop)?;
                workflow.connect_on_error(actor, handler)?;
                workflow.connect(handler, actor)?;
            }
            shape => {
                let width = if shape == "wide" { self.number("width").unwrap_or(4) } else { 1 };
                for number in 0..width {
                    let actor = workflow.task(format!("actor {number}"), task())?;
                    workflow.connect(start, actor)?;
                    workflow.connect(actor, stop)?;
                }
            }
        }
        for (name, limit) in self.0["limits_ms"].as_object().into_iter().flatten() {
            let actor = workflow.graph().find(name).ok_or("limits_ms names an actor that is not there")?;
            workflow.limit_time(actor, Duration::from_millis(limit.as_u64().unwrap_or(0)))?;
        }
        Ok(workflow)
    }

    /// `pool`, `start_method`, `workers`, `timeout_ms`, `attempt_timeout_ms`, `grace_ms`,
    /// `orphan_grace_ms`.
    fn options(&self, watcher: Arc<Watcher>) -> Result<RunOptions, Box<dyn std::error::Error>> {
        let defaults = PoolOptions::default();
        let mut pool_options = PoolOptions::new()
            .start_method(self.text("start_method").unwrap_or("default").parse()?)
            .interrupt_grace(self.number("grace_ms").map_or(defaults.interrupt_grace, Duration::from_millis))
            .orphan_grace(self.number("orphan_grace_ms").map_or(defaults.orphan_grace, Duration::from_millis));
        pool_options.max_workers = self.number("workers").and_then(|workers| usize::try_from(workers).ok());
        let pool = self.text("pool").unwrap_or("process").parse()?;
        let mut options = RunOptions::new().pool(pool).pool_options(pool_options).observer(watcher);
        options.timeout = self.number("timeout_ms").map(Duration::from_millis);
        options.attempt_timeout = self.number("attempt_timeout_ms").map(Duration::from_millis);
        Ok(options)
    }

    /// `inputs`.
    fn inputs(&self) -> Result<Data, Box<dyn std::error::Error>> {
        let mut inputs = Data::new();
        for (name, value) in self.0["inputs"].as_object().into_iter().flatten() {
            inputs.insert(Key::from(name.as_str()), pushflow::parse_json(&value.to_string())?.into());
        }
        Ok(inputs)
    }
}

/// An observer that counts events, and takes a sample of this process after every `every` attempts.
struct Watcher {
    every: usize,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    workers: HashSet<u32>,
    most_workers: usize,
    workers_started: usize,
    running: HashSet<u64>,
    most_running: usize,
    bytes_printed: usize,
    /// The processes that were stopped, and the signal that stopped each.
    stopped: Vec<(u32, String)>,
    attempts_ended: usize,
    /// The samples: open files, children and memory (kB) of this process.
    files: Vec<usize>,
    children: Vec<usize>,
    memory: Vec<usize>,
}

impl Watcher {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panics with the lock")
    }
}

impl Observer for Watcher {
    fn observe(&self, event: &WorkflowEvent) {
        let mut seen = self.seen();
        match &event.kind {
            EventKind::WorkerStarted { pid } => {
                seen.workers_started += 1;
                seen.workers.insert(*pid);
                seen.most_workers = seen.most_workers.max(seen.workers.len());
            }
            EventKind::WorkerEnded { pid, .. } => drop(seen.workers.remove(pid)),
            EventKind::AttemptStarted { attempt, .. } => {
                seen.running.insert(attempt.0);
                seen.most_running = seen.most_running.max(seen.running.len());
            }
            EventKind::AttemptFinished { attempt, .. } | EventKind::AttemptFailed { attempt, .. } => {
                seen.running.remove(&attempt.0);
                seen.attempts_ended += 1;
                if seen.attempts_ended.is_multiple_of(self.every) {
                    seen.files.push(std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count));
                    seen.children.push(children());
                    seen.memory.push(memory());
                }
            }
            EventKind::Output { bytes, .. } => seen.bytes_printed += bytes.len(),
            EventKind::ProcessStopped { pid, signal, .. } => seen.stopped.push((*pid, signal.clone())),
            _ => {}
        }
    }
}

fn children() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.map(|list| list.split_whitespace().count()).sum()
}

/// The resident memory of this process, in kB.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn describe(outcome: &Outcome) -> Value {
    let errors: Vec<Value> = outcome
        .errors()
        .iter()
        .map(|error| {
            json!({
                "name": error.name,
                "kind": format!("{:?}", error.error.kind),
                "message": error.error.message,
                "pid": error.error.pid,
                "stderr": error.error.stderr,
            })
        })
        .collect();
    let result = outcome.result().and_then(|result| result.to_json().ok());
    json!({"ending": format!("{:?}", outcome.ending.kind), "result": result, "errors": errors})
}

/// Runs the workflow `runs` times, one run after the other, with a sample after every `every` attempts. With `steps` it
/// runs no workflow: see [`submitter`].
fn run(settings: &Settings) -> Result<Value, Box<dyn std::error::Error>> {
    if let Some(steps) = settings.0["steps"].as_array() {
        return submitter::take(steps, &settings.0);
    }
    let every = usize::try_from(settings.number("every").unwrap_or(1))?;
    let watcher = Arc::new(Watcher { every, seen: Mutex::default() });
    let (workflow, options) = (settings.workflow()?, settings.options(watcher.clone())?);
    let mut runs = Vec::new();
    for _ in 0..settings.number("runs").unwrap_or(1) {
        runs.push(describe(&workflow.run(settings.inputs()?, &options)?));
    }
    let seen = watcher.seen();
    Ok(json!({
        "pid": std::process::id(),
        "runs": runs,
        "most_workers": seen.most_workers,
        "workers_started": seen.workers_started,
        "most_running": seen.most_running,
        "bytes_printed": seen.bytes_printed,
        "stopped": seen.stopped,
        "files": seen.files,
        "children": seen.children,
        "memory": seen.memory,
    }))
}

/// An exit handler: adds a line to the file that the variable `PUSHFLOW_TEST_EXITS` names.
extern "C" fn note_exit() {
    let Some(path) = std::env::var_os("PUSHFLOW_TEST_EXITS") else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| writeln!(file, "{}", std::process::id())).ok();
}

/// Calls `init()`, and before or after it does what the variable `PUSHFLOW_TEST_BEGINNING` asks for.
#[expect(unsafe_code, reason = "the standard library has no way to register an exit handler")]
fn begin() {
    unsafe extern "C" {
        safe fn atexit(handler: extern "C" fn()) -> std::ffi::c_int;
    }
    BEFORE_INIT.store(std::process::id(), Ordering::Relaxed);
    let beginning = std::env::var("PUSHFLOW_TEST_BEGINNING").unwrap_or_default();
    match beginning.as_str() {
        "without init" => return,
        "a thread" => drop(std::thread::spawn(|| std::thread::sleep(Duration::from_secs(3600)))),
        "an exit handler" => drop(atexit(note_exit)),
        "half a line" => print!("half a line "),
        _ => {}
    }
    pushflow::init();
    match beginning.as_str() {
        "sleep" => std::thread::sleep(Duration::from_secs(3600)),
        "init twice" => {
            std::thread::spawn(|| std::thread::sleep(Duration::from_secs(3600)));
            pushflow::init();
        }
        "wait" => assert_eq!(nix::sys::wait::wait(), Err(nix::errno::Errno::ECHILD)),
        _ => {}
    }
}

fn main() -> ExitCode {
    begin();
    AFTER_INIT.store(true, Ordering::Relaxed);
    let settings = std::env::args().nth(1).unwrap_or_default();
    let settings = serde_json::from_str(&settings).map_err(Into::into);
    match settings.map(Settings).and_then(|settings| modes::run(&settings).unwrap_or_else(|| run(&settings))) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
