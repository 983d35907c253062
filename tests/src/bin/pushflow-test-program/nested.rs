//! Tasks that open pools of their own.

use std::sync::atomic::{AtomicUsize, Ordering};

use pushflow::{
    Data, NestedPools, PoolOptions, PoolType, ProcessKind, PythonOptions, TaskContext, TaskPool, TaskSpec,
    current_process, task,
};

type Failure = Box<dyn std::error::Error>;

/// What the process knows of itself.
#[task]
fn says_who_it_is() -> Data {
    let process = current_process();
    Data::new()
        .with("name", process.name)
        .with("pid", i64::from(process.pid))
        .with("parent", process.parent.map_or(-1, i64::from))
        .with("daemonic", process.daemonic)
}

/// Runs `task` in a pool of its own with that start method. Returns its result, with the pid of this process as `outer`.
#[task]
fn nests(pool: String, start_method: String, task: String, context: &TaskContext) -> Result<Data, Failure> {
    let nested = open(&pool, &start_method, context)?;
    let result = nested.submit(TaskSpec::rust(task), Data::new())?.wait()?;
    Ok(result.with("outer", i64::from(std::process::id())))
}

/// Opens a pool in a pool in a pool, `depth` levels deep. Returns the number of levels.
#[task]
fn nests_deeper(pool: String, start_method: String, depth: i64, context: &TaskContext) -> Result<Data, Failure> {
    if depth == 0 {
        return Ok(Data::new().with("levels", 0));
    }
    let nested = open(&pool, &start_method, context)?;
    let inputs = Data::new().with("pool", pool).with("start_method", start_method).with("depth", depth - 1);
    let result = nested.submit(TaskSpec::rust("nests_deeper"), inputs)?.wait()?;
    let levels = result.value("levels")?.and_then(|levels| levels.as_int()).ok_or("a level said nothing")?;
    Ok(Data::new().with("levels", levels + 1))
}

/// Makes the worker of its own pool busy for ever, writes a file, and waits for that worker.
#[task]
fn nests_for_ever(pool: String, file: String, context: &TaskContext) -> Result<(), Failure> {
    let nested = open(&pool, "default", context)?;
    nested.submit(TaskSpec::rust("hides_a_child_and_sleeps"), Data::new().with("file", file))?.wait()?;
    Ok(())
}

/// Opens a pool, or starts a single process, whose interpreter is this program. As an interpreter it never gets ready.
#[task]
fn nests_slowly(what: String, python: String, context: &TaskContext) -> Result<(), Failure> {
    let options = PoolOptions::new().python(PythonOptions::new(python, Vec::new())).max_workers(1);
    match what.as_str() {
        "process of its own" => {
            context
                .start_process(ProcessKind::new(), &options, TaskSpec::rust("says_who_it_is"), Data::new())
                .map(drop)?;
        }
        pool => drop(context.open_pool(pool.parse::<PoolType>()?, &options)?),
    }
    Ok(())
}

/// The first task waits for a process of its own, and that process waits for a file that the second task writes. On one
/// thread both tasks end only if the second can run while the first waits.
#[task]
fn nests_until_another_has_run(file: String, context: &TaskContext) -> Result<(), Failure> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    if COUNT.fetch_add(1, Ordering::Relaxed) > 0 {
        return Ok(std::fs::write(file, "")?);
    }
    let nested = open("process", "default", context)?;
    nested.submit(TaskSpec::rust("waits_for_a_file"), Data::new().with("file", file))?.wait()?;
    let in_time = nested.join(None) && nested.shutdown(None, false);
    if in_time { Ok(()) } else { Err("the pool did not end".into()) }
}

/// Runs this program `count` times at once, as commands of a pool in this process.
#[task]
fn runs_commands(program: String, count: i64, context: &TaskContext) -> Result<(), Failure> {
    let options = PoolOptions::new().max_workers(usize::try_from(count)?);
    let nested = context.open_pool(PoolType::Thread, &options)?;
    let command = || nested.submit(TaskSpec::command([program.as_str()]), Data::new());
    let pending = (0..count).map(|_| command()).collect::<Result<Vec<_>, _>>()?;
    Ok(pending.into_iter().try_for_each(|pending| pending.wait().map(drop))?)
}

#[task]
fn waits_for_a_file(file: String) {
    while !std::path::Path::new(&file).exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn open(pool: &str, start_method: &str, context: &TaskContext) -> Result<TaskPool, Failure> {
    let options = PoolOptions::new().start_method(start_method.parse()?).max_workers(1);
    Ok(context.open_pool(pool.parse::<PoolType>()?, &options)?)
}
