//! Whoever reads the program's standard output has gone.

use std::io::{PipeWriter, pipe};

use pushflow_tests::folder::Folder;
use pushflow_tests::run::Program;
use serde_json::json;

use super::scene::{CODE, Place, Scene};

/// A pipe that nobody reads.
fn closed_pipe() -> PipeWriter {
    pipe().expect("there are files left").1
}

/// A task prints more than a pipe holds; on threads into the very pipe, and then Rust's `print!` panics.
pub fn task_prints(place: Place) -> String {
    let settings = json!({"busy": false, "then": "print"});
    let scene = Scene::start_with(place, settings, |program| program.stdout(closed_pipe()));
    scene.begin();
    let Scene { folder, running, .. } = scene;
    running.wait().assert_code(CODE);
    let (outcome, words) =
        if place.is_thread() { ("Err(Panicked)", "T fails: `print!` panics") } else { ("Ok(())", "T finishes") };
    assert_eq!(folder.read("outcome"), outcome);
    words.into()
}

/// `main` prints, which in Rust is a panic then; T is busy.
pub fn program_prints(place: Place) -> String {
    let scene = Scene::pool_with(place, json!({"then": "print too"}), |program| program.stdout(closed_pipe()));
    scene.begin();
    scene.exit_by_rule(101)
}

/// `pushflow run` prints its result.
pub fn command_line_prints(place: Place) -> String {
    let folder = Folder::with_script("#!/bin/sh\necho hello\n", json!([]));
    let program = Program::pushflow_run(folder.graph()).args(["--pool", place.pool, "--start-method", place.method]);
    let finished = program.args(["--format", "json"]).stdout(closed_pipe()).run();
    // On threads a command writes to standard error by itself: standard output is for the object alone.
    let printed = if place.is_thread() { "hello\n" } else { "script| hello\n" };
    assert_eq!(finished.assert_code(0).stderr, printed);
    "T finishes, exit code 0".into()
}
