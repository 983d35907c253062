//! `pushflow doctor`: which Python, worker and limits runs would have, and what is wrong with them.

use std::path::Path;
use std::process::Command;

use pushflow_tests::binaries::{binaries, python};
use pushflow_tests::folder::Folder;
use pushflow_tests::interpreters::too_old;
use pushflow_tests::libraries::is_there;
use pushflow_tests::limits::{argument, long_enough};
use pushflow_tests::run::Program;
use serde_json::{Value, json};

fn doctor() -> Program {
    Program::at(&binaries().pushflow).arg("doctor")
}

fn as_json(program: Program) -> Value {
    program.args(["--format", "json"]).run().assert_code(0).json()
}

/// The problems that `doctor` reports, with exit code 1. Asserts that its JSON has equally many.
#[track_caller]
fn problems(program: impl Fn() -> Program) -> Vec<String> {
    let finished = program().run();
    let problems = finished.assert_code(1).stdout.lines().filter_map(|line| line.strip_prefix("problem: "));
    let problems: Vec<String> = problems.map(str::to_owned).collect();
    let object = program().args(["--format", "json"]).run().assert_code(1).json();
    assert_eq!(object["problems"].as_array().map(Vec::len), Some(problems.len()), "{problems:?} {object}");
    problems
}

/// Asserts that `doctor` reports one problem only, with these words.
#[track_caller]
fn assert_problem(program: impl Fn() -> Program, words: &[&str]) {
    assert_one(&problems(program), words);
}

#[track_caller]
fn assert_one(problems: &[String], words: &[&str]) {
    let [problem] = problems else { panic!("one problem: {problems:#?}") };
    for words in words {
        assert!(problem.contains(words), "no {words:?} in {problem:?}");
    }
}

/// The value of an expression, as the interpreter of the tests prints it when it is asked directly.
fn said_by_python(expression: &str) -> Value {
    let script = format!("import importlib.metadata, json, platform, sys; print(json.dumps({expression}))");
    let output = Command::new(python()).args(["-c", &script]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

// ----- what is there -----

#[test]
fn it_says_what_the_interpreter_says_of_itself() {
    let folder = Folder::new();
    let found = as_json(doctor().args(["--python-path".as_ref(), folder.path("").as_os_str()]));
    let own = &found["python"];
    for (key, expression) in [
        ("executable", "sys.executable"),
        ("version", "platform.python_version()"),
        ("prefix", "sys.prefix"),
        ("base_prefix", "sys.base_prefix"),
    ] {
        assert_eq!(own[key], said_by_python(expression), "{key}");
    }
    let path = own["path"].as_array().unwrap();
    assert_eq!(Path::new(path[0].as_str().unwrap()), folder.path("").canonicalize().unwrap());
    assert_eq!(path[1..], said_by_python("sys.path[1:]").as_array().unwrap()[..], "but for the current folder");
    if is_there("numpy") {
        let version = said_by_python("importlib.metadata.version('numpy')");
        assert_eq!(own["packages"]["numpy"], json!({"there": true, "version": version}));
    }
}

#[test]
fn the_form_of_the_json_object_is_fixed() {
    let found = as_json(doctor());
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(found["schema"], 1);
    assert_eq!(keys(&found), "schema pushflow python worker start_methods machine warnings problems");
    assert_eq!(
        keys(&found["python"]),
        "usable chosen_by interpreter executable version prefix base_prefix path packages"
    );
    assert_eq!(keys(&found["python"]["packages"]), "numpy ewokscore gevent billiard");
    let works = json!({"works": true});
    assert_eq!(found["start_methods"], json!({"spawn": works, "forkserver": works, "fork": works}));
    assert_eq!(keys(&found["machine"]), "open_files workers_that_fit shared_memory pidfds panics");
    assert_eq!(found["machine"]["panics"], "unwind");
    assert_eq!((&found["warnings"], &found["problems"]), (&json!([]), &json!([])));
    let program = Path::new(found["worker"]["program"].as_str().unwrap());
    assert!(program.is_file(), "{program:?}");
}

#[test]
fn it_says_what_chose_the_interpreter() {
    let chosen_by = |program: Program| as_json(program)["python"]["chosen_by"].clone();
    let python = python();
    assert_eq!(chosen_by(doctor().args(["--python".as_ref(), python.as_os_str()])), "--python");
    assert_eq!(chosen_by(doctor()), "PUSHFLOW_PYTHON");
    let folder = Folder::new();
    std::fs::create_dir(folder.path("bin")).unwrap();
    folder.write_program("bin/python3", &format!("#!/bin/sh\nexec {} \"$@\"\n", python.display()));
    let environment = doctor().without("PUSHFLOW_PYTHON").env("VIRTUAL_ENV", folder.path(""));
    assert_eq!(chosen_by(environment), "VIRTUAL_ENV");
    let path = format!("{}:/bin:/usr/bin", folder.path("bin").display());
    let finished = doctor().without("PUSHFLOW_PYTHON").env("PATH", path).run();
    let line = format!("  interpreter: {} (chosen by PATH)\n", folder.path("bin/python3").display());
    assert!(finished.assert_code(0).stdout.contains(&line), "{finished:#?}");
    assert!(finished.stdout.ends_with("All that runs need is here.\n"), "{finished:#?}");
}

// ----- what is wrong -----

const ADVICE: &str = "; choose another one with --python or PUSHFLOW_PYTHON";

#[test]
fn an_interpreter_that_is_missing_is_said() {
    let missing = "the Python interpreter \"/no/python\" that was asked for is no program that can be executed";
    assert_problem(|| doctor().args(["--python", "/no/python"]), &[missing]);
    let gone = "the active virtual environment has no /gone/bin/python3";
    assert_problem(|| doctor().without("PUSHFLOW_PYTHON").env("VIRTUAL_ENV", "/gone"), &[gone, "set PUSHFLOW_PYTHON"]);
}

#[test]
fn an_interpreter_that_is_too_old_is_said() {
    let folder = Folder::new();
    for (version, python) in too_old(&folder) {
        let old = format!("Python tasks need Python 3.8 or newer, and this is {version}");
        assert_problem(|| doctor().args(["--python".as_ref(), python.as_os_str()]), &[&old, ADVICE]);
    }
}

#[test]
fn an_interpreter_that_dies_at_its_start_is_said_with_its_last_words() {
    let folder = Folder::new();
    let python = folder.write_program("python", "#!/bin/sh\necho 'the library is broken' >&2\nexit 9\n");
    let words = ["exited with code 9 before it was ready", "it said: the library is broken", ADVICE];
    assert_problem(|| doctor().args(["--python".as_ref(), python.as_os_str()]), &words);
}

#[test]
fn an_interpreter_that_hangs_is_said_and_ended() {
    let folder = Folder::new();
    let python = folder.write_program("python", "#!/bin/sh\nsleep 600\n");
    let hangs = |limit: &str| doctor().args(["--timeout", limit]).args(["--python".as_ref(), python.as_os_str()]);
    let named = format!("the interpreter {} can't be used: ", python.display());
    let (limit, problems) = long_enough(|limit| {
        let problems = problems(|| hangs(&argument(limit)));
        // On a busy machine the workers may miss the limit, too, and then there are two problems.
        (problems.len() == 1).then_some((limit, problems))
    });
    let late = format!("not ready within {} s", limit.as_secs());
    assert_one(&problems, &[&named, "its Python interpreter ", &late, ADVICE]);
}

#[test]
fn an_interpreter_that_hangs_later_is_said_and_ended() {
    let folder = Folder::new();
    // The interpreter starts, and hangs when a task asks for a package.
    folder.write("numpy.py", "import time\ntime.sleep(600)\n");
    let path = folder.path("");
    let hangs = |limit: &str| doctor().args(["--timeout", limit]).args(["--python-path".as_ref(), path.as_os_str()]);
    let (limit, problems) = long_enough(|limit| {
        let problems = problems(|| hangs(&argument(limit)));
        // Otherwise the interpreter has missed the limit before a task asked for the package.
        (problems.len() == 1 && !problems[0].contains("not ready within")).then_some((limit, problems))
    });
    let late = format!("can't be used: it does not answer within {} s", limit.as_secs());
    assert_one(&problems, &[&late, ADVICE]);
}

#[test]
fn a_package_that_can_not_be_imported_is_a_warning() {
    let folder = Folder::with_tasks("", &[]);
    folder.write("numpy.py", "raise ImportError('it is of another build')\n");
    let finished = doctor().args(["--python-path".as_ref(), folder.path("").as_os_str()]).run();
    finished.assert_code(0);
    let warning = "warning: numpy can't be imported (ImportError: it is of another build): install it again\n";
    assert!(finished.stdout.contains(warning), "{finished:#?}");
}

#[test]
fn a_worker_program_that_is_none_is_said() {
    let missing = "the worker program \"/no/worker\" (--worker or PoolOptions::worker) is not there";
    assert_problem(|| doctor().args(["--worker", "/no/worker"]), &[missing]);
    assert_problem(|| doctor().args(["--worker", "/bin/true"]), &["the worker program \"/bin/true\""]);
}

#[test]
fn too_few_open_files_are_said() {
    let finished = Program::at("/bin/sh".as_ref())
        .args(["-c", "ulimit -n 40; exec \"$@\"", "sh"])
        .args([binaries().pushflow.as_os_str(), "doctor".as_ref()])
        .run();
    finished.assert_code(1);
    let problem = "problem: no worker fits into 40 open files: raise that with ulimit -n\n";
    assert!(finished.stdout.contains(problem), "{finished:#?}");
}
