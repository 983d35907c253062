//! Tasks that start single processes.

use std::time::Duration;

use pushflow::{Data, NestedPools, PoolOptions, Process, ProcessFamily, ProcessKind, TaskContext, TaskSpec, task};

type Failure = Box<dyn std::error::Error>;

/// Starts a single process for `task` (or for `command`, run by a shell), does with it what `action` says, and tells
/// what became of it.
#[task]
#[expect(clippy::too_many_arguments, reason = "the arguments are the inputs of a task")]
fn starts_a_process(
    family: String,
    daemon: bool,
    start_method: Option<String>,
    task: Option<String>,
    command: Option<String>,
    file: Option<String>,
    action: String,
    seen: Option<String>,
    context: &TaskContext,
) -> Result<Data, Failure> {
    let family = if family == "billiard" { ProcessFamily::Billiard } else { ProcessFamily::Multiprocessing };
    let options = PoolOptions::new()
        .start_method(start_method.as_deref().unwrap_or("default").parse()?)
        .interrupt_grace(Duration::from_secs(2))
        .orphan_grace(Duration::ZERO);
    let task = match command {
        Some(command) => TaskSpec::command(["sh", "-c", &command]),
        None => TaskSpec::rust(task.ok_or("there is no task")?),
    };
    // Whatever the tasks take that are run like this.
    let inputs = Data::new().with("code", 3).with("file", file.clone().unwrap_or_default());
    let inputs = inputs.with("pool", "process").with("start_method", "default").with("task", "says_who_it_is");
    let process = context.start_process(ProcessKind::new().family(family).daemon(daemon), &options, task, inputs)?;
    if let Some(file) = file {
        while !std::path::Path::new(&file).exists() {
            context.sleep(Duration::from_millis(2))?;
        }
    }
    match &*action {
        "join" => {}
        "terminate" => process.terminate(),
        "kill" => process.kill(),
        "drop" => return Ok(Data::new().with("pid", i64::from(process.pid()))),
        "exit" => std::process::exit(0),
        "give up" => {
            let over = process.join(Some(Duration::ZERO));
            let alive = process.is_alive() && process.exitcode().is_none() && process.result().is_none();
            std::fs::write(seen.ok_or("there is no file to say it")?, "")?;
            return Ok(Data::new().with("over", over).with("alive", alive));
        }
        other => return Err(format!("there is no action {other:?}").into()),
    }
    process.join(None);
    context.check()?;
    Ok(describe(&process))
}

fn describe(process: &Process) -> Data {
    let described = Data::new()
        .with("handle_pid", i64::from(process.pid()))
        .with("handle_name", process.name())
        .with("alive", process.is_alive())
        .with("exitcode", process.exitcode().map_or(-1000, i64::from));
    match process.result() {
        Some(Ok(result)) => result.merged(&described),
        Some(Err(error)) => described.with("error", error.message.clone()).with("kind", format!("{:?}", error.kind)),
        None => described,
    }
}
