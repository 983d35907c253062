//! The green environment and the pool `gevent`: how a user chooses them, when they are refused, and how commands run
//! there.

use std::path::PathBuf;

use nix::sys::signal::Signal;
use pushflow::PoolType;
use pushflow_tests::binaries::python;
use pushflow_tests::folder::Folder;
use pushflow_tests::run::Program;
use serde_json::json;

use crate::{assert_refused, test_program};

fn hello() -> Folder {
    Folder::with_tasks("def hello(**inputs):\n    return {}\n", &["hello"])
}

/// An interpreter that finds no installed packages, and so no gevent.
fn without_gevent(folder: &Folder) -> PathBuf {
    folder.write_program("bare-python", &format!("#!/bin/sh\nexec {} -S \"$@\"\n", python().display()))
}

/// A graph of scripts that no links connect.
fn scripts(scripts: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    let node = |(name, script): &(&str, &str)| {
        let script = format!("#!/bin/sh\ncd {:?}\n{script}", folder.path(""));
        let program = folder.write_program(&format!("{name}.sh"), &script);
        json!({"id": name, "task_type": "script", "task_identifier": program})
    };
    folder.write_graph(scripts.iter().map(node).collect(), json!([]));
    folder
}

fn green(folder: &Folder) -> Program {
    Program::pushflow_run(folder.graph()).args(["--environment", "green"])
}

// ----- choosing -----

#[test]
fn gevent_is_refused_in_the_plain_environment_with_what_to_do() {
    let folder = scripts(&[("script", "exit 0")]);
    let sentence = "error: the pool \"gevent\" needs the green environment: choose it with --environment green, \
                    PUSHFLOW_ENVIRONMENT=green or pushflow::green::enable(), before the first pool\n";
    for environment in [None, Some("plain")] {
        let program = Program::pushflow_run(folder.graph()).args(["--pool", "gevent"]);
        let program = match environment {
            Some(environment) => program.args(["--environment", environment]),
            None => program,
        };
        assert_eq!(assert_refused(program, sentence).stderr, sentence);
    }
}

#[test]
fn a_wrong_environment_is_said_with_the_nearest_right_name() {
    let folder = hello();
    let run = || Program::pushflow_run(folder.graph());
    assert_refused(run().args(["--environment", "gren"]), "there is no environment \"gren\"; did you mean \"green\"?");
    assert_refused(
        run().env("PUSHFLOW_ENVIRONMENT", "plan"),
        "error: PUSHFLOW_ENVIRONMENT: there is no environment \"plan\"; did you mean \"plain\"?\n",
    );
}

#[test]
fn the_default_pool_is_gevent_in_the_green_environment_and_the_option_counts_more_than_the_variable() {
    let folder = hello();
    let bare = without_gevent(&folder);
    let run = || Program::pushflow_run(folder.graph()).args(["--python".as_ref(), bare.as_os_str()]);
    // Only the pool `gevent` refuses this interpreter, so a refusal shows which pool was taken.
    let refusal = " has no gevent, which Python tasks on the pool \"gevent\" need: install it with ";
    assert_refused(run().args(["--environment", "green"]), refusal);
    assert_refused(run().env("PUSHFLOW_ENVIRONMENT", "green"), refusal);
    run().run().assert_code(0);
    run().env("PUSHFLOW_ENVIRONMENT", "green").args(["--environment", "plain"]).run().assert_code(0);
    run().env("PUSHFLOW_ENVIRONMENT", "green").args(["--pool", "process"]).run().assert_code(0);
}

#[test]
fn every_pool_works_in_the_green_environment() {
    for pool in PoolType::ALL {
        let program = test_program(&json!({"pool": pool.name()})).env("PUSHFLOW_ENVIRONMENT", "green");
        let report = program.run().assert_code(0).json();
        assert_eq!(report["runs"][0]["ending"], "Finished", "{pool}: {report}");
    }
}

#[test]
fn only_python_tasks_need_gevent() {
    let folder = scripts(&[("script", "exit 0")]);
    let bare = without_gevent(&folder);
    green(&folder).args(["--python".as_ref(), bare.as_os_str()]).run().assert_code(0);
}

// ----- commands -----

#[test]
fn commands_run_at_the_same_time_on_the_one_thread() {
    let meets = |own: &str, other: &str| format!("echo > {own}\nwhile [ ! -e {other} ]; do sleep 0.01; done\n");
    let folder = scripts(&[("a", &meets("from-a", "from-b")), ("b", &meets("from-b", "from-a"))]);
    green(&folder).run().assert_code(0);
}

#[test]
fn sigint_interrupts_a_command_once() {
    let script = "trap 'echo interrupted >> log; exit 3' INT\necho > ready\nwhile :; do sleep 0.01; done\n";
    let folder = scripts(&[("script", script)]);
    let running = green(&folder).start();
    folder.wait_for("ready");
    running.signal(Signal::SIGINT);
    running.wait().assert_code(130);
    assert_eq!(folder.read("log"), "interrupted\n");
}

#[test]
fn a_command_that_ignores_its_interrupt_is_killed_after_the_grace() {
    let folder = scripts(&[("script", "trap '' INT\necho > ready\nsleep 1000\n")]);
    let running = green(&folder).args(["--interrupt-grace", "100ms"]).start();
    folder.wait_for("ready");
    running.signal(Signal::SIGINT);
    running.wait().assert_code(130).assert_error("the run was stopped");
}

// ----- what tasks do to the process -----

#[test]
fn a_stack_overflow_ends_the_program_and_leaves_nothing() {
    let finished = test_program(&json!({"task": "overflows_its_stack", "pool": "gevent"})).run();
    assert_eq!(finished.signal(), Some(Signal::SIGSEGV as i32), "{finished:#?}");
}

#[test]
fn a_green_task_that_waits_for_a_pool_of_its_own_lets_others_run() {
    let folder = Folder::new();
    let inputs = json!({"file": folder.path("file")});
    let settings =
        json!({"task": "nests_until_another_has_run", "shape": "wide", "width": 2, "pool": "gevent", "inputs": inputs});
    let report = test_program(&settings).env("PUSHFLOW_ENVIRONMENT", "green").run().assert_code(0).json();
    assert_eq!(report["runs"][0]["ending"], "Finished", "{report}");
}
