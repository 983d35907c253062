//! A program whose tasks make, check and hand on long values.
//!
//! Its argument is a JSON object (see [`Settings`]). The program runs its tasks in a row or in a loop, and prints as JSON
//! the outcome, and its files, mappings, slabs and memory after each attempt.

mod tasks;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pushflow::{Data, EventKind, Key, Observer, PoolOptions, RunOptions, TaskSpec, Workflow, WorkflowEvent};
use serde_json::{Value, json};

/// The argument of the program, and the defaults.
struct Settings(Value);

impl Settings {
    /// `tasks`: the names of the tasks, in their order. `loop`: whether to run them again as long as the result of the
    /// last task has a true `again`; then an error of a task triggers the last task.
    fn workflow(&self) -> Result<Workflow, Box<dyn std::error::Error>> {
        let mut workflow = Workflow::new("large values");
        let (start, stop) = (workflow.start()?, workflow.stop()?);
        let mut actors = Vec::new();
        for (number, task) in self.0["tasks"].as_array().into_iter().flatten().enumerate() {
            let name = task.as_str().unwrap_or_default();
            actors.push(workflow.task(format!("{name} {number}"), TaskSpec::rust(name))?);
        }
        let (Some(&first), Some(&last)) = (actors.first(), actors.last()) else { return Err("no tasks".into()) };
        workflow.connect(start, first)?;
        for pair in actors.windows(2) {
            workflow.connect(pair[0], pair[1])?;
        }
        if self.0["loop"] == true {
            for actor in actors.iter().filter(|actor| **actor != last) {
                workflow.connect_on_error(*actor, last)?;
            }
            let router = workflow.router("again?", "again", [true])?;
            workflow.connect(last, router)?;
            workflow.connect_port(router, true, first)?;
            workflow.connect_port(router, "other", stop)?;
        } else {
            workflow.connect(last, stop)?;
        }
        Ok(workflow)
    }

    /// `pool`, `start_method`, `workers`, `timeout_ms`, `grace_ms`; `unwatched`: whether nothing is counted, for who
    /// measures the time.
    fn options(&self, watcher: Arc<Watcher>) -> Result<RunOptions, Box<dyn std::error::Error>> {
        let text = |name: &str, default| self.0[name].as_str().unwrap_or(default).to_owned();
        let milliseconds = |name: &str| self.0[name].as_u64().map(Duration::from_millis);
        let mut pool_options = PoolOptions::new()
            .max_workers(self.0["workers"].as_u64().map_or(Ok(1), usize::try_from)?)
            .start_method(text("start_method", "default").parse()?);
        pool_options.interrupt_grace = milliseconds("grace_ms").unwrap_or(pool_options.interrupt_grace);
        let mut options = RunOptions::new().pool(text("pool", "process").parse()?).pool_options(pool_options);
        options.timeout = milliseconds("timeout_ms");
        Ok(if self.0["unwatched"] == true { options } else { options.observer(watcher) })
    }

    /// `inputs`; and `value_bytes`, the size of the input `value`.
    fn inputs(&self) -> Result<Data, Box<dyn std::error::Error>> {
        let mut inputs = Data::new();
        for (name, value) in self.0["inputs"].as_object().into_iter().flatten() {
            inputs.insert(Key::from(name.as_str()), pushflow::parse_json(&value.to_string())?.into());
        }
        if let Some(bytes) = self.0["value_bytes"].as_u64() {
            inputs.insert(
                Key::from("value"),
                pushflow::Value::Bytes(tasks::sample(usize::try_from(bytes)?).into()).into(),
            );
        }
        Ok(inputs)
    }
}

/// An observer that records the resources of this process after each attempt.
#[derive(Default)]
struct Watcher(Mutex<Vec<tasks::Facts>>);

impl Observer for Watcher {
    fn observe(&self, event: &WorkflowEvent) {
        if let EventKind::AttemptFinished { .. } | EventKind::AttemptFailed { .. } = event.kind {
            self.0.lock().expect("nobody panics with the lock").push(tasks::facts());
        }
    }
}

fn run(settings: &Settings) -> Result<Value, Box<dyn std::error::Error>> {
    let watcher = Arc::<Watcher>::default();
    let outcome = settings.workflow()?.run(settings.inputs()?, &settings.options(watcher.clone())?)?;
    let mut result = serde_json::Map::new();
    for (key, payload) in outcome.result().into_iter().flatten() {
        let value = match payload.value()? {
            pushflow::Value::Bytes(bytes) => json!({"bytes": bytes.len(), "whole": tasks::is_sample(bytes)}),
            value => serde_json::to_value(value)?,
        };
        result.insert(key.to_string(), value);
    }
    let errors: Vec<String> = outcome.errors().iter().map(|error| error.error.to_string()).collect();
    let ending = format!("{:?}", outcome.ending.kind);
    let microseconds = u64::try_from(outcome.elapsed.as_micros())?;
    drop(outcome);
    let facts = std::mem::take(&mut *watcher.0.lock().expect("nobody panics with the lock"));
    Ok(json!({
        "ending": ending,
        "result": result,
        "errors": errors,
        "microseconds": microseconds,
        "facts": facts,
        "after": tasks::facts(),
    }))
}

fn main() -> ExitCode {
    pushflow::init();
    let settings = std::env::args().nth(1).unwrap_or_default();
    let settings = serde_json::from_str(&settings).map_err(Into::into);
    match settings.and_then(|settings| run(&Settings(settings))) {
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
