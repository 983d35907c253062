//! Which program runs the tasks: `pushflow-worker`, in a process of its own, or the program that the user asked for. A
//! program of another build, or a program that is no worker, never runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pushflow_tests::binaries::binaries;
use pushflow_tests::folder::Folder;
use pushflow_tests::run::{Finished, Program};
use serde_json::json;

/// A task that reports the worker that is the parent of its interpreter, and the interpreter itself.
const WHO: &str = r#"
import os

def who(**inputs):
    worker = int(os.environ["PUSHFLOW_WORKER_PID"])
    return {"worker": worker, "executable": os.readlink("/proc/{}/exe".format(worker)), "pid": os.getpid()}
"#;

fn who() -> Folder {
    Folder::with_tasks(WHO, &["who"])
}

/// The program of the worker in what `pushflow run --format json` printed.
fn executable(finished: &Finished) -> PathBuf {
    let result = finished.assert_code(0).result();
    PathBuf::from(result["_ppfdict"]["executable"].as_str().expect("the task says it"))
}

fn run_as_json(program: Program) -> Finished {
    program.args(["--format", "json"]).run()
}

#[test]
fn tasks_run_in_pushflow_worker_and_not_in_the_scheduler() {
    let folder = who();
    let running = Program::pushflow_run(folder.graph()).args(["--format", "json"]).start();
    let scheduler = running.pid();
    let finished = running.wait();
    assert_eq!(executable(&finished), binaries().worker);
    let result = finished.result();
    assert_ne!(result["_ppfdict"]["worker"], json!(scheduler));
    assert_ne!(result["_ppfdict"]["pid"], json!(scheduler));
}

#[test]
fn pushflow_alone_is_its_own_worker() {
    let folder = who();
    let alone = Folder::new();
    let copy = alone.copy_program(&binaries().pushflow);
    let program = Program::at(&copy).arg("run").arg(folder.graph()).env("PATH", "/usr/bin:/bin");
    assert_eq!(executable(&run_as_json(program)), copy);
}

#[test]
fn the_worker_that_the_option_names_is_used() {
    let folder = who();
    let named = Folder::new();
    let copy = named.copy_program(&binaries().worker);
    let program = Program::pushflow_run(folder.graph()).arg("--worker").arg(&copy).env("PUSHFLOW_WORKER", "/no/worker");
    assert_eq!(executable(&run_as_json(program)), copy);
}

#[test]
fn the_worker_that_the_variable_names_is_used() {
    let folder = who();
    let named = Folder::new();
    let copy = named.copy_program(&binaries().worker);
    let program = Program::pushflow_run(folder.graph()).env("PUSHFLOW_WORKER", &copy);
    assert_eq!(executable(&run_as_json(program)), copy);
}

#[test]
fn a_named_worker_of_another_build_is_refused() {
    let folder = who();
    let other = Folder::new();
    let (stranger, build, other_build) = of_another_build(&other);
    let finished = Program::pushflow_run(folder.graph()).arg("--worker").arg(&stranger).run();
    let expected = format!(
        "error: the worker program {stranger:?} is of another build than this program ({other_build}, not {build})"
    );
    finished.assert_code(2).assert_error(&expected);
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
}

/// The program as a task would start it: below a process that works in a run directory. The program makes its own run
/// directory in that one, into which no other process looks.
fn in_run_directory(directory: &Path, program: &Path) -> Program {
    // The script has no `exec`, since the shell has to stay above the program.
    let script = "cd \"$PUSHFLOW_RUN_DIRECTORY\" && \"$@\"; exit $?";
    let shell = Program::at(Path::new("/bin/sh")).args(["-c", script, "sh"]);
    shell.arg(program).env("PUSHFLOW_RUN_DIRECTORY", directory)
}

#[test]
fn a_worker_that_is_refused_leaves_no_run_directory() {
    let folder = who();
    let other = Folder::new();
    let (stranger, ..) = of_another_build(&other);
    let outer = folder.path("").canonicalize().expect("it is there").join("pushflow-outer");
    fs::create_dir(&outer).expect("the folder can be written to");
    // The kernel sets this time whenever an entry of the folder is made or removed.
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    fs::File::open(&outer).and_then(|outer| outer.set_modified(long_ago)).expect("it is this test's own folder");
    let program = in_run_directory(&outer, &binaries().pushflow).arg("run").arg(folder.graph());
    program.arg("--worker").arg(&stranger).run().assert_code(2).assert_error("is of another build");
    let modified = fs::metadata(&outer).and_then(|outer| outer.modified()).expect("it is there");
    assert_ne!(modified, long_ago, "it made none there");
    let left: Vec<_> = fs::read_dir(&outer).expect("it is there").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_worker_of_another_build_beside_pushflow_is_passed_over() {
    let folder = who();
    let beside = Folder::new();
    of_another_build(&beside);
    let copy = beside.copy_program(&binaries().pushflow);
    let program = Program::at(&copy).arg("run").arg(folder.graph());
    assert_eq!(executable(&run_as_json(program)), copy);
}

#[test]
fn a_program_that_is_no_worker_is_refused() {
    let folder = who();
    let script = folder.write_program("script", "#!/bin/sh\ncat > /dev/null; exec sleep 1000\n");
    let silent = folder.write_program("silent", "#!/bin/sh\nexit 0\n");
    let text = folder.write("text", "no program at all");
    for program in [Path::new("/bin/true"), &silent, &script, &text] {
        let finished = Program::pushflow_run(folder.graph()).arg("--worker").arg(program).run();
        finished.assert_code(2).assert_error(&format!("error: the worker program {program:?} could not be used"));
        finished.assert_error("is it a pushflow worker?");
        assert_eq!(finished.stdout, "");
    }
}

#[test]
fn a_named_worker_that_is_missing_is_said_with_where_the_name_comes_from() {
    let folder = who();
    let finished = Program::pushflow_run(folder.graph()).args(["--worker", "/no/worker"]).run();
    finished
        .assert_code(2)
        .assert_error("error: the worker program \"/no/worker\" (--worker or PoolOptions::worker) is not there");
    let finished = Program::pushflow_run(folder.graph()).env("PUSHFLOW_WORKER", "/no/worker").run();
    finished.assert_code(2).assert_error("error: the worker program \"/no/worker\" (PUSHFLOW_WORKER) is not there");
}

/// A copy of `pushflow-worker` with one digit of its build id changed; also the right id and the changed one.
fn of_another_build(folder: &Folder) -> (PathBuf, String, String) {
    let copy = folder.copy_program(&binaries().worker);
    let mut bytes = fs::read(&copy).unwrap();
    let places = build_ids(&bytes);
    let id = |bytes: &[u8]| String::from_utf8(bytes[places[0]..places[0] + ID_LENGTH].to_vec()).unwrap();
    let build = id(&bytes);
    for &place in &places {
        let last = &mut bytes[place + ID_LENGTH - 1];
        *last = if *last == b'0' { b'1' } else { b'0' };
    }
    fs::write(&copy, &bytes).unwrap();
    (copy, build, id(&bytes))
}

/// A build id is the version, a dash and 16 hexadecimal digits.
const ID_START: &[u8] = b"0.1.0-";
const ID_LENGTH: usize = ID_START.len() + 16;

fn build_ids(program: &[u8]) -> Vec<usize> {
    let is_id = |text: &[u8]| {
        text.starts_with(ID_START)
            && text[ID_START.len()..].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let places: Vec<usize> =
        program.windows(ID_LENGTH).enumerate().filter(|(_, text)| is_id(text)).map(|(place, _)| place).collect();
    assert!(!places.is_empty(), "the worker program has no build id in it");
    places
}
