//! Attempts that are interrupted.

use std::thread;
use std::time::{Duration, Instant};

use super::*;

const TASKS: &str = "
import os, signal, subprocess, sys, time

def ready(path): open(path, 'w').close()
def sleeps(path):
    # In short pieces: where a signal comes between Python's last look for one and the call of the operating system that
    # sleeps, Python hears of it after the sleep only.
    ready(path)
    for _ in range(6000): time.sleep(0.01)
def spins(path):
    ready(path)
    while True: pass
def waits_for_a_program(path):
    ready(path)
    subprocess.run(['sleep', '60'])
def cleans_up(path):
    try:
        sleeps(path)
    finally:
        open(path + '.clean', 'w').close()
def goes_on(path):
    try:
        sleeps(path)
    except KeyboardInterrupt:
        return {'went': 'on'}
def raises_another(path):
    try:
        sleeps(path)
    except KeyboardInterrupt:
        raise ValueError('because')
def dies(path):
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sleeps(path)
def handles_itself():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return {}
def pid(): return {'pid': os.getpid()}
";

/// Interrupts the attempt as soon as its task has made the file.
fn interrupted(runner: &mut Runner, task: &TaskSpec, inputs: &Data, file: &Path) -> Result<Data, TaskError> {
    let interrupter = Interrupter::new();
    let start = Instant::now();
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            while !file.exists() && start.elapsed() < Duration::from_secs(20) {
                thread::yield_now();
            }
            interrupter.interrupt();
        });
        runner.run(task, inputs, &interrupter)
    });
    assert!(start.elapsed() < Duration::from_secs(30), "it took {:?}", start.elapsed());
    result
}

fn interrupted_in_python(python: &mut Python, function: &str) -> Result<Data, TaskError> {
    let file = python.folder.path().join(format!("{function}.ready"));
    let inputs = Data::new().with("path", file.to_str().unwrap());
    interrupted(&mut python.runner, &task("tasks", function), &inputs, &file)
}

#[test]
fn a_python_task_is_interrupted_by_an_exception_and_the_interpreter_goes_on() {
    let mut python = Python::new(TASKS);
    let host = value(&python.call("pid", &Data::new()).unwrap(), "pid");
    for function in ["sleeps", "spins", "waits_for_a_program", "cleans_up"] {
        let error = interrupted_in_python(&mut python, function).unwrap_err();
        assert_error(&error, ErrorKind::Stopped, "KeyboardInterrupt", "the task was interrupted");
        assert!(error.traceback.iter().any(|line| line.contains("in ready") || line.contains(function)), "{error:#?}");
        assert_eq!(value(&python.call("pid", &Data::new()).unwrap(), "pid"), host);
    }
    assert!(python.folder.path().join("cleans_up.ready.clean").exists());
}

#[test]
fn what_a_python_task_makes_of_an_interrupt_counts() {
    let mut python = Python::new(TASKS);
    assert_eq!(value(&interrupted_in_python(&mut python, "goes_on").unwrap(), "went"), Value::from("on"));
    let error = interrupted_in_python(&mut python, "raises_another").unwrap_err();
    let message = "the task was interrupted, and raised ValueError: because";
    assert_error(&error, ErrorKind::Stopped, "ValueError", message);
    let error = interrupted_in_python(&mut python, "dies").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Stopped);
    assert!(error.message.ends_with("was killed by signal 2 (SIGINT)"), "{error}");
    assert!(python.call("pid", &Data::new()).is_ok());
}

#[test]
fn a_task_that_changes_the_handling_of_interrupts_does_so_for_itself_alone() {
    let mut python = Python::new(TASKS);
    python.call("handles_itself", &Data::new()).unwrap();
    assert_eq!(interrupted_in_python(&mut python, "sleeps").unwrap_err().kind, ErrorKind::Stopped);
}

#[test]
fn an_attempt_that_is_interrupted_before_it_begins_does_not_begin() {
    let mut python = Python::new("def run(): open(__file__ + '.ran', 'w').close(); return {}");
    let interrupter = Interrupter::new();
    interrupter.interrupt();
    let error = python.runner.run(&task("tasks", "run"), &Data::new(), &interrupter).unwrap_err();
    assert_error(&error, ErrorKind::Stopped, "Stopped", "the attempt was interrupted before it started");
    assert!(!python.folder.path().join("tasks.py.ran").exists());
    let error = python.runner.run(&TaskSpec::command(["true"]), &Data::new(), &interrupter).unwrap_err();
    assert_error(&error, ErrorKind::Stopped, "Stopped", "the attempt was interrupted before it started");
}

#[test]
fn a_signal_from_elsewhere_between_tasks_interrupts_none() {
    let mut python = Python::new(TASKS);
    python.call("pid", &Data::new()).unwrap();
    let host = nix::unistd::Pid::from_raw(python.host_pid().unwrap().try_into().unwrap());
    nix::sys::signal::kill(host, nix::sys::signal::Signal::SIGINT).unwrap();
    assert_eq!(value(&python.call("pid", &Data::new()).unwrap(), "pid"), Value::Int(host.as_raw().into()));
}

#[test]
fn a_signal_from_elsewhere_during_a_task_is_an_exception_of_the_task() {
    let mut python = Python::new("import os, signal\ndef run(): os.kill(os.getpid(), signal.SIGINT); return {}");
    assert_error(&python.failure("run"), ErrorKind::Raised, "KeyboardInterrupt", "");
}

#[test]
fn an_interrupt_at_any_moment_ends_its_own_attempt_and_no_other() {
    let mut python = Python::new("import time\ndef short(): return {'x': 1}\ndef long(): time.sleep(60); return {}");
    python.call("short", &Data::new()).unwrap();
    for round in 0..400_u32 {
        let interrupter = Interrupter::new();
        let function = if round % 4 == 0 { "long" } else { "short" };
        let result = thread::scope(|scope| {
            scope.spawn(|| {
                let start = Instant::now();
                while start.elapsed() < Duration::from_micros(u64::from(round)) {
                    std::hint::spin_loop();
                }
                interrupter.interrupt();
            });
            python.runner.run(&task("tasks", function), &Data::new(), &interrupter)
        });
        match result {
            Ok(result) => assert_eq!((function, value(&result, "x")), ("short", Value::Int(1))),
            Err(error) => assert_eq!(error.kind, ErrorKind::Stopped, "{error:?}"),
        }
        let after = python.call("short", &Data::new());
        assert!(after.is_ok(), "round {round}: {after:?}");
    }
}

#[test]
fn a_program_is_interrupted_with_all_that_it_started() {
    let folder = Folder::new();
    let file = folder.path().join("ready");
    let script =
        format!("sh -c 'trap \"echo inner >&2; exit 1\" INT; touch {}; sleep 60 & wait' ; wait", file.display());
    let error = interrupted(&mut runner(), &TaskSpec::command(["sh", "-c", &script]), &Data::new(), &file).unwrap_err();
    assert_eq!((error.kind, error.stderr), (ErrorKind::Stopped, vec!["inner".to_owned()]), "{}", error.message);
    assert_eq!(children(), "");
}

#[test]
fn a_sleeping_program_is_interrupted() {
    let interrupter = Interrupter::new();
    // The program is a child of the thread that runs the attempt.
    let own = fs::read_link("/proc/thread-self").unwrap();
    let children_file = Path::new("/proc").join(own).join("children");
    let sleeps = || {
        let children = fs::read_to_string(&children_file).unwrap();
        children
            .split_whitespace()
            .any(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == "sleep\x0060\0"))
    };
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            let start = Instant::now();
            while !sleeps() && start.elapsed() < Duration::from_secs(20) {
                thread::yield_now();
            }
            interrupter.interrupt();
        });
        let result = runner().run(&TaskSpec::command(["sleep", "60"]), &Data::new(), &interrupter);
        assert_eq!(children(), "");
        result.unwrap_err()
    });
    assert_error(&error, ErrorKind::Stopped, "Stopped", "sleep was interrupted and was killed by signal 2 (SIGINT)");
}

#[test]
fn a_program_that_succeeds_in_spite_of_an_interrupt_has_succeeded() {
    let folder = Folder::new();
    let file = folder.path().join("ready");
    let script = format!("trap 'echo saved; exit 0' INT; touch {}; while :; do sleep 0.01; done", file.display());
    let result = interrupted(&mut runner(), &TaskSpec::command(["sh", "-c", &script]), &Data::new(), &file).unwrap();
    assert_eq!(value(&result, "stdout"), Value::from("saved\n"));
}

/// Scripts (`&`), `nohup` and some CI systems start a test program with SIGINT ignored.
#[test]
fn programs_are_interrupted_where_the_test_program_was_started_with_sigint_ignored() {
    let tests = ["a_sleeping_program_is_interrupted", "a_program_that_succeeds_in_spite_of_an_interrupt_has_succeeded"];
    let tests = tests.map(|test| format!("tests::interrupts::{test}"));
    let output = std::process::Command::new("/bin/bash")
        .args(["-c", "trap '' INT; grep SigIgn /proc/$$/status; exec \"$@\"", "bash"])
        .arg(std::env::current_exe().unwrap())
        .arg("--exact")
        .args(tests)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let ignored = stdout.lines().next().and_then(|line| u64::from_str_radix(line.split_whitespace().last()?, 16).ok());
    assert!(ignored.is_some_and(|set| set & (1 << (nix::libc::SIGINT - 1)) != 0), "{output:?}");
    assert!(output.status.success() && stdout.contains("2 passed"), "{output:?}");
}

/// An interpreter that never says that it runs, which writes a file `python3.ready` when it has started.
fn interpreter_that_does_not_start(folder: &Folder) -> Runner {
    let python = folder.write_program("python3", "#!/bin/sh\ntouch $0.ready\nsleep 60\n");
    Runner::new(Arc::new(DirectLauncher), Some(PythonOptions::new(python, Vec::new())))
}

#[test]
fn an_interpreter_that_does_not_start_is_given_up_when_interrupted() {
    let folder = Folder::new();
    let mut runner = interpreter_that_does_not_start(&folder);
    let file = folder.path().join("python3.ready");
    let error = interrupted(&mut runner, &task("tasks", "run"), &Data::new(), &file).unwrap_err();
    assert_error(&error, ErrorKind::Stopped, "Stopped", "the attempt was interrupted before it started");
    assert_eq!(children(), "");
}

#[test]
fn an_interpreter_is_given_up_when_the_interrupt_comes_before_the_wait_for_it() {
    let folder = Folder::new();
    let mut runner = interpreter_that_does_not_start(&folder);
    let interrupter = Interrupter::new();
    interrupter.interrupt();
    let error = runner.run(&task("tasks", "run"), &Data::new(), &interrupter).unwrap_err();
    assert_error(&error, ErrorKind::Stopped, "Stopped", "the attempt was interrupted before it started");
    assert_eq!(children(), "");
}
