//! Tasks that run as greenlets of an interpreter that gevent has patched.

use pushflow_model::TaskModule;

use super::*;

const TASKS: &str = "
import asyncio, os, signal, threading, time
from pathlib import Path

import gevent
from gevent.event import Event
from gevent.monkey import get_original

here = Path(__file__).parent
first, second, barrier = Event(), Event(), threading.Barrier(2)

def who(): return {'pid': os.getpid(), 'greenlet': id(gevent.getcurrent()), 'thread': get_original('_thread', 'get_ident')()}
def sets_first():
    first.set()
    assert second.wait(60)
    return who()
def sets_second():
    assert first.wait(60)
    second.set()
    return who()

def began(name): (here / name).touch()
def sleeps():
    began('sleeps')
    time.sleep(600)
def waits():
    began('waits')
    Event().wait()
def holds():
    began('holds')
    while True: pass
def blocks():
    began('blocks')
    get_original('time', 'sleep')(600)
def awaits():
    async def run():
        began('awaits')
        try:
            await asyncio.sleep(600)
        finally:
            began('cancelled')
    return run()
def joins():
    began('joins')
    gevent.spawn(time.sleep, 600).join()

def meets():
    async def run():
        while len(met) < 2:
            await asyncio.sleep(0.001)
        return {'thread': get_original('_thread', 'get_ident')()}
    met.append(None)
    return run()
met = []

def beats():
    began('beats')
    while not (here / 'forked').exists():
        with open(here / 'log', 'a') as log: print(os.getpid(), file=log)
        time.sleep(0.001)
    return who()
def forks():
    child = os.fork()
    if child == 0:
        try:
            for _ in range(100): time.sleep(0.001)
        except BaseException:
            os._exit(2)
        os._exit(3)
    status = os.waitpid(child, 0)[1]
    began('forked')
    return {'code': os.WEXITSTATUS(status)}
def exits(): raise SystemExit(4)
def ends_before_it_is_raised():
    # Neither the signal nor the hub gets to raise it before this returns.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    began('ends')
    server = gevent.getcurrent().pushflow_server
    while not server.is_raised: pass
    return who()
def after():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    time.sleep(0.001)
    return who()
def hears_of_processes():
    caught = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('SigCgt'))
    return {'hears': bool(int(caught, 16) >> 16 & 1)}
";

/// A folder of tasks, and runners that share an interpreter; `None` without gevent.
fn greenlets() -> Option<(Folder, impl Fn() -> Runner + Sync)> {
    let there = libraries::is_there("gevent");
    there.then(|| {
        let folder = Folder::with("tasks.py", TASKS);
        let shared = shared(&folder, Environment::Green);
        (folder, move || Runner::sharing(Arc::new(DirectLauncher), shared.clone()))
    })
}

fn call(runner: &mut Runner, function: &str) -> Result<Data, TaskError> {
    runner.run(&task("tasks", function), &Data::new(), &Interrupter::new())
}

/// The results of two tasks that run at the same time.
fn together(new_runner: &(impl Fn() -> Runner + Sync), functions: [&str; 2]) -> [Data; 2] {
    std::thread::scope(|scope| {
        let threads = functions.map(|function| scope.spawn(move || call(&mut new_runner(), function).unwrap()));
        threads.map(|thread| thread.join().unwrap())
    })
}

#[test]
fn tasks_that_wait_for_each_other_are_greenlets_of_one_thread() {
    let Some((_folder, new_runner)) = greenlets() else { return };
    let [first, second] = together(&new_runner, ["sets_first", "sets_second"]);
    for same in ["pid", "thread"] {
        assert_eq!(value(&first, same), value(&second, same), "{same}");
    }
    assert_ne!(value(&first, "greenlet"), value(&second, "greenlet"));
}

#[test]
fn coroutines_run_at_the_same_time_in_threads_of_their_own() {
    let Some((_folder, new_runner)) = greenlets() else { return };
    let [first, second] = together(&new_runner, ["meets", "meets"]);
    assert_ne!(value(&first, "thread"), value(&second, "thread"));
}

#[test]
fn an_interrupt_reaches_a_task_whatever_it_does_and_no_other() {
    let Some((folder, new_runner)) = greenlets() else { return };
    let before = value(&call(&mut new_runner(), "who").unwrap(), "pid");
    let neighbour = Interrupter::new();
    std::thread::scope(|scope| {
        let sleeping = scope.spawn(|| new_runner().run(&task("tasks", "sleeps"), &Data::new(), &neighbour));
        wait_for(&folder, "sleeps");
        for function in ["waits", "holds", "blocks", "awaits", "joins"] {
            let interrupter = Interrupter::new();
            let interrupted = {
                let (mut runner, interrupter) = (new_runner(), interrupter.clone());
                scope.spawn(move || runner.run(&task("tasks", function), &Data::new(), &interrupter).unwrap_err())
            };
            wait_for(&folder, function);
            interrupter.interrupt();
            let error = interrupted.join().unwrap();
            assert_error(&error, ErrorKind::Stopped, "KeyboardInterrupt", "the task was interrupted");
            assert_eq!(value(&call(&mut new_runner(), "who").unwrap(), "pid"), before, "after {function}");
        }
        assert!(folder.path().join("cancelled").exists(), "the coroutine was cancelled");
        assert!(!sleeping.is_finished());
        neighbour.interrupt();
        assert_eq!(sleeping.join().unwrap().unwrap_err().kind, ErrorKind::Stopped);
    });
}

#[test]
fn a_copy_of_the_interpreter_does_not_go_on_with_the_tasks_of_others() {
    let Some((folder, new_runner)) = greenlets() else { return };
    let [beats, forks] = std::thread::scope(|scope| {
        let beats = scope.spawn(|| call(&mut new_runner(), "beats").unwrap());
        wait_for(&folder, "beats");
        let forks = scope.spawn(|| call(&mut new_runner(), "forks").unwrap());
        [beats, forks].map(|thread| thread.join().unwrap())
    });
    assert_eq!(value(&forks, "code"), Value::Int(3));
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    let Value::Int(pid) = value(&beats, "pid") else { panic!("{beats:?}") };
    assert!(log.lines().all(|line| line == pid.to_string()), "{log}");
}

#[test]
fn a_task_that_exits_ends_itself_only() {
    let Some((_folder, new_runner)) = greenlets() else { return };
    let before = value(&call(&mut new_runner(), "who").unwrap(), "pid");
    assert_error(&call(&mut new_runner(), "exits").unwrap_err(), ErrorKind::Raised, "SystemExit", "4");
    assert_eq!(value(&call(&mut new_runner(), "who").unwrap(), "pid"), before);
}

#[test]
fn an_interrupt_of_a_task_that_has_just_ended_is_called_back() {
    let Some((folder, new_runner)) = greenlets() else { return };
    let (interrupter, task) = (Interrupter::new(), task("tasks", "ends_before_it_is_raised"));
    let ended = std::thread::scope(|scope| {
        let ending = scope.spawn(|| new_runner().run(&task, &Data::new(), &interrupter));
        wait_for(&folder, "ends");
        interrupter.interrupt();
        ending.join().unwrap().unwrap()
    });
    let after = call(&mut new_runner(), "after").unwrap();
    assert_eq!(value(&after, "greenlet"), value(&ended, "greenlet"));
}

#[test]
fn the_end_of_the_first_process_is_not_missed() {
    let Some((_folder, new_runner)) = greenlets() else { return };
    // By default, gevent handles SIGCHLD from the first fork on, which may be too late for that process.
    assert_eq!(value(&call(&mut new_runner(), "hears_of_processes").unwrap(), "hears"), Value::Bool(true));
}

#[test]
fn a_module_that_waits_while_it_is_imported_does_not_stop_the_others() {
    if !libraries::is_there("gevent") {
        return;
    }
    // Waits until another greenlet imports the module too.
    let source = "
import sys, time
while not sys.modules['_pushflow_importing'].importing.linkcount(): time.sleep(0.001)
def run(): return {}
";
    let folder = Folder::with("waits.py", source);
    let modules = vec![TaskModule { module: "waits".into(), function: "run".into() }];
    let options = PythonOptions { modules, ..options(&folder) };
    let shared = Arc::new(SharedPython::new(options, Environment::Green, Arc::new(DirectLauncher)));
    let run = || {
        let mut runner = Runner::sharing(Arc::new(DirectLauncher), shared.clone());
        runner.run(&task("waits", "run"), &Data::new(), &Interrupter::new())
    };
    std::thread::scope(|scope| {
        let threads = [scope.spawn(run), scope.spawn(run)];
        threads.into_iter().for_each(|thread| assert!(thread.join().unwrap().is_ok()));
    });
}

#[test]
fn channels_are_used_again_by_the_next_attempts() {
    let Some((_folder, new_runner)) = greenlets() else { return };
    let greenlet = value(&call(&mut new_runner(), "who").unwrap(), "greenlet");
    for _ in 0..20 {
        assert_eq!(value(&call(&mut new_runner(), "who").unwrap(), "greenlet"), greenlet);
    }
}

#[test]
fn an_interpreter_without_gevent_says_what_to_do() {
    let folder = Folder::new();
    let real = find_interpreter(None).unwrap();
    // Without the module `site`, an interpreter finds no installed library.
    let bare = folder.write_program("python", &format!("#!/bin/sh\nexec {} -S \"$@\"\n", real.display()));
    let options = PythonOptions::new(bare.clone(), Vec::new());
    let shared = SharedPython::new(options, Environment::Green, Arc::new(DirectLauncher));
    let error = shared.start(&Interrupter::new()).unwrap_err();
    let start = format!(
        "the Python interpreter {} has no gevent, which Python tasks on the pool \"gevent\" need: install it with \"",
        bare.display()
    );
    let end = "python3 -m pip install gevent\", or choose another interpreter or pool";
    assert!(error.message.starts_with(&start) && error.message.ends_with(end), "{error}");
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(children(), "");
}

#[test]
fn an_interpreter_whose_gevent_is_broken_says_so() {
    let folder = Folder::with("gevent/__init__.py", "raise ImportError('it is of another build')");
    let error = shared(&folder, Environment::Green).start(&Interrupter::new()).unwrap_err();
    let reason = "can't use gevent (ImportError: it is of another build), which Python tasks";
    assert!(error.message.contains(reason), "{error}");
}
