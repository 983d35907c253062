//! Whichever process is killed, and at whatever moment: all processes of the run end, and none is left. The tests end the
//! scheduler, a worker, the guardian and a task, by SIGKILL, by SIGINT or SIGTERM, and by a deadline.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pushflow_tests::folder::Folder;
use pushflow_tests::limits::{argument, long_enough};
use pushflow_tests::processes::{CLEAN_UP_LIMIT, Process, wait_since};
use pushflow_tests::random::{Random, say};
use pushflow_tests::run::{Finished, Program, Running};
use serde_json::json;

/// A script that sleeps in a child of a child, and writes a file when it does.
fn sleeper() -> Folder {
    let folder = Folder::new();
    let script = format!("#!/bin/sh\nsh -c 'echo > {:?}; sleep 1000' &\nsleep 1000\n", folder.path("ready"));
    folder.write_program("script.sh", &script);
    let node = json!({"id": "script", "task_type": "script", "task_identifier": folder.path("script.sh")});
    folder.write_graph(json!([node]), json!([]));
    folder
}

/// A Python task; `HERE` is its folder, `say(name)` writes a file there, and `wait_for(name)` waits for one.
fn python(body: &str) -> Folder {
    let helpers = r#"
import os, signal, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))

def say(name, text=""):
    path = os.path.join(HERE, name)
    with open(path + ".part", "w") as file:
        file.write(text)
    os.rename(path + ".part", path)

def wait_for(name):
    while not os.path.exists(os.path.join(HERE, name)):
        time.sleep(0.005)

def sleep_for_ever():
    while True:
        time.sleep(1000)

def ignore_everything():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    say("ready")
    sleep_for_ever()
"#;
    Folder::with_tasks(&format!("{helpers}\n{body}"), &["task"])
}

fn ignores_everything() -> Folder {
    python("def task(**inputs):\n    ignore_everything()\n")
}

/// Kills the scheduler alone, and asserts that no process and no run directory is left after the promised time. Returns
/// the time from the kill until none was left.
fn kill_and_assert_gone(running: Running) -> Duration {
    let directories = running.mark().run_directories();
    let killed = Instant::now();
    running.signal(Signal::SIGKILL);
    let gone_after = running.mark().assert_none_left_since(killed);
    let (finished, rest) = running.wait_for_end();
    assert_eq!(finished.signal(), Some(9));
    rest.mark().assert_none_left_since(killed);
    for directory in directories {
        assert!(!directory.exists(), "{directory:?} is left");
    }
    gone_after
}

// ----- the scheduler is killed -----

#[test]
fn nothing_is_left_of_a_command_whose_scheduler_is_killed_without_a_grace() {
    for _ in 0..5 {
        let folder = sleeper();
        let running = Program::pushflow_run(folder.graph()).args(["--orphan-grace", "0s"]).start();
        folder.wait_for("ready");
        assert_eq!(running.mark().run_directories().len(), 1);
        kill_and_assert_gone(running);
    }
}

#[test]
fn nothing_is_left_at_whatever_moment_the_scheduler_is_killed() {
    let mut random = Random::of_test("moments");
    let mut slowest = Duration::ZERO;
    for round in 0..20_u32 {
        let folder = sleeper();
        let running = Program::pushflow_run(folder.graph()).args(["--orphan-grace", "0s"]).start();
        // From the start of the program to well after the start of the script, at other moments in each run of the test.
        let jitter = random.time_below(Duration::from_millis(10));
        let moment = Instant::now() + round * Duration::from_millis(10) + jitter;
        while Instant::now() < moment {
            std::thread::yield_now();
        }
        slowest = slowest.max(kill_and_assert_gone(running));
    }
    say(&format!("moments: everything was gone {slowest:?} after the kill at the latest"));
}

#[test]
fn a_running_task_may_finish_when_its_scheduler_is_killed_with_a_grace() {
    let folder = python(
        "def task(**inputs):
    say('ready')
    wait_for('go')
    print(('x' * 99 + '\\n') * 20000, flush=True)
    say('end')
    return {}
",
    );
    let running = Program::pushflow_run(folder.graph()).args(["--orphan-grace", "30s"]).start();
    folder.wait_for("ready");
    let directories = running.mark().run_directories();
    running.signal(Signal::SIGKILL);
    let (_, rest) = running.wait_for_end();
    folder.write("go", "");
    folder.wait_for("end");
    rest.mark().assert_none_left();
    assert_eq!(directories.len(), 1);
    assert!(directories.iter().all(|directory| !directory.exists()));
}

#[test]
fn a_task_that_takes_longer_than_the_grace_is_gone_after_it() {
    let folder = ignores_everything();
    let running = Program::pushflow_run(folder.graph()).args(["--orphan-grace", "300ms"]).start();
    folder.wait_for("ready");
    let killed = Instant::now();
    running.signal(Signal::SIGKILL);
    let limit = Duration::from_millis(300) + CLEAN_UP_LIMIT;
    wait_since(killed, "the end of the grace", limit, || running.mark().processes().is_empty());
    running.wait_for_end();
}

#[test]
fn attempts_that_wait_do_not_start_when_the_scheduler_is_killed() {
    let tasks = "
def first(**inputs):
    say('ready')
    wait_for('go')
    say('first')
    return {}

def second(**inputs):
    say('second')
    return {}
";
    let folder = python(tasks);
    let node = |id| json!({"id": id, "task_type": "ppfmethod", "task_identifier": format!("tasks.{id}")});
    folder.write_graph(json!([node("first"), node("second")]), json!([]));
    let running = Program::pushflow_run(folder.graph()).args(["--workers", "1"]).start();
    folder.wait_for("ready");
    running.signal(Signal::SIGKILL);
    let (_, rest) = running.wait_for_end();
    folder.write("go", "");
    folder.wait_for("first");
    rest.mark().assert_none_left();
    assert!(!folder.has("second"));
}

// ----- what tasks leave behind -----

/// Starts a daemon: it is in another session, group and process tree than the task, without its files and its
/// environment.
const DAEMON: &str = "
def start_daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            say('daemon', str(os.getpid()))
            os.closerange(0, 4096)
            os.execve('/bin/sleep', ['sleep', '1000'], {})
        os._exit(0)
    os.wait()
    wait_for('daemon')
";

fn daemon(folder: &Folder) -> Option<Process> {
    Process::find(folder.read("daemon").parse().expect("a pid"))
}

#[test]
fn a_daemon_that_a_task_left_is_gone_with_the_run() {
    let body = format!(
        "{DAEMON}\ndef task(**inputs):\n    start_daemon()\n    say('ready')\n    wait_for('go')\n    return {{}}\n"
    );
    let folder = python(&body);
    let running = Program::pushflow_run(folder.graph()).start();
    folder.wait_for("ready");
    let daemon = daemon(&folder).expect("the task has started it");
    assert!(daemon.is_running());
    folder.write("go", "");
    running.wait().assert_code(0);
    assert!(!daemon.is_running());
}

#[test]
fn a_daemon_that_a_task_left_is_gone_when_the_scheduler_is_killed() {
    let folder =
        python(&format!("{DAEMON}\ndef task(**inputs):\n    start_daemon()\n    say('ready')\n    sleep_for_ever()\n"));
    let running = Program::pushflow_run(folder.graph()).args(["--orphan-grace", "0s"]).start();
    folder.wait_for("ready");
    let daemon = daemon(&folder).expect("the task has started it");
    assert!(daemon.is_running());
    let killed = Instant::now();
    kill_and_assert_gone(running);
    wait_since(killed, "the end of the daemon", CLEAN_UP_LIMIT, || !daemon.is_running());
}

// ----- asked to stop -----

#[test]
fn sigint_interrupts_the_task_once() {
    let folder = python(
        "def task(**inputs):
    try:
        say('ready')
        sleep_for_ever()
    except KeyboardInterrupt:
        say('interrupted')
        raise
",
    );
    let running = Program::pushflow_run(folder.graph()).start();
    folder.wait_for("ready");
    running.signal(Signal::SIGINT);
    let finished = running.wait();
    finished.assert_code(130).assert_error("pushflow: stopping, SIGINT was received; once more kills what runs");
    finished.assert_error("pushflow: the run was stopped after").assert_error("SIGINT was received");
    assert!(folder.has("interrupted"));
}

#[test]
fn sigterm_stops_the_run_with_its_own_exit_code() {
    let folder = sleeper();
    let running = Program::pushflow_run(folder.graph()).start();
    folder.wait_for("ready");
    running.signal(Signal::SIGTERM);
    running.wait().assert_code(143).assert_error("SIGTERM was received");
}

#[test]
fn a_task_that_ignores_its_interrupt_is_ended_after_its_grace() {
    let folder = ignores_everything();
    let running = Program::pushflow_run(folder.graph()).args(["--interrupt-grace", "300ms"]).start();
    folder.wait_for("ready");
    running.signal(Signal::SIGINT);
    running.wait().assert_code(130);
}

#[test]
fn a_second_sigint_kills_what_ignores_the_first() {
    let folder = ignores_everything();
    // The grace is longer than the time after which a program counts as hanging.
    let running = Program::pushflow_run(folder.graph()).args(["--interrupt-grace", "10m"]).start();
    folder.wait_for("ready");
    running.signal(Signal::SIGINT);
    running.wait_for_error_text("once more kills what runs");
    running.signal(Signal::SIGINT);
    running.wait().assert_code(130);
}

/// Runs a graph with a deadline that passes after the task has made this file.
fn times_out(folder: impl Fn() -> Folder, begun: &str) -> Finished {
    long_enough(|limit| {
        let folder = folder();
        let program = Program::pushflow_run(folder.graph()).args(["--timeout", &argument(limit)]);
        let finished = program.args(["--interrupt-grace", "300ms"]).run();
        finished.assert_code(3).assert_error("pushflow: the run timed out after");
        folder.has(begun).then_some(finished)
    })
}

#[test]
fn a_deadline_ends_a_task_that_ignores_everything() {
    times_out(ignores_everything, "ready").assert_error("error: task (attempt 1, pid ");
}

#[test]
fn a_deadline_ends_a_command_and_its_children() {
    times_out(sleeper, "ready").assert_error("error: script (attempt 1, pid ");
}

#[test]
fn a_deadline_that_is_not_reached_changes_nothing() {
    let folder = Folder::with_script("#!/bin/sh\nexit 0\n", json!([]));
    Program::pushflow_run(folder.graph()).args(["--timeout", "1h"]).run().assert_code(0);
}

// ----- others are killed -----

#[test]
fn a_worker_that_is_killed_loses_its_attempt_and_no_other() {
    let body = "
def victim(**inputs):
    say('worker', os.environ['PUSHFLOW_WORKER_PID'])
    sleep_for_ever()

def other(**inputs):
    wait_for('go')
    say('other')
    return {}
";
    let folder = python(body);
    let node = |id| json!({"id": id, "task_type": "ppfmethod", "task_identifier": format!("tasks.{id}")});
    folder.write_graph(json!([node("victim"), node("other")]), json!([]));
    let running = Program::pushflow_run(folder.graph()).args(["--workers", "2"]).start();
    folder.wait_for("worker");
    let worker = Process::find(folder.read("worker").parse().expect("a pid")).expect("it is busy");
    worker.kill();
    folder.write("go", "");
    let finished = running.wait();
    let expected = format!(
        "pid {}): WorkerLost: the worker process (pid {}) was killed by signal 9 (SIGKILL)",
        worker.pid, worker.pid
    );
    finished.assert_code(1).assert_error("error: victim (attempt ").assert_error(&expected);
    assert!(folder.has("other"));
}

#[test]
fn without_its_guardian_a_run_fails_and_says_so() {
    let folder = sleeper();
    let running = Program::pushflow_run(folder.graph()).start();
    folder.wait_for("ready");
    let guardian = running.wait_for_guardian();
    let directories = running.mark().run_directories();
    guardian.kill();
    // Processes are left behind in this case, as documented. The test ends them and removes the directory.
    let (finished, _rest) = running.wait_for_end();
    directories.iter().for_each(|directory| drop(std::fs::remove_dir_all(directory)));
    finished.assert_code(1).assert_error("guardian").assert_error(&format!("pid {}", guardian.pid));
}

#[test]
fn a_stopped_worker_is_ended_by_the_deadline() {
    let stops = "def task(**inputs):
    os.kill(int(os.environ['PUSHFLOW_WORKER_PID']), signal.SIGSTOP)
    say('stopped')
    sleep_for_ever()
";
    times_out(|| python(stops), "stopped").assert_error("error: task (attempt 1, pid ");
}

#[test]
fn a_task_that_kills_its_whole_group_ends_itself_alone() {
    let folder = python("def task(**inputs):\n    os.killpg(0, signal.SIGKILL)\n    sleep_for_ever()\n");
    Program::pushflow_run(folder.graph()).run().assert_code(1).assert_error("was killed by signal 9 (SIGKILL)");
}

#[test]
fn a_task_that_forks_and_returns_twice_gives_one_result() {
    let folder = python(
        "def task(**inputs):\n    pid = os.fork()\n    if pid:\n        os.waitpid(pid, 0)\n    return {'value': 1}\n",
    );
    let finished = Program::pushflow_run(folder.graph()).run();
    assert_eq!(finished.assert_code(0).stdout, "value: 1\n");
}

#[test]
fn the_run_directory_is_gone_after_the_run() {
    let folder = python("def task(**inputs):\n    say('ready')\n    wait_for('go')\n    return {}\n");
    let running = Program::pushflow_run(folder.graph()).start();
    folder.wait_for("ready");
    let directories = running.mark().run_directories();
    assert_eq!(directories.len(), 1);
    assert!(directories.iter().all(|directory| directory.is_dir()));
    folder.write("go", "");
    running.wait().assert_code(0);
    assert!(directories.iter().all(|directory| !directory.exists()));
}
