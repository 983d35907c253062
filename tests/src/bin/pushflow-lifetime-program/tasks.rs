//! The tasks, and the files through which tasks and program exchange messages with the test.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigHandler, Signal, signal};
use pushflow::{Data, NestedPools, PoolOptions, TaskContext, TaskSpec, task};
use serde_json::json;

use crate::Failure;

/// The pause between two checks of a condition.
const PAUSE: Duration = Duration::from_millis(5);

/// Writes a file, which appears only when it is complete. Panics if that is not possible, since no caller could report the
/// error.
pub(crate) fn say(folder: &Path, file: &str, text: impl AsRef<[u8]>) {
    let part = folder.join(format!("{file}.part"));
    let written = fs::write(&part, text).and_then(|()| fs::rename(&part, folder.join(file)));
    written.unwrap_or_else(|error| panic!("{file}: {error}"));
}

/// Waits until there is a file.
pub(crate) fn wait_for(folder: &Path, file: &str) {
    while !folder.join(file).exists() {
        thread::sleep(PAUSE);
    }
}

/// Waits until the other task of the pair runs, too. Returns the pid of this process.
#[task]
fn meets(folder: String, file: String, number: i64) -> Data {
    let folder = Path::new(&folder);
    say(folder, &format!("{file}-{number}"), "");
    wait_for(folder, &format!("{file}-{}", 1 - number));
    Data::new().with("pid", i64::from(std::process::id()))
}

/// Ends at once.
#[task]
fn is_short() {}

/// Prints more than a pipe holds.
#[task]
fn prints() {
    let line = format!("{}\n", "x".repeat(99));
    (0..2000).for_each(|_| print!("{line}"));
}

/// Writes the pids of its processes into the file `NAME`, waits for the file `go`, and then writes the file `NAME end`.
///
/// When it is interrupted it writes the file `NAME interrupted`. With the `manner` `plain` it ends then; with `deaf` it
/// goes on; with `stubborn` it goes on and ignores SIGTERM, too.
#[task]
fn busy(folder: String, name: String, manner: String, children: bool, context: &TaskContext) -> Result<(), Failure> {
    let folder = Path::new(&folder);
    let children = if children { start_children(folder, &name)? } else { Vec::new() };
    if manner == "stubborn" {
        ignore_sigterm()?;
    }
    say(folder, &name, json!({"pid": std::process::id(), "children": children}).to_string());
    let mut interrupted = false;
    while !folder.join("go").exists() {
        if !interrupted && context.is_cancelled() {
            interrupted = true;
            say(folder, &format!("{name} interrupted"), "");
            if manner == "plain" {
                context.check()?;
            }
        }
        thread::sleep(PAUSE);
    }
    say(folder, &format!("{name} end"), "");
    Ok(())
}

/// The same task, with the name of its actor as `NAME`.
#[task]
fn busy_actor(folder: String, manner: String, children: bool, context: &TaskContext) -> Result<(), Failure> {
    busy(folder, context.actor().to_owned(), manner, children, context)
}

/// Writes its pid into the file `outer`, and runs `busy` in a pool of its own.
#[task]
fn nests(folder: String, pool: String, start_method: String, context: &TaskContext) -> Result<(), Failure> {
    say(Path::new(&folder), "outer", std::process::id().to_string());
    let options = PoolOptions::new().start_method(start_method.parse()?).max_workers(1);
    let nested = context.open_pool(pool.parse()?, &options)?;
    let inputs = Data::new()
        .with("folder", folder)
        .with("name", "busy".to_owned())
        .with("manner", "plain".to_owned())
        .with("children", true);
    nested.submit(TaskSpec::rust("busy"), inputs)?.wait()?;
    Ok(())
}

/// Starts two children: one that writes the file `terminated` at SIGTERM, and a daemon in a session of its own whose
/// parent has ended.
fn start_children(folder: &Path, name: &str) -> Result<Vec<u32>, Failure> {
    let near = "trap 'echo > terminated' TERM; echo > \"$0 trap\"; while :; do sleep 0.05; done";
    let near = shell(folder, near, name).spawn()?;
    let far = "setsid sh -c 'echo $$ > \"$0 part\"; mv \"$0 part\" \"$0 far\"; exec sleep 60' \"$0\" &";
    shell(folder, far, name).status()?;
    wait_for(folder, &format!("{name} trap"));
    let file = format!("{name} far");
    wait_for(folder, &file);
    Ok(vec![near.id(), fs::read_to_string(folder.join(file))?.trim().parse()?])
}

/// A shell that has the name of its task as `$0`, and prints nothing.
fn shell(folder: &Path, script: &str, name: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script, name]).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[expect(unsafe_code, reason = "there is no safe way to ignore a signal")]
fn ignore_sigterm() -> nix::Result<()> {
    // SAFETY: no handler is set, so that none can do anything wrong.
    unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) }.map(drop)
}
