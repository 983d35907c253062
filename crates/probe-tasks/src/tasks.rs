//! The `#[task]` functions, and the names under which they are registered.

use pushflow_execute::{TaskContext, task};
use pushflow_guardian::current_process;
use pushflow_model::{Data, TaskSpec};
use pushflow_pool::{NestedPools, TaskPool};

use crate::options::{kind, pool_options};

/// Doubles a number and identifies its process.
pub(crate) const SIMPLE: &str = "pushflow.probe.simple";
/// Runs [`SIMPLE`] in a pool that the task opens.
pub(crate) const NESTED_POOL: &str = "pushflow.probe.nested_pool";
/// Runs [`SIMPLE`] in a single process that the task starts.
pub(crate) const NESTED_PROCESS: &str = "pushflow.probe.nested_process";

type Failure = Box<dyn std::error::Error>;

#[task(crate = pushflow_execute, name = "pushflow.probe.simple")]
fn simple(value: i64) -> Data {
    let process = current_process();
    Data::new()
        .with("value", 2 * value)
        .with("pid", i64::from(process.pid))
        .with("process", process.name)
        .with("daemonic", process.daemonic)
}

#[task(crate = pushflow_execute, name = "pushflow.probe.nested_pool")]
fn nested_pool(pool: String, start_method: String, value: i64, context: &TaskContext) -> Result<Data, Failure> {
    let pool: TaskPool = context.open_pool(pool.parse()?, &pool_options(start_method.parse()?))?;
    let result = pool.submit(TaskSpec::rust(SIMPLE), Data::new().with("value", value))?.wait()?;
    Ok(with_outer(result))
}

#[task(crate = pushflow_execute, name = "pushflow.probe.nested_process")]
fn nested_process(billiard: bool, start_method: String, value: i64, context: &TaskContext) -> Result<Data, Failure> {
    let (task, inputs) = (TaskSpec::rust(SIMPLE), Data::new().with("value", value));
    let process = context.start_process(kind(billiard), &pool_options(start_method.parse()?), task, inputs)?;
    process.join(None);
    context.check()?;
    let result = process.result().ok_or("the process is over without an outcome")??;
    match process.exitcode() {
        Some(0) => Ok(with_outer(result)),
        code => Err(format!("the process ended with the exit code {code:?}").into()),
    }
}

/// The result from inside a task, with the pid of the task's own process as `outer`.
fn with_outer(result: Data) -> Data {
    result.with("outer", i64::from(std::process::id()))
}
