//! Tasks that leave daemons behind, which are hard to find, and tasks that report their process to the test.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use pushflow::{Data, NestedPools, PoolOptions, PoolType, TaskContext, TaskSpec, Workflow, current_process, task};

use crate::Settings;

type Failure = Box<dyn std::error::Error>;

/// The script of a daemon. It makes a file named by its pid in a folder, then drops its environment and its open files.
/// `setsid -f` has given it a session of its own, and has ended its parent.
const DAEMON_SCRIPT: &str = r#": > "$0/$$"; exec env -i sleep 1000 <&- >&- 2>&-"#;

/// Starts a daemon with the [`DAEMON_SCRIPT`], and returns when its parent has ended.
fn start_daemon(folder: &str) -> Result<(), Failure> {
    let started = Command::new("setsid").args(["-f", "sh", "-c", DAEMON_SCRIPT, folder]).status()?;
    if started.success() { Ok(()) } else { Err(started.to_string().into()) }
}

/// Starts a daemon, and goes on for a while.
#[task]
fn starts_daemon(folder: String, sleep_ms: u64) -> Result<(), Failure> {
    start_daemon(&folder)?;
    std::thread::sleep(Duration::from_millis(sleep_ms));
    Ok(())
}

/// The same in a process of a pool of its own.
#[task]
fn starts_daemon_in_a_pool(folder: String, sleep_ms: u64, context: &TaskContext) -> Result<(), Failure> {
    let options = PoolOptions::new().max_workers(1);
    let nested = context.open_pool(PoolType::Billiard, &options)?;
    let inputs = Data::new().with("folder", folder).with("sleep_ms", i64::try_from(sleep_ms)?);
    nested.submit(TaskSpec::rust("starts_daemon"), inputs)?.wait()?;
    Ok(())
}

/// A short task that adds its number to the file `begun-PID`, and returns the number. Every `daemon_every`-th task starts
/// a daemon, and every `abort_every`-th aborts its own process.
#[task]
fn tells_its_number(
    number: i64,
    folder: String,
    work_us: u64,
    daemon_every: i64,
    abort_every: i64,
    pad: usize,
) -> Result<Data, Failure> {
    static BEGUN: OnceLock<File> = OnceLock::new();
    if BEGUN.get().is_none() {
        let path = Path::new(&folder).join(format!("begun-{}", std::process::id()));
        BEGUN.set(File::create(path)?).ok();
    }
    let mut begun = BEGUN.get().ok_or("the file was just opened")?;
    begun.write_all(format!("{number}\n").as_bytes())?;
    if daemon_every > 0 && number % daemon_every == 0 {
        start_daemon(&format!("{folder}/daemons"))?;
    }
    if abort_every > 0 && number % abort_every == abort_every - 1 {
        std::process::abort();
    }
    std::thread::sleep(Duration::from_micros(work_us));
    let result = Data::new().with("number", number);
    Ok(if pad > 0 { result.with("pad", "x".repeat(pad)) } else { result })
}

/// The workflow `daemons`: tasks that start daemons themselves, in a command, and in a pool of their own.
pub(crate) fn workflow(settings: &Settings) -> Result<Workflow, Failure> {
    let mut workflow = Workflow::new("daemons");
    let (start, stop) = (workflow.start()?, workflow.stop()?);
    let folder = settings.0["inputs"]["folder"].as_str().ok_or("there is no folder")?;
    let script = r#"setsid -f sh -c "$1" "$0"; sleep 0.1"#;
    let command = TaskSpec::command(["sh", "-c", script, folder, DAEMON_SCRIPT]);
    let rust = |name| TaskSpec::rust(name);
    let tasks = [rust("starts_daemon"), command, rust("starts_daemon_in_a_pool"), rust("starts_daemon")];
    for (number, task) in tasks.into_iter().enumerate() {
        let actor = workflow.task(format!("daemons {number}"), task)?;
        workflow.connect(start, actor)?;
        workflow.connect(actor, stop)?;
    }
    Ok(workflow)
}

/// Writes its pid to the file `pid` in the folder, and waits for the file `go`. Returns what the process knows of
/// itself.
#[task]
fn shows_itself(folder: String) -> Result<Data, Failure> {
    let folder = Path::new(&folder);
    std::fs::write(folder.join("pid.part"), std::process::id().to_string())?;
    std::fs::rename(folder.join("pid.part"), folder.join("pid"))?;
    while !folder.join("go").exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(crate::facts()?.with("daemonic", current_process().daemonic))
}

/// The same in a process of a pool of its own.
#[task]
fn shows_its_child(pool: String, method: String, folder: String, context: &TaskContext) -> Result<Data, Failure> {
    let options = PoolOptions::new().start_method(method.parse()?).max_workers(1);
    let nested = context.open_pool(pool.parse()?, &options)?;
    let result = nested.submit(TaskSpec::rust("shows_itself"), Data::new().with("folder", folder))?.wait()?;
    Ok(result.with("outer", i64::from(std::process::id())))
}

/// Leaves orphans that end soon: one from each of `commands`, whose exit codes it checks, and `more` at once. Returns how
/// many commands had the expected exit code.
#[task]
fn leaves_orphans(commands: i64, more: i64) -> Result<Data, Failure> {
    let mut right = 0;
    for number in 0..commands {
        let code = i32::try_from(number % 200)?;
        let script = format!("sleep 0.01 & exit {code}");
        right += i64::from(Command::new("sh").args(["-c", &script]).status()?.code() == Some(code));
    }
    let script = format!("i=0; while [ $i -lt {more} ]; do ( : & ); i=$((i+1)); done");
    let all = Command::new("sh").args(["-c", &script]).status()?;
    Ok(Data::new().with("right", right).with("all", all.success()))
}
