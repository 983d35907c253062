//! The attributes of workers, commands and interpreters in the kernel, on each pool and with each start method: group,
//! parent, session, death signal, signals. The test reads the expected values from the policy table where the table has
//! them.
//!
//! Each process is looked at twice: by itself, and by the test while the process waits for the file `go`.

use std::path::Path;

use nix::sys::signal::Signal;
use pushflow::{POLICIES, Policy};
use pushflow_tests::binaries::{binaries, python};
use pushflow_tests::folder::Folder;
use pushflow_tests::kernel_view::{KernelView, signal_set};
use pushflow_tests::processes::Process;
use pushflow_tests::run::{Program, Running};
use serde_json::{Value, json};

use crate::test_program;

const METHODS: [&str; 4] = ["default", "spawn", "forkserver", "fork"];

/// Every pool with every start method.
fn all() -> impl Iterator<Item = (Policy, &'static str)> {
    POLICIES.into_iter().flat_map(|policy| METHODS.map(|method| (policy, method)))
}

/// The process that has written its pid to this file.
fn process(folder: &Folder, file: &str) -> Process {
    folder.wait_for(file);
    let pid = folder.read(file).parse().expect("it is a pid");
    Process::find(pid).expect("it waits to be seen")
}

/// The kernel's view of a process of a run. Asserts that the process is where each must be: at the head of its group,
/// in the session that its guardian leads, and below a keeper that is a child of the guardian.
fn assert_in_its_place(running: &Running, process: &Process, what: &str) -> KernelView {
    let keeper = Process::find(process.parent).expect("the parent of what runs is there");
    assert_eq!(keeper.name, "pushflow-keep", "{what}");
    let guardian = Process::find(keeper.parent).expect("the parent of what runs is there");
    assert_eq!(guardian.name, "pushflow-guard", "{what}");
    assert_eq!(guardian.parent, running.pid(), "{what}");
    let view = |pid| KernelView::of(pid).expect("it is there");
    let seen = view(process.pid);
    assert_eq!(seen.group, process.pid, "{what}");
    assert_eq!(seen.session, guardian.pid, "{what}");
    assert_eq!((view(keeper.pid).session, view(guardian.pid).session), (guardian.pid, guardian.pid), "{what}");
    assert_ne!(seen.session, view(running.pid()).session, "{what}");
    assert_eq!(seen.blocked, 0, "{what}");
    seen
}

/// Asserts what [`assert_in_its_place`] does, and that a worker has its own signal handlers, those of a Rust program,
/// and no others.
fn assert_worker(running: &Running, worker: &Process, what: &str) {
    let seen = assert_in_its_place(running, worker, what);
    // A Rust program handles the signals of stack overflows. A worker also handles the signals in
    // `worker/src/signals.rs`.
    let caught = [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGINT, Signal::SIGTERM];
    assert_eq!((seen.ignored, seen.caught), (signal_set(&[Signal::SIGPIPE]), signal_set(&caught)), "{what}: {seen:?}");
}

/// Asserts that a worker reports the same facts about itself as the test has seen.
fn assert_facts(facts: &Value, worker: &Process, policy: &Policy, what: &str) {
    assert_eq!(facts["pid"], worker.pid, "{what}");
    assert_eq!(facts["group"], worker.pid, "{what}");
    assert_eq!(facts["parent"], worker.parent, "{what}");
    assert_eq!(facts["death_signal"], "SIGKILL", "{what}");
    assert_eq!(facts["blocked"], "0000000000000000", "{what}");
    assert_eq!(facts["daemonic"], policy.class.daemonic, "{what}");
}

fn end(folder: &Folder, running: Running, what: &str) -> Value {
    folder.write("go", "");
    let report = running.wait().assert_code(0).json();
    assert_eq!(report["runs"][0]["ending"], "Finished", "{what}: {report}");
    report["runs"][0]["result"].clone()
}

#[test]
fn every_worker_is_to_the_kernel_what_the_policy_table_and_its_keeper_make_it() {
    for (policy, method) in all() {
        let (pool, folder) = (policy.name, Folder::new());
        let what = format!("{pool}, {method}");
        let inputs = json!({"folder": folder.path("")});
        let settings = json!({"task": "shows_itself", "pool": pool, "start_method": method, "inputs": inputs});
        let running = test_program(&settings).start();
        let worker = process(&folder, "pid");
        assert_worker(&running, &worker, &what);
        let facts = end(&folder, running, &what);
        assert_facts(&facts, &worker, &policy, &what);
    }
}

/// The test covers every pool within every other. The start methods change from pair to pair.
#[test]
fn a_nested_worker_is_what_any_worker_is_where_the_policy_table_lets_it_be() {
    let pairs = POLICIES.into_iter().flat_map(|outer| POLICIES.map(|inner| (outer, inner)));
    for (number, (outer, inner)) in pairs.enumerate() {
        let (method, inner_method) = (METHODS[number % 4], METHODS[number / 4 % 4]);
        let folder = Folder::new();
        let what = format!("{}, {method}, around {}, {inner_method}", outer.name, inner.name);
        let inputs = json!({"pool": inner.name, "method": inner_method, "folder": folder.path("")});
        let settings = json!({
            "task": "shows_its_child", "pool": outer.name, "start_method": method, "inputs": inputs,
        });
        let running = test_program(&settings).start();
        if !outer.class.may_start(inner.class.family) {
            let report = running.wait().assert_code(0).json();
            let message = &report["runs"][0]["errors"][0]["message"];
            assert_eq!(message, "daemonic processes are not allowed to have children", "{what}: {report}");
            continue;
        }
        let worker = process(&folder, "pid");
        assert_worker(&running, &worker, &what);
        let facts = end(&folder, running, &what);
        assert_facts(&facts, &worker, &inner, &what);
        assert_ne!(facts["outer"], facts["pid"], "{what}");
    }
}

/// Code that writes the attributes of its process into a file and waits for the test. It runs as a program and as a
/// module.
const FACTS: &str = r#"
import ctypes, json, os, time

HERE = os.path.dirname(os.path.abspath(__file__))

def write(name, text):
    path = os.path.join(HERE, name)
    with open(path + ".part", "w") as file:
        file.write(text)
    os.rename(path + ".part", path)

def tell(name):
    death_signal = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(death_signal))
    write(name + ".facts", json.dumps({"death_signal": death_signal.value, "parent": os.getppid()}))
    write(name, str(os.getpid()))
    while not os.path.exists(os.path.join(HERE, "go")):
        time.sleep(0.002)

def interpreter(**inputs):
    tell("interpreter")
    return {}

if __name__ == "__main__":
    tell("command")
"#;

/// The signals that every Python program ignores. It catches SIGINT.
const IGNORED: [Signal; 2] = [Signal::SIGPIPE, Signal::SIGXFSZ];

/// The signals at which `faulthandler` makes an interpreter print its traceback.
const FATAL: [Signal; 5] = [Signal::SIGILL, Signal::SIGABRT, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGSEGV];

fn facts_program() -> Folder {
    let folder = Folder::with_tasks(FACTS, &[]);
    let program = folder.write_program("program", &format!("#!{}\n{FACTS}", python().display()));
    let nodes = json!([
        {"id": "command", "task_type": "script", "task_identifier": program},
        {"id": "interpreter", "task_type": "ppfmethod", "task_identifier": "tasks.interpreter"},
    ]);
    folder.write_graph(nodes, json!([]));
    folder
}

#[test]
fn commands_and_interpreters_are_to_the_kernel_what_workers_are_and_begin_as_fresh_programs() {
    for (policy, method) in all() {
        let folder = facts_program();
        let arguments = ["--pool", policy.name, "--start-method", method, "--workers", "2"];
        let running = Program::pushflow_run(folder.graph()).args(arguments).start();
        for name in ["command", "interpreter"] {
            let what = format!("{name} on {}, {method}", policy.name);
            let process = process(&folder, name);
            let seen = assert_in_its_place(&running, &process, &what);
            let caught = if name == "interpreter" { &FATAL[..] } else { &[] };
            let caught = signal_set(&[Signal::SIGINT]) | signal_set(caught);
            assert_eq!((seen.ignored, seen.caught), (signal_set(&IGNORED), caught), "{what}");
            let facts: Value = serde_json::from_str(&folder.read(&format!("{name}.facts"))).expect("it is JSON");
            assert_eq!(facts["death_signal"], Signal::SIGKILL as i32, "{what}");
            assert_eq!(facts["parent"], process.parent, "{what}");
        }
        folder.write("go", "");
        running.wait().assert_code(0);
    }
}

/// A signal that a shell ignores (`trap '' SIGNAL`) stays ignored over `exec`. `nohup` ignores SIGHUP. A script ignores
/// SIGINT for the programs that it starts with `&`. This test ignores a real-time signal, too.
#[test]
fn what_is_ignored_where_pushflow_was_started_is_not_ignored_by_commands_and_interpreters() {
    for method in METHODS {
        let folder = facts_program();
        let script = r#"trap '' HUP INT USR1 40; exec "$0" run "$@" --workers 2 --start-method "#;
        let program = Program::at(Path::new("/bin/bash")).args(["-c".to_owned(), format!("{script}{method}")]);
        let running = program.arg(&binaries().pushflow).arg(folder.graph()).start();
        for name in ["command", "interpreter"] {
            let seen = KernelView::of(process(&folder, name).pid).expect("it waits to be seen");
            assert_eq!(seen.ignored, signal_set(&IGNORED), "{name}, {method}");
        }
        folder.write("go", "");
        running.wait().assert_code(0);
    }
}
