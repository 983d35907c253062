//! The probe: what it finds, and that it leaves nothing behind, however it ends.

use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pushflow_tests::binaries::binaries;
use pushflow_tests::folder::Folder;
use pushflow_tests::processes::{CLEAN_UP_LIMIT, Process, wait_until};
use pushflow_tests::run::{Program, Running};
use serde_json::{Value, json};

use crate::test_program;

/// The short name of the probe, and of each process that it starts for a combination.
const PROBE: &str = "pushflow-probe";

fn probe(arguments: &[&str]) -> Program {
    Program::at(&binaries().probe).args(arguments)
}

fn cells(report: &Value) -> &[Value] {
    report["cells"].as_array().expect("there is a list of cells")
}

#[test]
fn every_combination_is_as_good_as_in_the_original_and_none_hangs() {
    let finished = probe(&["--format", "json"]).hangs_after(CLEAN_UP_LIMIT * 300).run();
    let report = finished.assert_code(0).json();
    assert_eq!(cells(&report).len(), 2 * 7 * 7 * 3);
    assert_eq!(report["summary"]["worse"], 0, "{report}");
    for cell in cells(&report) {
        let is_one_of = |name: &str, names: &[&str]| names.iter().any(|other| cell[name] == *other);
        let refused = is_one_of("task", &["cfpool", "mppool", "mpprocess"])
            && is_one_of("pool", &["multiprocessing", "billiard"]);
        let there = cell["environment"] == "green" || cell["pool"] != "gevent";
        let verdict = if refused { "refused" } else { "ok" };
        assert_eq!(cell["verdict"], if there { verdict } else { "unsupported" }, "{cell}");
        if refused {
            assert_eq!(cell["message"], "daemonic processes are not allowed to have children");
        }
    }
}

#[test]
fn the_json_of_the_probe_has_this_form() {
    let arguments = ["--pool", "billiard", "--task", "bpool", "--start-method", "fork", "--environment", "plain"];
    let finished = probe(&arguments).args(["--repeat", "3", "--format", "json"]).run();
    let expected = json!({
        "schema": 1,
        "repeat": 3,
        "summary": {"verdicts": {"ok": 1}, "worse": 0, "as good": 0, "better": 1, "not run": 0},
        "cells": [{
            "environment": "plain",
            "pool": "billiard",
            "task": "bpool",
            "start_method": "fork",
            "verdict": "ok",
            "message": null,
            "counts": {"ok": 3},
            "original": "hangs sometimes",
            "compared": "better",
        }],
    });
    assert_eq!(finished.assert_code(0).json(), expected);
}

#[test]
fn the_command_line_has_the_probe_too() {
    let arguments = ["probe", "--environment", "plain", "--task", "cfpool", "--pool", "process", "--pool", "billiard"];
    let finished = Program::at(&binaries().pushflow).args(arguments).run();
    let table = &finished.assert_code(0).stdout;
    assert!(table.contains("plain     cfpool\nprocess   ok\nbilliard  refused\n"), "{table}");
    let why = "Why:\n  refused: daemonic processes are not allowed to have children\n    plain: billiard\n";
    assert!(table.contains(why), "{table}");
    assert!(table.contains("6 combinations: 3 ok, 3 refused, 0 unsupported, 0 failed, 0 hung; compared"), "{table}");
}

#[test]
fn a_probe_without_a_worker_beside_it_is_its_own() {
    let alone = Folder::new();
    let copy = alone.copy_program(&binaries().probe);
    let arguments = ["--environment", "plain", "--task", "mpprocess", "--pool", "process"];
    let finished = Program::at(&copy).args(arguments).env("PATH", "/usr/bin:/bin").run();
    assert!(finished.assert_code(0).stdout.contains("3 ok"), "{finished:?}");
}

#[test]
fn the_probes_tasks_are_in_no_users_program() {
    let finished = test_program(&json!({"task": "pushflow.probe.simple"})).run();
    finished.assert_code(2).assert_error("no task named \"pushflow.probe.simple\" is in this program");
}

#[test]
fn a_wrong_name_is_answered_with_the_nearest_right_one() {
    for (option, wrong, right) in [
        ("--pool", "procss", "process"),
        ("--task", "mpol", "mppool"),
        ("--start-method", "spwan", "spawn"),
        ("--environment", "gren", "green"),
        ("--format", "jason", "json"),
    ] {
        let finished = probe(&[option, wrong]).run();
        finished.assert_code(2).assert_error(&format!("invalid value '{wrong}' for '{option}"));
        let tip = finished.stderr.lines().find(|line| line.contains("tip:")).unwrap_or_default();
        assert!(tip.contains(&format!("'{right}'")), "{finished:?}");
    }
}

#[test]
fn every_kind_of_process_is_daemonic_or_not_as_in_the_original() {
    for program in [probe(&["daemonic"]), Program::at(&binaries().pushflow).arg("daemonic")] {
        let report = program.args(["--format", "json"]).run().assert_code(0).json();
        let processes = report["processes"].as_array().unwrap();
        assert_eq!((&report["schema"], processes.len()), (&json!(1), 8 * 3));
        for process in processes {
            let daemonic = ["mppool", "bpool"].map(Value::from).contains(&process["process"]);
            assert_eq!(process["daemonic"], daemonic, "{process}");
            assert_eq!(process["original"], daemonic, "{process}");
            assert_eq!(process["message"], Value::Null, "{process}");
        }
    }
}

/// A probe that runs for a long time, and a process that it has started for a combination.
fn long_probe(arguments: &[&str]) -> (Running, Process) {
    let running = probe(arguments).args(["--environment", "plain", "--repeat", "1000000", "--format", "json"]).start();
    let combination = wait_for_combination(&running);
    (running, combination)
}

/// A process that the probe has started for a combination, and not the sleeping copy that the probe makes of itself.
fn wait_for_combination(probe: &Running) -> Process {
    let mut found = None;
    wait_until("a process of the probe", CLEAN_UP_LIMIT * 60, || {
        let mut children = probe.mark().named(PROBE).into_iter().filter(|process| process.parent == probe.pid());
        found = children.find(|process| process.variable("PUSHFLOW_ENVIRONMENT").is_some());
        found.is_some()
    });
    found.expect("that was waited for")
}

/// The present state of a process; `None` if it has ended.
fn state(process: &Process) -> Option<char> {
    Process::find(process.pid).filter(|now| now.start_time == process.start_time).map(|now| now.state)
}

#[test]
fn an_interrupted_probe_says_what_it_knows_and_leaves_nothing() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let (running, _) = long_probe(&["--pool", "process", "--pool", "thread"]);
        running.signal(signal);
        let report = running.wait().assert_code(code).json();
        assert_eq!(cells(&report).len(), 2 * 7 * 3, "{report}");
        assert_eq!(report["summary"]["worse"], 0, "{report}");
    }
}

#[test]
fn what_hangs_is_ended_at_its_deadline_and_counted() {
    let arguments = ["--pool", "thread", "--task", "bpool", "--start-method", "spawn", "--jobs", "1"];
    let (running, mut stopped) = long_probe(&[&arguments[..], &["--deadline", "1"]].concat());
    // The process may end before it is stopped. Then the test takes another one.
    loop {
        kill(Pid::from_raw(stopped.pid), Signal::SIGSTOP).ok();
        wait_until("a process that is stopped or gone", CLEAN_UP_LIMIT * 60, || {
            state(&stopped).is_none_or(|state| state == 'T')
        });
        if state(&stopped) == Some('T') {
            break;
        }
        stopped = wait_for_combination(&running);
    }
    wait_until("its end", CLEAN_UP_LIMIT * 60, || state(&stopped).is_none());
    running.signal(Signal::SIGINT);
    let report = running.wait().assert_code(130).json();
    let cell = &cells(&report)[0];
    assert_eq!((&cell["verdict"], &cell["compared"]), (&json!("hung"), &json!("worse")), "{report}");
    assert_eq!(cell["message"], "it had not ended after 1 s");
    // On a busy machine other processes may miss the deadline, too.
    assert!(cell["counts"]["hung"].as_u64() >= Some(1), "{report}");
}

#[test]
fn a_probe_that_is_killed_leaves_nothing() {
    let (running, _) = long_probe(&["--pool", "process"]);
    let killed = Instant::now();
    running.signal(Signal::SIGKILL);
    running.mark().assert_none_left_since(killed);
    running.wait_for_end();
}
