//! A program that measures how long a worker waits for a Python interpreter: from asking for it until it has imported
//! everything and is ready for a task. Prints a line for each kind of start, modules and set of modules: the median.
//!
//! `cargo run --release -p pushflow-tests --bin pushflow-python-starts`; `PUSHFLOW_PYTHON` names the interpreter. The
//! kinds take turns, so that what else the machine does is the same for all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pushflow::{Data, PoolOptions, PoolType, TaskPool, TaskSpec, task};
use pushflow_guardian::{Interrupter, WorkerLauncher};
use pushflow_model::{PythonOptions, TaskModule};
use pushflow_protocol::slabs::SlabStore;
use pushflow_python::{PythonHost, find_interpreter};

/// How often each is measured.
const ROUNDS: usize = 20;

/// What is imported; numpy only where it is installed, else the line says how long a failing import takes.
const MODULES: [&[&str]; 3] = [&[], &["json"], &["numpy"]];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pushflow::init();
    // One thread per library, in copies too: with more there is no warm interpreter.
    let pool = TaskPool::open(PoolType::Process, &PoolOptions::new().max_workers(1))?;
    let result = pool.submit(TaskSpec::rust("measures"), Data::new())?.wait()?;
    println!("{}", result.value("report")?.and_then(|report| report.as_str()).unwrap_or_default());
    Ok(())
}

#[task]
fn measures() -> Result<Data, String> {
    let mut report = String::new();
    for modules in MODULES {
        let mut times = [Vec::new(), Vec::new()];
        // The first of each makes the warm interpreter, and fills the machine's caches.
        for round in 0..=ROUNDS {
            for (warm, times) in [false, true].into_iter().zip(&mut times) {
                let time = start(modules, warm)?;
                if round > 0 {
                    times.push(time);
                }
            }
        }
        let [spawned, warm] = times.map(median);
        report += &format!("importing {modules:?}: executed {spawned:.2} ms, copied {warm:.2} ms\n");
    }
    Ok(Data::new().with("report", report))
}

fn start(modules: &[&str], warm: bool) -> Result<Duration, String> {
    let interpreter = find_interpreter(None).map_err(|error| error.to_string())?;
    let module = |name: &&str| TaskModule { module: (*name).to_owned(), function: "run".to_owned() };
    let modules = modules.iter().map(module).collect();
    let options = PythonOptions { modules, warm, ..PythonOptions::new(interpreter, Vec::new()) };
    let start = Instant::now();
    let mut host = PythonHost::start(&options, &WorkerLauncher, Arc::new(SlabStore::default()))
        .map_err(|error| error.to_string())?;
    host.make_ready(&Interrupter::new()).map_err(|error| error.to_string())?;
    Ok(start.elapsed())
}

/// In milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}
