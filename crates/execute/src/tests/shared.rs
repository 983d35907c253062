//! One interpreter that runs several attempts at a time, in threads or, patched by gevent, in greenlets.

use super::*;

const TASKS: &str = "
import os, threading, time
from pathlib import Path

here = Path(__file__).parent
met = threading.Barrier(2)

def pid(): return {'pid': os.getpid(), 'thread': threading.get_ident()}
def meets():
    met.wait(60)
    return pid()
def waits():
    (here / 'began').touch()
    while True: time.sleep(0.001)
def dies():
    met.wait(60)
    os._exit(3)
def raises(): raise ValueError('v')
";

/// A folder of tasks, and runners that share an interpreter.
fn sharing(environment: Environment) -> (Folder, impl Fn() -> Runner) {
    let folder = Folder::with("tasks.py", TASKS);
    let shared = shared(&folder, environment);
    (folder, move || Runner::sharing(Arc::new(DirectLauncher), shared.clone()))
}

fn call(runner: &mut Runner, function: &str, interrupter: &Interrupter) -> Result<Data, TaskError> {
    runner.run(&task("tasks", function), &Data::new(), interrupter)
}

#[test]
fn tasks_run_at_the_same_time_in_one_interpreter() {
    for environment in environments() {
        let (_folder, new_runner) = sharing(environment);
        let [first, second] = std::thread::scope(|scope| {
            let meet = || {
                let mut runner = new_runner();
                call(&mut runner, "meets", &Interrupter::new()).unwrap()
            };
            let threads = [scope.spawn(meet), scope.spawn(meet)];
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(value(&first, "pid"), value(&second, "pid"));
        assert_ne!(value(&first, "thread"), value(&second, "thread"));
    }
}

#[test]
fn an_interrupt_reaches_its_own_attempt_and_no_other() {
    for environment in environments() {
        let (folder, new_runner) = sharing(environment);
        let mut neighbour = new_runner();
        let before = call(&mut neighbour, "pid", &Interrupter::new()).unwrap();
        let interrupter = Interrupter::new();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mut runner = new_runner();
                let error = call(&mut runner, "waits", &interrupter).unwrap_err();
                (error, call(&mut runner, "pid", &Interrupter::new()).unwrap())
            });
            wait_for(&folder, "began");
            interrupter.interrupt();
            let (error, after) = waiting.join().unwrap();
            assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Stopped, "the task was interrupted"));
            assert_eq!(value(&after, "pid"), value(&before, "pid"), "the interpreter goes on");
        });
        assert!(call(&mut neighbour, "pid", &Interrupter::new()).is_ok());
        assert_eq!(call(&mut neighbour, "raises", &Interrupter::new()).unwrap_err().type_name, "ValueError");
    }
}

#[test]
fn an_interrupt_at_any_moment_ends_its_own_attempt_and_no_other() {
    for environment in environments() {
        let (_folder, new_runner) = sharing(environment);
        let mut runner = new_runner();
        let before = call(&mut runner, "pid", &Interrupter::new()).unwrap();
        for round in 0..400_u32 {
            let interrupter = Interrupter::new();
            let function = if round % 4 == 0 { "waits" } else { "pid" };
            let result = std::thread::scope(|scope| {
                scope.spawn(|| {
                    let start = std::time::Instant::now();
                    while start.elapsed() < std::time::Duration::from_micros(u64::from(round)) {
                        std::hint::spin_loop();
                    }
                    interrupter.interrupt();
                });
                call(&mut runner, function, &interrupter)
            });
            match result {
                Ok(_) => assert_eq!(function, "pid"),
                Err(error) => assert_eq!(error.kind, ErrorKind::Stopped, "{error:?}"),
            }
            let after = call(&mut runner, "pid", &Interrupter::new());
            assert_eq!(after.map(|after| value(&after, "pid")), Ok(value(&before, "pid")), "round {round}");
        }
    }
}

#[test]
fn the_end_of_the_interpreter_fails_the_attempts_in_it_and_the_next_has_another() {
    for environment in environments() {
        let (_folder, new_runner) = sharing(environment);
        let failed = std::thread::scope(|scope| {
            let fail = || {
                let mut runner = new_runner();
                let error = call(&mut runner, "dies", &Interrupter::new()).unwrap_err();
                (error, value(&call(&mut runner, "pid", &Interrupter::new()).unwrap(), "pid"))
            };
            let threads = [scope.spawn(fail), scope.spawn(fail)];
            threads.map(|thread| thread.join().unwrap())
        });
        for (error, next) in failed {
            assert_eq!(error.kind, ErrorKind::WorkerLost, "{error}");
            assert!(error.message.ends_with("exited with code 3"), "{error}");
            assert_ne!(next, Value::Int(error.pid.unwrap().into()));
        }
    }
}

#[test]
fn an_interpreter_that_is_killed_ends_what_runs_in_it() {
    for environment in environments() {
        let folder = Folder::with("tasks.py", TASKS);
        let shared = shared(&folder, environment);
        std::thread::scope(|scope| {
            let mut runner = Runner::sharing(Arc::new(DirectLauncher), shared.clone());
            let waiting = scope.spawn(move || call(&mut runner, "waits", &Interrupter::new()).unwrap_err());
            wait_for(&folder, "began");
            shared.kill();
            assert!(waiting.join().unwrap().message.ends_with("was killed by signal 9 (SIGKILL)"));
        });
    }
}

#[test]
fn a_shared_interpreter_that_is_none_is_said() {
    let options = PythonOptions::new("/bin/false", Vec::new());
    let shared = Arc::new(SharedPython::new(options, Environment::Plain, Arc::new(DirectLauncher)));
    let error = call(&mut Runner::sharing(Arc::new(DirectLauncher), shared), "pid", &Interrupter::new()).unwrap_err();
    let message =
        "the Python interpreter /bin/false exited with code 1 before it was ready; it must be Python 3.8 or newer";
    assert_error(&error, ErrorKind::WorkerLost, "WorkerLost", message);
}

#[test]
fn one_that_was_interrupted_before_the_interpreter_was_ready_leaves_it_to_the_others() {
    for environment in environments() {
        let folder = Folder::with("tasks.py", TASKS);
        let python = slow_python(&folder);
        let options = PythonOptions { interpreter: python.into(), ..options(&folder) };
        let shared = Arc::new(SharedPython::new(options, environment, Arc::new(DirectLauncher)));
        let new_runner = || Runner::sharing(Arc::new(DirectLauncher), shared.clone());
        let interrupter = Interrupter::new();
        std::thread::scope(|scope| {
            let early = scope.spawn(|| call(&mut new_runner(), "pid", &interrupter).unwrap_err());
            let late = scope.spawn(|| call(&mut new_runner(), "pid", &Interrupter::new()));
            wait_for(&folder, "starts");
            interrupter.interrupt();
            let message = "the attempt was interrupted before it started";
            assert_error(&early.join().unwrap(), ErrorKind::Stopped, "Stopped", message);
            folder.write("go", "");
            let late = late.join().unwrap();
            assert!(late.is_ok(), "{environment}: {late:?}");
        });
        assert_eq!(folder.path().read_dir().unwrap().filter(is_start).count(), 1, "it was started once");
    }
}

fn is_start(entry: &std::io::Result<fs::DirEntry>) -> bool {
    entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("start-")
}

/// An interpreter that starts when the test creates a file.
fn slow_python(folder: &Folder) -> PathBuf {
    let real = find_interpreter(None).unwrap();
    let (real, here) = (real.display(), folder.path().display());
    let wait = format!("touch {here}/starts {here}/start-$$; while [ ! -e {here}/go ]; do sleep 0.01; done");
    folder.write_program("python", &format!("#!/bin/sh\n{wait}\nexec {real} \"$@\"\n"))
}
