//! Keepers that tasks stop or kill, and the processes that are left below such keepers, even those of another user and
//! those that `/proc` hides. Also a scheduler that does not read the messages of its guardian.
//!
//! Processes of other users need root. Without root those tests say so and test nothing.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use pushflow_tests::binaries::binaries;
use pushflow_tests::folder::Folder;
use pushflow_tests::processes::{Process, wait_until};
use pushflow_tests::run::{Program, Running};
use serde_json::json;

use crate::test_program;

/// The limit on a busy machine for steps that otherwise take an instant.
const SOON: Duration = Duration::from_secs(30);

/// A folder with a graph. Each node runs the script of its name in the folder, and the script knows the folder as
/// `$HERE`.
fn folder_with(scripts: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    let here = folder.path("").display().to_string();
    for (name, script) in scripts {
        folder.write_program(name, &format!("#!/bin/sh\nHERE={here}\n{script}\n"));
    }
    let node =
        |(name, _): &(&str, &str)| json!({"id": name, "task_type": "script", "task_identifier": folder.path(name)});
    folder.write_graph(scripts.iter().map(node).collect(), json!([]));
    folder
}

/// Kills the keeper above the process whose pid a script has written into this file.
fn kill_keeper(folder: &Folder, file: &str) {
    let pid = folder.read(file).trim().parse().expect("it is a pid");
    let process = Process::find(pid).expect("it waits");
    let keeper = Process::find(process.parent).expect("it has a parent");
    assert_eq!(keeper.name, "pushflow-keep");
    keeper.kill();
}

const SAYS_ITS_PID: &str = "echo $$ > $HERE/part; mv $HERE/part $HERE/pid";
const WAITS: &str = "until [ -e $HERE/go ]; do sleep 0.02; done";

#[test]
fn a_keeper_that_is_stopped_by_its_process_goes_on() {
    for pool in ["process", "thread"] {
        let folder = folder_with(&[("stops", "kill -STOP $PPID")]);
        Program::pushflow_run(folder.graph()).args(["--pool", pool]).run().assert_code(0);
    }
}

/// There are more orphans than one sweep looks at.
#[test]
fn orphans_are_killed_while_the_run_goes_on() {
    let leaves = format!("for i in $(seq 300); do setsid sleep 1000 & done; {SAYS_ITS_PID}; wait");
    let folder = folder_with(&[("leaves", &leaves), ("waits", &format!("touch $HERE/waiting; {WAITS}"))]);
    let running = Program::pushflow_run(folder.graph()).args(["--workers", "2"]).start();
    folder.wait_for("pid");
    folder.wait_for("waiting");
    let sleepers = || {
        let mut all = running.mark().named("sleep");
        // The script `waits` runs short sleeps, which do not count.
        all.retain(|sleep| {
            fs::read(format!("/proc/{}/cmdline", sleep.pid)).is_ok_and(|line| line == b"sleep\x001000\0")
        });
        all
    };
    wait_until("all that is to become an orphan", SOON, || sleepers().len() == 300);
    kill_keeper(&folder, "pid");
    wait_until("the end of the orphans", SOON, || sleepers().is_empty());
    folder.write("go", "");
    let finished = running.wait();
    finished.assert_code(1).assert_error("was killed with its keeper, the process that watches it");
}

/// A folder with the program `waits`, which writes a file and reads a line from the named pipe `go`. Hundreds of them
/// wait at a time, so they must not look for a file again and again.
fn folder_that_waits() -> Folder {
    let folder = folder_with(&[]);
    let here = folder.path("").display().to_string();
    mkfifo(&folder.path("go"), Mode::S_IRWXU).expect("a pipe can be made in the test's own folder");
    folder.write_program("waits", &format!("#!/bin/sh\nHERE={here}\n: > $HERE/begun.$$\nread line < $HERE/go\n"));
    folder
}

/// Lets that many programs `waits` go on, also those that have not opened the pipe yet, as long as the pipe is kept.
#[must_use]
fn let_go_on(folder: &Folder, count: usize) -> fs::File {
    // Opened for reading, too, the pipe does not wait for a reader, and keeps the lines that nobody has read yet.
    let mut go = fs::File::options().read(true).write(true).open(folder.path("go")).expect("the pipe is there");
    go.write_all("\n".repeat(count).as_bytes()).expect("a pipe has room for so few lines");
    go
}

fn wait_until_all_have_begun(folder: &Folder, count: usize) {
    let begun = || fs::read_dir(folder.path("")).expect("it is there").flatten().filter(is_begun).count();
    wait_until("all commands", SOON, || begun() == count);
}

/// So many commands that there is not room for all messages of the guardian about them.
const COMMANDS: usize = 200;

/// The guardian never blocks. It reaps every process though nobody reads its messages, and sends all messages later.
#[test]
fn a_scheduler_that_is_stopped_does_not_keep_its_guardian_from_working() {
    let folder = folder_that_waits();
    let script = folder.path("waits");
    let node = |number| json!({"id": format!("{number}"), "task_type": "script", "task_identifier": script});
    folder.write_graph((0..COMMANDS).map(node).collect(), json!([]));
    let workers = COMMANDS.to_string();
    let running = Program::pushflow_run(folder.graph()).args(["--pool", "thread", "--workers", &workers]).start();
    wait_until_all_have_begun(&folder, COMMANDS);
    running.signal(Signal::SIGSTOP);
    let _go = let_go_on(&folder, COMMANDS);
    // A keeper that is a zombie still counts, so the guardian has to reap each of them.
    wait_until("the end of all keepers", SOON, || running.mark().named("pushflow-keep").is_empty());
    running.signal(Signal::SIGCONT);
    running.wait().assert_code(0);
}

#[test]
fn a_worker_that_is_stopped_does_not_keep_the_guardian_from_working_for_others() {
    let folder = folder_that_waits();
    let inputs = json!({"program": folder.path("waits"), "count": COMMANDS});
    let settings = json!({"task": "runs_commands", "shape": "wide", "width": 2, "workers": 2, "inputs": inputs});
    let running = test_program(&settings).start();
    wait_until_all_have_begun(&folder, 2 * COMMANDS);
    let workers = running.mark().workers_named("pushflow-test-p");
    assert_eq!(workers.len(), 2, "{workers:?}");
    let tell = |signal| kill(Pid::from_raw(workers[0].pid), signal).expect("it is there");
    tell(Signal::SIGSTOP);
    let _go = let_go_on(&folder, 2 * COMMANDS);
    // The keepers of both workers' commands end. At most the keepers of the two workers stay. If the task of the other
    // worker has ended, only the keeper of the stopped worker stays.
    wait_until("the end of all keepers of commands", SOON, || running.mark().named("pushflow-keep").len() <= 2);
    tell(Signal::SIGCONT);
    let report = running.wait().assert_code(0).json();
    assert_eq!(report["runs"][0]["ending"], "Finished", "{report}");
}

fn is_begun(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with("begun.")
}

// ----- other users -----

/// Whether the test runs as root, and so can have processes of two users; says so if not.
fn is_root() -> bool {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !is_root {
        eprintln!("not tested: only root can start processes of two users");
    }
    is_root
}

/// A folder that everybody may use, with two programs that run as root, whoever starts them. The user who starts
/// `sleep-as-root` may kill it. `become-root` belongs wholly to root with the arguments `--reuid 0`.
fn folder_for_everybody(script: &str) -> Folder {
    let folder = folder_with(&[("script", script)]);
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is this test's own file");
    };
    set_mode(&folder.path(""), 0o777);
    for (program, name) in [("sleep", "sleep-as-root"), ("setpriv", "become-root")] {
        let copy = folder.path(name);
        fs::copy(find(program), &copy).expect("a program can be copied");
        set_mode(&copy, 0o4755);
    }
    folder
}

fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("there is a PATH");
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.exists()).expect("it is installed")
}

/// The start of a command line that runs a program as a user without any rights.
const AS_NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

fn run_as_nobody(folder: &Folder, before: &[&str]) -> Running {
    // A user without rights may not look into the folder of the tests' programs either.
    let pushflow = folder.copy_program(&binaries().pushflow);
    let before = before.iter().chain(&AS_NOBODY).map(PathBuf::from);
    let line: Vec<PathBuf> = before.chain([pushflow, "run".into(), folder.graph()]).collect();
    Program::at(&find(&line[0].display().to_string())).args(&line[1..]).start()
}

#[test]
fn what_is_left_of_another_user_is_said_and_not_waited_for() {
    if !is_root() {
        return;
    }
    for killed in [false, true] {
        let waits = if killed { "wait" } else { "" };
        // Until `sleep` belongs to root, it could be ended.
        let becomes = "until grep -q sleep /proc/$!/comm; do sleep 0.02; done";
        let script = format!(
            "$HERE/become-root --reuid 0 --clear-groups sleep 1000 > $HERE/out 2>&1 & {becomes}; {SAYS_ITS_PID}; {waits}"
        );
        let folder = folder_for_everybody(&script);
        let running = run_as_nobody(&folder, &[]);
        folder.wait_for("pid");
        let sleep = running.wait_for_process("sleep");
        let guardian = running.wait_for_guardian();
        if killed {
            kill_keeper(&folder, "pid");
        }
        let (finished, rest) = running.wait_for_end();
        finished
            .assert_code(i32::from(killed))
            .assert_error("a task left processes of another user, which can't be ended");
        finished.assert_error(&format!("pids=[{}]", sleep.pid));
        wait_until("the guardian's end", SOON, || !guardian.is_running());
        sleep.kill();
        rest.mark().assert_none_left();
    }
}

/// With the option `hidepid=2` of `/proc`, a process that became another user's looks as if it had ended.
#[test]
fn what_proc_hides_is_ended_too() {
    let can_mount = || Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success());
    if !is_root() || !can_mount() {
        return;
    }
    let folder = folder_for_everybody("$HERE/sleep-as-root 1000 & echo > $HERE/ready; wait");
    let mount = "mount -t proc -o hidepid=2 proc /proc && exec \"$@\"";
    let running = run_as_nobody(&folder, &["unshare", "-m", "sh", "-c", mount, "sh"]);
    folder.wait_for("ready");
    running.wait_for_process("sleep-as-root");
    running.signal(Signal::SIGINT);
    running.wait().assert_code(130);
}

#[test]
fn the_proc_of_another_pid_namespace_is_refused_in_one_sentence() {
    if !is_root() {
        return;
    }
    let folder = folder_with(&[("nothing", "")]);
    let pushflow = &binaries().pushflow;
    let line = [Path::new("--pid"), Path::new("--fork"), pushflow, Path::new("run"), &folder.graph()];
    let finished = Program::at(&find("unshare")).args(line).run();
    finished.assert_code(2).assert_error("/proc is that of another pid namespace (there this process is ");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
}
