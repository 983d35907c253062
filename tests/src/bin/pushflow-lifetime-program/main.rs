//! A program with a busy pool, which ends, or is ended, in the way that its argument names.
//!
//! The argument is a JSON object (see [`Settings`]). Test and program exchange messages through files in a folder: each
//! waits for files that the other writes, so that no result depends on how long a step takes.

mod endings;
mod tasks;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use pushflow::{Data, PoolOptions, PoolType, RunOptions, StopSignal, TaskPool, TaskSpec, Workflow};
use serde_json::{Value, json};

use crate::tasks::{say, wait_for};

pub(crate) type Failure = Box<dyn std::error::Error>;

/// The argument of the program, and the defaults.
pub(crate) struct Settings(Value);

impl Settings {
    fn text(&self, name: &str) -> Option<&str> {
        self.0[name].as_str()
    }

    fn is(&self, name: &str) -> Option<bool> {
        self.0[name].as_bool()
    }

    fn duration(&self, name: &str) -> Option<Duration> {
        self.0[name].as_u64().map(Duration::from_millis)
    }

    /// `folder`: where the files are.
    pub(crate) fn folder(&self) -> PathBuf {
        self.text("folder").unwrap_or(".").into()
    }

    /// `then`: how the program ends when the file `event` exists.
    pub(crate) fn then(&self) -> &str {
        self.text("then").unwrap_or("return")
    }

    /// `pool`.
    fn pool(&self) -> Result<PoolType, Failure> {
        Ok(self.text("pool").unwrap_or("process").parse()?)
    }

    /// `start_method`, `interrupt_grace`, `orphan_grace`, `wait_on_exit`, `wait_on_exit_timeout`, `interrupt_on_exit`;
    /// times in milliseconds. There are two workers from the start to the end.
    fn options(&self) -> Result<PoolOptions, Failure> {
        let defaults = PoolOptions::default();
        let mut options = PoolOptions::new()
            .max_workers(2)
            .scaling(false)
            .start_method(self.text("start_method").unwrap_or("default").parse()?)
            .interrupt_grace(self.duration("interrupt_grace").unwrap_or(defaults.interrupt_grace))
            .orphan_grace(self.duration("orphan_grace").unwrap_or(defaults.orphan_grace))
            .wait_on_exit(self.is("wait_on_exit").unwrap_or(defaults.wait_on_exit))
            .interrupt_on_exit(self.is("interrupt_on_exit").unwrap_or(defaults.interrupt_on_exit));
        options.wait_on_exit_timeout = self.duration("wait_on_exit_timeout");
        Ok(options)
    }

    /// The task that keeps a worker busy. With `nested` it runs in a pool of that type, which another task opens.
    fn busy_task(&self) -> Result<(TaskSpec, Data), Failure> {
        let Some(nested) = self.text("nested") else { return Ok((TaskSpec::rust("busy"), self.inputs("busy"))) };
        let inputs = Data::new()
            .with("folder", self.folder().to_string_lossy().into_owned())
            .with("pool", nested.to_owned())
            .with("start_method", self.text("start_method").unwrap_or("default").to_owned());
        Ok((TaskSpec::rust("nests"), inputs))
    }

    /// The inputs of the busy task: `manner`, and `children`, which is true by default.
    fn inputs(&self, name: &str) -> Data {
        Data::new()
            .with("folder", self.folder().to_string_lossy().into_owned())
            .with("name", name.to_owned())
            .with("manner", self.text("manner").unwrap_or("plain").to_owned())
            .with("children", self.is("children").unwrap_or(true))
    }
}

/// Runs two tasks that end only together, so that each has a worker of its own. Writes the pids of the workers into
/// `file`.
pub(crate) fn meet(pool: &TaskPool, settings: &Settings, file: &str) -> Result<(), Failure> {
    let folder = settings.folder();
    let inputs = |number: i64| {
        Data::new()
            .with("folder", folder.to_string_lossy().into_owned())
            .with("file", file.to_owned())
            .with("number", number)
    };
    let pending = [0, 1].map(|number| pool.submit(TaskSpec::rust("meets"), inputs(number)));
    let mut pids = Vec::new();
    for pending in pending {
        pids.push(pending?.wait()?.value("pid")?.and_then(|pid| pid.as_int()).ok_or("a task said nothing")?);
    }
    pids.sort_unstable();
    say(&folder, file, json!(pids).to_string());
    Ok(())
}

/// Opens the pool, finds out its two workers, submits the busy task unless `busy` is false, and ends.
fn use_pool(settings: &Settings) -> Result<ExitCode, Failure> {
    let folder = settings.folder();
    let pool = TaskPool::open(settings.pool()?, &settings.options()?)?;
    meet(&pool, settings, "workers")?;
    if settings.is("busy").unwrap_or(true) {
        let there = folder.clone();
        let (task, inputs) = settings.busy_task()?;
        pool.submit_then(task, inputs, move |outcome| {
            let text = match outcome {
                Ok(_) => json!({"kind": "Finished"}),
                Err(error) => {
                    json!({"kind": format!("{:?}", error.kind), "message": error.message, "pid": error.pid})
                }
            };
            say(&there, "outcome", text.to_string());
        })?;
        wait_for(&folder, "busy");
    }
    // Like a static pool, this one is never dropped, unless the setting `scope` is true.
    if settings.text("holder") == Some("scope") {
        endings::end(settings, &pool)
    } else {
        endings::end(settings, Box::leak(Box::new(pool)))
    }
}

/// Runs a workflow of two busy tasks. `stop_signals`: whether SIGINT stops it.
fn run_workflow(settings: &Settings) -> Result<ExitCode, Failure> {
    let mut workflow = Workflow::new("two");
    let (start, stop) = (workflow.start()?, workflow.stop()?);
    for name in ["busy", "busy too"] {
        let actor = workflow.task(name, TaskSpec::rust("busy_actor"))?;
        workflow.connect(start, actor)?;
        workflow.connect(actor, stop)?;
    }
    let stop_signals = if settings.is("stop_signals") == Some(true) { vec![StopSignal::Interrupt] } else { vec![] };
    let options = RunOptions::new().pool(settings.pool()?).pool_options(settings.options()?).stop_signals(stop_signals);
    let outcome = workflow.run(settings.inputs(""), &options)?;
    println!("{:?}", outcome.ending.kind);
    Ok(outcome.signal.map_or(ExitCode::SUCCESS, |signal| {
        ExitCode::from(128 + u8::try_from(signal.number()).expect("signals have small numbers"))
    }))
}

fn main() -> ExitCode {
    endings::heed_signals();
    pushflow::init();
    let argument = std::env::args().nth(1).unwrap_or_default();
    let settings = serde_json::from_str(&argument).map(Settings).map_err(Failure::from);
    let ended = settings.and_then(|settings| {
        if settings.is("handler") == Some(true) {
            endings::exit_on_sigterm()?;
        }
        match settings.text("what") {
            Some("workflow") => run_workflow(&settings),
            _ => use_pool(&settings),
        }
    });
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}
