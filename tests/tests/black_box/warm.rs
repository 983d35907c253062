//! The modules of a graph are imported before its first task. With `spawn` each interpreter imports them. With
//! `forkserver` only the warm interpreter does, and the other interpreters are copies of it. The run goes on whatever
//! happens to the warm interpreter.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pushflow_tests::folder::Folder;
use pushflow_tests::limits::{argument, long_enough};
use pushflow_tests::processes::{Process, wait_until};
use pushflow_tests::run::{Program, Running};
use serde_json::{Value, json};

/// The limit on a busy machine for events that otherwise happen soon.
const SOON: Duration = Duration::from_secs(20);

/// The start of every module here. It notes which interpreter imports it, and has the task `meets`, which waits until
/// three tasks have begun.
const NOTES: &str = "
import os, sys, time
HERE = os.path.dirname(os.path.abspath(__file__))
def note(name, text=''):
    with open(os.path.join(HERE, name), 'a') as file:
        file.write('{}\\n'.format(text))
def wait_for(name, lines=1):
    path = os.path.join(HERE, name)
    while not os.path.exists(path) or sum(1 for _ in open(path)) < lines:
        time.sleep(0.002)
note('imported', os.getpid())
def meets(**_):
    note('met', os.getpid())
    wait_for('met', 3)
    return {}
";

/// Nodes that no links connect.
fn nodes(functions: &[&str]) -> Value {
    let node = |(number, name): (usize, &&str)| {
        let identifier = format!("tasks.{name}");
        json!({"id": format!("n{number}"), "task_type": "ppfmethod", "task_identifier": identifier})
    };
    functions.iter().enumerate().map(node).collect()
}

fn folder(module: &str, functions: &[&str]) -> Folder {
    let folder = Folder::new();
    folder.write("tasks.py", format!("{NOTES}{module}"));
    folder.write_graph(nodes(functions), json!([]));
    folder
}

fn run(folder: &Folder, method: &str, workers: usize) -> Program {
    let workers = workers.to_string();
    Program::pushflow_run(folder.graph()).args(["--start-method", method, "--workers", &workers])
}

/// The lines of a file that tasks have written; none if there is no such file.
fn lines(folder: &Folder, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder.path(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn distinct(mut lines: Vec<String>) -> usize {
    lines.sort_unstable();
    lines.dedup();
    lines.len()
}

/// The warm interpreters of a run: children of the guardian that are not keepers.
fn warm(running: &Running) -> Vec<Process> {
    let guardian = running.wait_for_guardian();
    let names = ["pushflow-keep", "pushflow-guard"];
    let all = running.mark().processes();
    all.into_iter()
        .filter(|process| process.parent == guardian.pid && !names.contains(&process.name.as_str()))
        .collect()
}

#[test]
fn modules_are_imported_by_each_interpreter_with_spawn_and_once_in_all_with_forkserver() {
    for (method, imports) in [("spawn", 3), ("forkserver", 1)] {
        let folder = folder("", &["meets"; 3]);
        run(&folder, method, 3).run().assert_code(0);
        assert_eq!(lines(&folder, "imported").len(), imports, "{method}");
        assert_eq!(distinct(lines(&folder, "met")), 3, "each worker has an interpreter of its own, {method}");
    }
}

#[test]
fn a_copy_is_in_its_libraries_who_it_is_and_draws_numbers_of_its_own() {
    let module = "
import multiprocessing, random
try:
    import numpy.random
    draw = lambda: (random.random(), float(numpy.random.random()))
except ImportError:
    draw = lambda: (random.random(),)
def shows(**_):
    meets()
    own = multiprocessing.current_process()
    comm = open('/proc/self/comm').read().strip()
    worker = os.environ['PUSHFLOW_WORKER_PID']
    note('shown', repr((own.name, own.daemon, sys.argv, sys.path[0] == HERE, os.getcwd() == os.environ['PWD'], comm)))
    note('workers', worker)
    for place, number in enumerate(draw()):
        note('drawn{}'.format(place), number)
    return {}
";
    for pool in ["process", "multiprocessing"] {
        let shown = ["spawn", "forkserver"].map(|method| {
            let folder = folder(module, &["shows"; 3]);
            let here = folder.path("").canonicalize().unwrap();
            let program = run(&folder, method, 3).args(["--pool", pool]).in_folder(&here).env("PWD", &here);
            program.run().assert_code(0);
            for file in ["workers", "drawn0", "drawn1"] {
                assert!([0, 3].contains(&distinct(lines(&folder, file))), "{file}, {method}");
            }
            assert_eq!(distinct(lines(&folder, "drawn0")), 3, "{method}");
            let mut shown = lines(&folder, "shown");
            shown.sort_unstable();
            shown
        });
        assert_eq!(shown[0], shown[1], "{pool}");
        assert!(
            shown[0].iter().enumerate().all(|(i, line)| line.starts_with(&format!("('{pool}-{}'", i + 1))),
            "{shown:?}"
        );
    }
}

#[test]
fn what_an_import_prints_belongs_to_the_first_attempt_after_it() {
    for (method, times) in [("spawn", 3), ("forkserver", 1)] {
        let folder = folder("print('out'); print('err', file=sys.stderr); os.system('echo system')\n", &["meets"; 3]);
        let finished = run(&folder, method, 3).run();
        finished.assert_code(0);
        for text in ["| out", "| err", "| system"] {
            assert_eq!(finished.stderr.matches(text).count(), times, "{text}, {method}: {finished:?}");
        }
    }
}

/// Runs one task, and after it three at once. `happens` acts on the warm interpreter before the three begin. One of the
/// three has the interpreter of the first task, and another one has the spare interpreter that was made in advance.
fn run_through(module: &str, happens: impl Fn(&Running)) -> Folder {
    let folder = folder(module, &[]);
    let links = ["n1", "n2", "n3"].map(|target| json!({"source": "n0", "target": target}));
    folder.write_graph(nodes(&["first", "second", "second", "second"]), json!(links));
    let running = run(&folder, "forkserver", 3).start();
    folder.wait_for("began");
    happens(&running);
    folder.write("go", "\n");
    running.wait().assert_code(0);
    folder
}

const FIRST_AND_SECOND: &str = "
def first(**_):
    note('began', os.getpid())
    wait_for('go')
    return {}
def second(**_):
    note('pids', os.getpid())
    wait_for('pids', 3)
    return {}
";

/// Waits until there is only one warm interpreter. A process that it makes is a child of the guardian, too, until that
/// process has become a keeper.
fn only_warm(running: &Running) -> Process {
    let mut found = Vec::new();
    wait_until("one warm interpreter", SOON, || {
        found = warm(running);
        found.len() == 1
    });
    found.into_iter().next().expect("that was waited for")
}

/// Waits until the copy of the warm interpreter that is made in advance is there, beside the copy for the first task.
fn wait_for_spare(running: &Running, warm: &Process) {
    wait_until("a spare interpreter", SOON, || running.mark().workers_named(&warm.name).len() == 2);
}

#[test]
fn a_warm_interpreter_that_is_killed_is_replaced() {
    let folder = run_through(FIRST_AND_SECOND, |running| {
        let warm = only_warm(running);
        warm.kill();
        wait_until("its end", SOON, || !warm.is_running());
    });
    assert_eq!(lines(&folder, "imported").len(), 2);
    assert_eq!(distinct(lines(&folder, "pids")), 3);
}

#[test]
fn a_warm_interpreter_that_does_not_answer_is_done_without() {
    let folder = run_through(FIRST_AND_SECOND, |running| {
        let warm = only_warm(running);
        wait_for_spare(running, &warm);
        kill(Pid::from_raw(warm.pid), Signal::SIGSTOP).unwrap();
    });
    assert_eq!(lines(&folder, "imported").len(), 2);
    assert_eq!(distinct(lines(&folder, "pids")), 3);
}

#[test]
fn there_is_no_warm_interpreter_where_an_import_starts_a_thread() {
    let module = "import threading\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n";
    let folder = folder(module, &["meets"; 3]);
    run(&folder, "forkserver", 3).run().assert_code(0);
    // The interpreter that was to be warm has imported the module, and so has one interpreter for each worker.
    assert_eq!(lines(&folder, "imported").len(), 4);
    assert_eq!(distinct(lines(&folder, "met")), 3);
}

#[test]
fn an_import_that_ends_the_interpreter_is_named_with_every_start_method() {
    for method in ["spawn", "forkserver", "fork"] {
        for (end, how) in [("os._exit(7)", "exited with code 7"), ("os.kill(os.getpid(), 11)", "SIGSEGV")] {
            let folder = folder(end, &["meets"]);
            let finished = run(&folder, method, 1).run();
            finished.assert_code(1).assert_error(how).assert_error("while it imported the module \"tasks\"");
        }
    }
}

#[test]
fn an_import_that_hangs_ends_with_its_run() {
    for method in ["spawn", "forkserver"] {
        let (folder, finished) = long_enough(|limit| {
            let folder = folder("time.sleep(600)\n", &["meets"]);
            let finished = run(&folder, method, 2).args(["--timeout", &argument(limit)]).run();
            folder.has("imported").then_some((folder, finished))
        });
        finished.assert_code(3).assert_error("TimedOut").assert_error("imported the module \"tasks\"");
        assert_eq!(lines(&folder, "imported").len(), 1, "{method}");
    }
}

#[test]
fn an_import_that_fails_fails_its_task_with_its_own_error() {
    for method in ["spawn", "forkserver"] {
        let folder = folder("1 / 0\n", &["meets"]);
        run(&folder, method, 1).run().assert_code(1).assert_error("ZeroDivisionError: division by zero");
    }
}

#[test]
fn a_killed_scheduler_leaves_neither_the_warm_interpreter_nor_what_its_imports_started() {
    let module =
        format!("import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\n{FIRST_AND_SECOND}");
    let folder = folder(&module, &["first"]);
    let running = run(&folder, "forkserver", 1).args(["--orphan-grace", "0s"]).start();
    folder.wait_for("began");
    only_warm(&running);
    running.signal(Signal::SIGKILL);
    running.mark().clone().assert_none_left();
    running.wait_for_end();
}

#[test]
fn a_killed_scheduler_while_the_imports_go_on_leaves_nothing() {
    let folder = folder("time.sleep(600)\n", &["meets"]);
    let running = run(&folder, "forkserver", 2).args(["--pool", "multiprocessing"]).start();
    folder.wait_for("imported");
    running.signal(Signal::SIGKILL);
    running.mark().clone().assert_none_left();
    running.wait_for_end();
}

/// Each task ends its interpreter, so that the next task needs another one.
#[test]
fn neither_files_nor_processes_grow_with_the_copies() {
    const COUNT: usize = 30;
    let module = "
def field(pid, name):
    with open('/proc/{}/status'.format(pid)) as status:
        return next(line.split()[1] for line in status if line.startswith(name))
def dies(**_):
    guardian = field(os.getppid(), 'PPid:')
    children = open('/proc/{0}/task/{0}/children'.format(guardian)).read().split()
    others = [child for child in children if field(child, 'Name:') not in ('pushflow-keep', 'pushflow-guard')]
    files = [len(os.listdir('/proc/{}/fd'.format(pid))) for pid in [guardian] + others]
    note('counts', len(children))
    for file, count in zip(('guardian', 'warm'), files):
        note(file, count)
    os._exit(3)
def meets(**_):
    return {}
";
    let folder = folder(module, &[]);
    let mut functions = vec!["dies"; COUNT];
    functions.push("meets");
    let link = |i: usize| json!({"source": format!("n{i}"), "target": format!("n{}", i + 1), "on_error": true});
    folder.write_graph(nodes(&functions), (0..COUNT).map(link).collect());
    run(&folder, "forkserver", 1).run().assert_code(0);
    assert_eq!(lines(&folder, "imported").len(), 1);
    for file in ["counts", "guardian", "warm"] {
        let counts: Vec<u32> = lines(&folder, file).iter().map(|count| count.parse().expect("a number")).collect();
        assert_eq!(counts.len(), COUNT, "{file}");
        // At any moment one keeper may be leaving, and a spare may be in the making. Files or processes that each
        // attempt left behind would be more.
        let least = |part: &[u32]| *part.iter().min().expect("there are some");
        let (early, late) = counts.split_at(COUNT / 2);
        assert!(least(late) <= least(early) + 2, "{file}: {counts:?}");
    }
}

/// Numeric libraries read these variables when they are imported.
#[test]
fn numeric_libraries_are_told_to_use_one_thread_unless_the_user_says_otherwise() {
    let module = "
NAMES = ['OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS']
AT_IMPORT = [os.environ.get(name) for name in NAMES]
def shows(**_):
    assert AT_IMPORT == [os.environ.get(name) for name in NAMES]
    note('threads', AT_IMPORT)
    return {}
";
    for method in ["spawn", "forkserver"] {
        let folder = folder(module, &["shows"]);
        let program = run(&folder, method, 1).without("OMP_NUM_THREADS").without("MKL_NUM_THREADS");
        program.env("OPENBLAS_NUM_THREADS", "3").run().assert_code(0);
        assert_eq!(lines(&folder, "threads"), ["['1', '3', '1']"], "{method}");
    }
}
