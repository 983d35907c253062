//! A workflow in a program that uses tokio: `cargo run -p pushflow-with-tokio`.
//!
//! A run blocks the thread that drives it, so it gets a thread of its own (`spawn_blocking`), and the async code awaits
//! that.

use std::error::Error;
use std::time::Duration;

use pushflow::{Data, Outcome, PoolType, RunError, RunOptions, TaskSpec, Value, Workflow, task};

type AnyError = Box<dyn Error + Send + Sync>;

#[task]
fn greet(name: String) -> Data {
    Data::new().with("reply", format!("Hello {name}!"))
}

// Not `#[tokio::main]`: that starts threads before the first line of `main`, and `init()` must come before any thread.
fn main() -> Result<(), AnyError> {
    pushflow::init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    runtime.block_on(greet_all())
}

async fn greet_all() -> Result<(), AnyError> {
    // Both runs go on at the same time, and so does everything else on the runtime.
    let (first, second) = (start_run("Ada")?, start_run("Grace")?);
    for run in [first, second] {
        let result = run.await??.into_result()?;
        println!("{}", result.value("reply")?.and_then(Value::as_str).ok_or("no reply")?);
    }
    stop_from_async_code().await
}

/// Starts a run on a thread of its own; awaiting the handle gives its outcome.
fn start_run(name: &str) -> Result<tokio::task::JoinHandle<Result<Outcome, RunError>>, AnyError> {
    let workflow = one_task(TaskSpec::rust("greet"))?;
    let inputs = Data::new().with("name", name);
    let options = RunOptions::new().pool(PoolType::Process).timeout(Duration::from_secs(60));
    Ok(tokio::task::spawn_blocking(move || workflow.run(inputs, &options)))
}

/// A `StopHandle` stops a run from async code: dropping the future that awaits it does not.
async fn stop_from_async_code() -> Result<(), AnyError> {
    let workflow = one_task(TaskSpec::command(["sleep", "60"]))?;
    let prepare = move || workflow.prepare(Data::new(), &RunOptions::new().pool(PoolType::Process));
    // Preparing a run opens its pools, which also takes time.
    let run = tokio::task::spawn_blocking(prepare).await??;
    let stop = run.stop_handle();
    let mut outcome = tokio::task::spawn_blocking(move || run.wait());
    if tokio::time::timeout(Duration::from_millis(100), &mut outcome).await.is_ok() {
        return Err("the command ended too early".into());
    }
    stop.stop("it took too long");
    let outcome = outcome.await?;
    println!("{:?}", outcome.ending.kind);
    Ok(())
}

/// Start, one task, stop.
fn one_task(task: TaskSpec) -> Result<Workflow, AnyError> {
    let mut workflow = Workflow::new("with tokio");
    let (start, actor, stop) = (workflow.start()?, workflow.task("actor", task)?, workflow.stop()?);
    workflow.connect(start, actor)?;
    workflow.connect(actor, stop)?;
    Ok(workflow)
}
