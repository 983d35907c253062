//! What pushflow finds where it is started: blocked signals, variables and folders.

use nix::sys::signal::Signal;
use pushflow_tests::binaries::{binaries, python};
use pushflow_tests::folder::Folder;
use pushflow_tests::run::Program;

use crate::assert_refused;

fn hello() -> Folder {
    Folder::with_tasks("def hello(**_):\n    return {}\n", &["hello"])
}

#[test]
fn signals_that_were_blocked_at_the_start_stop_the_run() {
    let module = "
import time
from pathlib import Path
def task(**_):
    (Path(__file__).parent / 'ready').touch()
    time.sleep(1000)
";
    let blocked = "
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
os.execv(sys.argv[1], sys.argv[1:])
";
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let folder = Folder::with_tasks(module, &["task"]);
        let program = Program::at(python()).args(["-c", blocked]).arg(&binaries().pushflow);
        let running = program.arg("run").arg(folder.graph()).start();
        folder.wait_for("ready");
        running.signal(signal);
        running.wait().assert_code(code).assert_error(&format!("{signal} was received"));
    }
}

#[test]
fn a_level_of_the_log_that_is_none_is_refused() {
    let folder = hello();
    let with = |level: &str| Program::pushflow_run(folder.graph()).env("PUSHFLOW_LOG", level);
    let sentence = "error: PUSHFLOW_LOG is \"verbose\", which is none of error, warn, info, debug, trace and off\n";
    assert_eq!(assert_refused(with("verbose"), sentence).stderr, sentence);
    for level in ["error", "warn", "off", ""] {
        assert_eq!(with(level).run().assert_code(0).stderr, "", "{level}");
    }
    let failing = Folder::with_tasks("", &["missing"]);
    let finished = Program::pushflow_run(failing.graph()).env("PUSHFLOW_LOG", "DEBUG").run();
    finished.assert_code(1).assert_error("an actor failed");
}

#[test]
fn a_folder_for_python_modules_that_is_not_there_is_refused() {
    let folder = hello();
    let sentence = "error: there is no folder \"/no/folder\" for --python-path\n";
    let run = Program::pushflow_run(folder.graph()).arg("--python-path").arg(folder.path(""));
    assert_eq!(assert_refused(run.args(["--python-path", "/no/folder"]), sentence).stderr, sentence);
    let doctor = Program::at(&binaries().pushflow).args(["doctor", "--python-path", "/no/folder"]);
    assert_eq!(assert_refused(doctor, sentence).stderr, sentence);
}

#[test]
fn the_help_has_every_exit_code() {
    let help = Program::at(&binaries().pushflow).arg("--help").run().assert_code(0).stdout.clone();
    let codes = &help[help.find("Exit codes:").expect("they are there")..];
    for code in [0, 1, 2, 3, 4, 70, 129, 130, 143] {
        assert!(codes.split_whitespace().any(|word| word == code.to_string()), "{code} is not in {codes}");
    }
}
