//! Python tasks on every pool: their values, their errors, the rules of Python's own libraries, and what they do to their
//! interpreter.

use pushflow_tests::folder::Folder;
use pushflow_tests::interpreters::too_old;
use pushflow_tests::libraries::is_there;
use pushflow_tests::limits::{argument, long_enough};
use pushflow_tests::run::{Finished, Program};
use serde_json::{Value, json};

/// Every pool, and whether its processes are daemonic.
const POOLS: [(&str, bool); 7] = [
    ("thread", false),
    ("process", false),
    ("ndprocess", false),
    ("multiprocessing", true),
    ("ndmultiprocessing", false),
    ("billiard", true),
    ("gevent", false),
];

/// The pools on which the interpreter of the tests can run tasks.
fn pools() -> impl Iterator<Item = (&'static str, bool)> {
    let has_gevent = is_there("gevent");
    POOLS.into_iter().filter(move |&(pool, _)| pool != "gevent" || has_gevent)
}

/// Two tasks, the second after the first.
fn in_a_row(module: &str, functions: [&str; 2]) -> Folder {
    let folder = Folder::with_tasks(module, &functions);
    let nodes =
        functions.map(|name| json!({"id": name, "task_type": "ppfmethod", "task_identifier": format!("tasks.{name}")}));
    folder.write_graph(json!(nodes), json!([{"source": functions[0], "target": functions[1], "map_all_data": true}]));
    folder
}

fn on(pool: &str, folder: &Folder) -> Finished {
    let environment = if pool == "gevent" { "green" } else { "plain" };
    let program = Program::pushflow_run(folder.graph()).args(["--environment", environment]);
    program.args(["--pool", pool, "--workers", "2", "--format", "json"]).run()
}

/// The travelling dictionary in the result of the run, as JSON.
fn dictionary(finished: &Finished) -> Value {
    finished.assert_code(0).result()["_ppfdict"].clone()
}

/// The option of the command line replaces workers, and their interpreters with them.
#[test]
fn interpreters_are_replaced_after_as_many_tasks_as_a_worker_may_run() {
    let folder = in_a_row(
        "import os\ndef a(**_): return {'a': os.getpid()}\ndef b(**_): return {'b': os.getpid()}\n",
        ["a", "b"],
    );
    for (most, same) in [("1", false), ("2", true)] {
        let program = Program::pushflow_run(folder.graph()).args(["--workers", "1", "--format", "json"]);
        let dictionary = dictionary(&program.args(["--max-tasks-per-worker", most]).run());
        assert_eq!(dictionary["a"] == dictionary["b"], same, "{most}: {dictionary}");
    }
}

#[test]
fn objects_cross_tasks_whole_on_every_pool() {
    let module = "
import datetime
class Own:
    def __init__(self, x): self.x = x
def first(**_): return {'own': Own({(1, 2): {3}}), 'date': datetime.date(2000, 1, 2), 'pair': (1, 2 ** 70), 'plain': [1, 'a']}
def second(own, date, pair, plain, **_):
    assert type(own) is Own and own.x == {(1, 2): {3}} and date.year == 2000 and pair == (1, 2 ** 70) and plain == [1, 'a']
    return {'seen': True}
";
    let folder = in_a_row(module, ["first", "second"]);
    for (pool, _) in pools() {
        let dictionary = dictionary(&on(pool, &folder));
        assert_eq!(dictionary["seen"], true, "{pool}");
        assert_eq!(dictionary["plain"], json!([1, "a"]), "{pool}");
        assert_eq!(dictionary["own"]["$type"], "tasks.Own", "{pool}");
        assert_eq!(
            dictionary["date"],
            json!({"$type": "datetime.date", "$repr": "datetime.date(2000, 1, 2)"}),
            "{pool}"
        );
        assert_eq!(dictionary["pair"], json!([1, {"$type": "int", "$repr": "1180591620717411303424"}]), "{pool}");
    }
}

#[test]
fn multiprocessing_keeps_its_rules_inside_tasks() {
    let module = "
import multiprocessing, subprocess, sys
def child(): pass
def task(**_):
    own = multiprocessing.current_process()
    process = multiprocessing.get_context('fork').Process(target=child)
    try:
        process.start()
        process.join()
        started = 'exit code {}'.format(process.exitcode)
    except AssertionError as error:
        started = str(error)
    command = subprocess.run([sys.executable, '-c', 'pass']).returncode
    return {'name': own.name, 'daemon': own.daemon, 'started': started, 'command': command}
";
    let folder = Folder::with_tasks(module, &["task"]);
    for (pool, daemonic) in pools() {
        let dictionary = dictionary(&on(pool, &folder));
        let refused = "daemonic processes are not allowed to have children";
        let expected = if daemonic { refused } else { "exit code 0" };
        assert_eq!(dictionary["started"], expected, "{pool}");
        assert_eq!((&dictionary["daemon"], &dictionary["command"]), (&json!(daemonic), &json!(0)), "{pool}");
        let name = if ["thread", "gevent"].contains(&pool) { "MainProcess" } else { pool };
        assert!(dictionary["name"].as_str().unwrap().starts_with(name), "{pool}: {dictionary}");
    }
}

#[test]
fn billiard_may_start_processes_on_every_pool() {
    if !is_there("billiard") {
        return;
    }
    let module = "
import os
def task(**_):
    import billiard, multiprocessing
    process = billiard.Process(target=os.getpid)
    process.start()
    process.join()
    return {'code': process.exitcode, 'daemon': multiprocessing.current_process().daemon}
";
    let folder = Folder::with_tasks(module, &["task"]);
    for (pool, daemonic) in pools() {
        let dictionary = dictionary(&on(pool, &folder));
        assert_eq!((&dictionary["code"], &dictionary["daemon"]), (&json!(0), &json!(daemonic)), "{pool}");
    }
}

#[test]
fn a_thread_that_does_not_hear_its_interrupt_ends_with_the_run() {
    let module = "import time\ndef sleeps(**_):\n    open(__file__ + '.begun', 'w').close()\n    time.sleep(600)\n";
    let finished = long_enough(|limit| {
        let folder = Folder::with_tasks(module, &["sleeps"]);
        let arguments = ["--pool", "thread", "--timeout", &argument(limit)];
        let finished = Program::pushflow_run(folder.graph()).args(arguments).run();
        folder.has("tasks.py.begun").then_some(finished)
    });
    finished.assert_code(3).assert_error("sleeps (attempt 1): TimedOut");
}

#[test]
fn a_task_that_closes_files_0_to_9_fails_or_goes_on_and_so_do_the_next() {
    let module = "
import os
def closes(**_):
    os.closerange(0, 10)
    return {'closed': True}
def prints(**_):
    print('printed after it')
    return {'printed': True}
";
    let folder = in_a_row(module, ["closes", "prints"]);
    let finished = Program::pushflow_run(folder.graph()).args(["--workers", "1", "--format", "json"]).run();
    assert_eq!(dictionary(&finished)["printed"], true);
    finished.assert_error("prints| printed after it");
}

#[test]
fn a_task_on_a_thread_that_closes_files_0_to_9_goes_on_and_so_does_the_next() {
    let module = "
import os
def closes(**_):
    os.closerange(0, 10)
    return {'closed': True}
def next(**_): return {'next': True}
";
    let folder = in_a_row(module, ["closes", "next"]);
    let program = Program::pushflow_run(folder.graph()).args(["--workers", "2", "--format", "json"]);
    assert_eq!(dictionary(&program.args(["--pool", "thread"]).run())["next"], true);
}

#[test]
fn a_hundred_megabytes_of_output_are_no_problem() {
    let folder = Folder::with_tasks("def prints(**_):\n    print('x' * 100_000_000)\n    return {}\n", &["prints"]);
    let finished = Program::pushflow_run(folder.graph()).stderr(std::fs::File::create("/dev/null").unwrap()).run();
    finished.assert_code(0);
}

#[test]
fn what_tasks_print_is_not_beside_the_json_object_on_any_pool() {
    let module = "
import subprocess
def task(**_):
    print('printed')
    subprocess.run(['echo', 'echoed'])
    return {'done': True}
";
    let folder = Folder::with_tasks(module, &["task"]);
    let script = folder.write_program("script.sh", "#!/bin/sh\necho 'from the script'\n");
    let task = json!({"id": "task", "task_type": "ppfmethod", "task_identifier": "tasks.task"});
    let script = json!({"id": "script", "task_type": "script", "task_identifier": script});
    folder.write_graph(json!([task, script]), json!([]));
    for (pool, _) in pools() {
        let finished = on(pool, &folder);
        assert_eq!(finished.assert_code(0).json()["outcome"], "finished", "{pool}: {finished:#?}");
        for text in ["printed", "echoed", "from the script"] {
            finished.assert_error(text);
        }
    }
}

#[test]
fn logging_warnings_and_printing_belong_to_their_attempt() {
    let module = "
import logging, sys, warnings
def first(**_):
    logging.warning('logged by first')
    warnings.warn('warned by first')
    print('printed by first')
    return {}
def second(**_):
    logging.warning('logged by second')
    print('printed by second', file=sys.stderr)
    return {}
";
    let folder = in_a_row(module, ["first", "second"]);
    let finished = Program::pushflow_run(folder.graph()).args(["--workers", "1"]).run();
    finished.assert_code(0);
    for (task, text) in [
        ("first", "WARNING:root:logged by first"),
        ("first", "printed by first"),
        ("second", "WARNING:root:logged by second"),
        ("second", "printed by second"),
    ] {
        finished.assert_error(&format!("{task}| {text}"));
    }
    assert!(
        finished.stderr.lines().any(|line| line.starts_with("first|") && line.contains("UserWarning: warned by first")),
        "{finished:?}"
    );
}

#[test]
fn an_interpreter_that_dies_at_its_start_is_said_with_its_last_words() {
    let folder = Folder::with_tasks("def task(**_):\n    return {}\n", &["task"]);
    let python = folder.write_program("python", "#!/bin/sh\necho 'the library is broken' >&2\nexit 9\n");
    for (pool, environment) in [("thread", "plain"), ("process", "plain"), ("gevent", "green")] {
        let program = Program::pushflow_run(folder.graph()).args(["--pool", pool, "--environment", environment]);
        let finished = program.args(["--python".as_ref(), python.as_os_str()]).run();
        finished.assert_error("exited with code 9 before it was ready").assert_error("the library is broken");
        finished.assert_code(2);
    }
}

#[test]
fn a_python_that_is_too_old_says_so() {
    let folder = Folder::with_tasks("def task(**_):\n    return {}\n", &["task"]);
    let interpreters = Folder::new();
    for (version, python) in too_old(&interpreters) {
        let finished = Program::pushflow_run(folder.graph()).args(["--python".as_ref(), python.as_os_str()]).run();
        finished.assert_error(&format!("Python tasks need Python 3.8 or newer, and this is {version}"));
        assert_ne!(finished.code(), Some(0), "{version}");
    }
}
